"""BFCL, read and judged: prompts, model outputs of every generation, and a checker of our own.

    categories  what a category, a file and an id are called in each generation
    prompts     prompts, functions and possible answers, types as JSON Schema
    outputs     what models wrote, as calls
    results     the files of a result folder
    checker     whether calls are among the possible answers, and what is wrong if not

Nothing of the package `bfcl-eval` is imported: its data files are read where they are installed.
"""
