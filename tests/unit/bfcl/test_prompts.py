"""BFCL's prompts, answers and types, and the names of its files and ids."""

import json
from pathlib import Path
from typing import Any

import pytest

from toolrm_guard.bfcl.categories import FileName, join_key, split_of
from toolrm_guard.bfcl.lines import Unread
from toolrm_guard.bfcl.prompts import Prompt, json_schema, prompt_folder, read_prompts
from toolrm_guard.bfcl.results import find_results
from toolrm_guard.errors import ConfigurationError


def test_types_of_other_languages_become_json_schema() -> None:
    schema = {
        "type": "dict",
        "properties": {
            "a": {"type": "float"},
            "b": {"type": "tuple", "items": {"type": "dict", "properties": {}}},
            "c": {"type": "any"},
            "d": {"type": "Widget"},
        },
    }
    assert json_schema(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": "array", "items": {"type": "object", "properties": {}}},
            "c": {},
            "d": {"x-type": "Widget"},
        },
    }


@pytest.mark.parametrize(
    ("name", "generation", "category", "kind", "split"),
    [
        ("BFCL_v4_simple_python.json", "v4", "simple_python", "prompts", "simple"),
        ("BFCL_v3_live_multiple_result.json", "v3", "live_multiple", "result", "live_multiple"),
        ("BFCL_v3_multiple_score.json", "v3", "multiple", "score", "multiple"),
        ("gorilla_openfunctions_v1_test_parallel_multiple_function_result.json", "v1",
         "parallel_multiple_function", "result", "parallel_multiple"),
        ("gorilla_openfunctions_v1_test_relevance.json", "v1", "relevance", "prompts",
         "irrelevance"),
        ("BFCL_v4_live_relevance.json", "v4", "live_relevance", "prompts", None),
        ("BFCL_v4_simple_java_result.json", "v4", "simple_java", "result", None),
    ],
)  # fmt: skip
def test_file_names_of_every_generation(
    name: str, generation: str, category: str, kind: str, split: str | None
) -> None:
    found = FileName.parse(name)
    assert found is not None
    assert (found.generation, found.category, found.kind) == (generation, category, kind)
    assert found.split == split


@pytest.mark.parametrize("name", ["README.json", "BFCL_simple.json", "BFCL_v4_simple.jsonl"])
def test_other_files_are_none_of_bfcl(name: str) -> None:
    assert FileName.parse(name) is None


def test_ids_of_all_generations_meet() -> None:
    assert join_key("simple", "simple_python_7") == join_key("simple", "simple_7") == "7"
    assert join_key("multiple", "multiple_function_3") == join_key("multiple", "multiple_3")
    assert join_key("live_simple", "live_simple_0-0-0") == "0-0-0"
    assert split_of("relevance", "v3") is None


FUNCTION = {
    "name": "bake",
    "description": "Bake.",
    "parameters": {"type": "dict", "properties": {"what": {"type": "string"}}, "required": []},
}


def prompts_in(folder: Path, name: str, *rows: Any, answers: Any = ()) -> None:
    (folder / "possible_answer").mkdir(exist_ok=True)
    text = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(text))
    truth = "\n".join(json.dumps(row) for row in answers)
    (folder / "possible_answer" / name).write_text(truth)


def test_questions_of_three_generations_read_alike(tmp_path: Path) -> None:
    said = {"role": "user", "content": "Bake bread."}
    rows = [
        {"id": f"simple_{n}", "question": question, "function": function}
        for n, (question, function) in enumerate(
            [("Bake bread.", FUNCTION), ([said], [FUNCTION]), ([[said]], [FUNCTION])]
        )
    ]
    truth = {"bake": {"what": ["bread", "Bread"], "n": ["", 1]}}
    answers = [
        {"id": f"simple_{n}", "ground_truth": truth if n == 0 else [truth]} for n in range(3)
    ]
    prompts_in(tmp_path, "BFCL_v3_simple.json", *rows, answers=answers)
    read = list(read_prompts(tmp_path, "simple"))
    assert all(isinstance(prompt, Prompt) for prompt in read)
    assert {(p.messages[0]["content"], p.tools[0]["parameters"]["type"]) for p in read} == {  # type: ignore[union-attr]
        ("Bake bread.", "object")
    }
    calls = [prompt.calls for prompt in read if isinstance(prompt, Prompt)]
    assert calls == [({"name": "bake", "arguments": {"what": "bread"}},)] * 3


def test_what_is_no_prompt_is_accounted_for(tmp_path: Path) -> None:
    turn = [{"role": "user", "content": "x"}]
    prompts_in(
        tmp_path,
        "BFCL_v4_multiple.json",
        {"id": "multiple_0", "question": [turn], "function": [FUNCTION]},
        {"id": "multiple_1", "question": [turn, turn], "function": [FUNCTION]},
        "[1]",
        '{"id": "multiple_2", "ques',
    )
    read = list(read_prompts(tmp_path, "multiple"))
    assert [(r.where, r.reason) for r in read if isinstance(r, Unread)] == [
        ("multiple_0", "no_reference"),
        ("multiple_1", "multi_turn"),
        ("BFCL_v4_multiple.json:3", "not_an_object"),
        ("BFCL_v4_multiple.json:4", "truncated"),
    ]


def test_without_prompts_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="install bfcl-eval"):
        prompt_folder(tmp_path / "nowhere")


def test_a_folder_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder `result`"):
        find_results(tmp_path)
    (tmp_path / "result" / "m" / "non_live").mkdir(parents=True)
    (tmp_path / "result" / "m" / "non_live" / "BFCL_v4_multiple_result.json").touch()
    (tmp_path / "result" / "m" / "notes_result.json").touch()
    (found,) = find_results(tmp_path)
    assert (found.model, found.name.category) == ("m", "multiple")
    assert find_results(tmp_path / "result") == [found]
