"""How a trainer is started: a recipe, data, a folder for the run, and errors as one sentence."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from toolrm_guard.errors import GuardError
from training.recipes import R, load_recipe
from training.run_folder import RunFolder

Run = Callable[[R, Path, RunFolder, str], None]
"""Takes recipe, data, folder, and the command for the model card."""


def start(module: str, doc: str, kind: type[R], run: Run[R], argv: Sequence[str] | None) -> None:
    """Run a trainer from the command line.

    Args:
        module: Its name in `training`.
        doc: Its docstring; the first line is its description.
        kind: Of its recipes.
        run: What it does.
        argv: Arguments; None takes the process's own.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    args = parser(doc, out=True).parse_args(given)
    try:
        recipe = load_recipe(kind, args.recipe, args.set)
        command = shlex.join(["python", "-m", f"training.{module}", *given])
        run(recipe, args.data, RunFolder(path=args.out), command)
    except GuardError as exc:
        sys.exit(f"training.{module}: {exc}")


def parser(doc: str, *, out: bool) -> argparse.ArgumentParser:
    """Return the arguments that trainers share, with a folder for a run or without."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--recipe", type=Path, required=True, help="a file of training/recipes")
    made.add_argument("--data", type=Path, required=True, help="pairs, or labelled packs")
    if out:
        made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe"
    )
    return made
