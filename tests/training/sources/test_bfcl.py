"""BFCL result folders of three generations as a source."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.sources.made import lines, reasons, taken
from toolrm_guard.errors import ConfigurationError
from training.preferences.sources import open_source


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def made_prompts(folder: Path, prefix: str, category: str) -> None:
    """Write two prompts and the answer to the first."""
    (folder / "possible_answer").mkdir(parents=True, exist_ok=True)
    oven = {
        "name": "oven.bake",
        "description": "Bake.",
        "parameters": {
            "type": "dict",
            "properties": {"what": {"type": "string"}, "n": {"type": "integer"}},
            "required": ["what"],
        },
    }
    rows = [
        {
            "id": f"{category}_{n}",
            "question": [[{"role": "user", "content": f"Bake {n}."}]],
            "function": [oven],
        }
        for n in range(2)
    ]
    truth = [{"oven.bake": {"what": ["bread", "Bread"], "n": ["", 1]}}]
    lines(folder / f"{prefix}_{category}.json", *rows)
    answers = {"id": f"{category}_0", "ground_truth": truth}
    lines(folder / "possible_answer" / f"{prefix}_{category}.json", answers)


def test_results_are_joined_to_prompts_and_verdicts(tmp_path: Path) -> None:
    made_prompts(tmp_path / "prompts", "BFCL_v4", "multiple")
    made_prompts(tmp_path / "prompts", "BFCL_v4", "live_multiple")
    for model, output in (("m1", [{"oven_bake": '{"what": "bread"}'}]), ("m2", "wait(s=1)")):
        folder = tmp_path / "run" / "result" / model / "non_live"
        folder.mkdir(parents=True)
        lines(
            folder / "BFCL_v4_multiple_result.json",
            {"id": "multiple_0", "result": output},
            {"id": "multiple_9", "result": output},
            {"id": "multiple_1", "result": "wait(s="},
            '{"id": "multiple_0", "res',
        )
    scores = tmp_path / "run" / "score" / "m2" / "non_live"
    scores.mkdir(parents=True)
    wrong = {"id": "multiple_0", "valid": False, "error_type": "wrong_func_name"}
    lines(scores / "BFCL_v4_multiple_score.json", {"accuracy": 0.5}, wrong)

    prompts = str(tmp_path / "prompts")
    (got,), dropped = taken("bfcl_results", str(tmp_path / "run"), prompts=prompts)
    assert got.source == "bfcl_results/multiple"
    assert got.messages[-1]["tool_calls"] == [call("oven.bake", what="bread")]
    assert [(r.by, r.label, r.error) for r in got.recorded] == [
        ("m1", None, None),
        ("m2", False, "wrong_func_name"),
    ]
    assert reasons(dropped) == [
        ("multiple_1", "no_reference"),
        ("m1/multiple_9", "unknown_prompt"),
        ("m1/multiple_1", "unknown_prompt"),
        ("m1/BFCL_v4_multiple_result.json:4", "bad_json"),
        ("m2/multiple_9", "unknown_prompt"),
        ("m2/multiple_1", "unknown_prompt"),
        ("m2/BFCL_v4_multiple_result.json:4", "bad_json"),
    ]


def test_a_verdict_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    made_prompts(tmp_path / "prompts", "BFCL_v4", "multiple")
    results, scores = (tmp_path / "run" / kind / "m" / "non_live" for kind in ("result", "score"))
    results.mkdir(parents=True)
    scores.mkdir(parents=True)
    lines(results / "BFCL_v4_multiple_result.json", {"id": "multiple_0", "result": "wait(s=1)"})
    lines(scores / "BFCL_v4_multiple_score.json", {"accuracy": 0.5}, '{"id": "multiple_0", "er')
    _, dropped = taken("bfcl_results", str(tmp_path / "run"), prompts=str(tmp_path / "prompts"))
    assert ("m/BFCL_v4_multiple_score.json:2", "bad_json") in reasons(dropped)


def test_the_first_generation_numbers_its_verdicts_from_one(tmp_path: Path) -> None:
    prefix = "gorilla_openfunctions_v1_test"
    made_prompts(tmp_path / "prompts", prefix, "multiple_function")
    results = tmp_path / "run" / "result" / "m1"
    scores = tmp_path / "run" / "score" / "m1"
    results.mkdir(parents=True)
    scores.mkdir(parents=True)
    row = {"id": "multiple_function_0", "result": "oven.bake(what='cake')"}
    lines(results / f"{prefix}_multiple_function_result.json", row)
    wrong = {"id": 1, "error_type": "value", "prompt": {"id": "multiple_function_0"}}
    lines(scores / "multiple_function_score.json", {"accuracy": 0.5}, wrong)
    (got,), _ = taken(
        "bfcl_results", str(tmp_path / "run"), prompts=str(tmp_path / "prompts"), licence="X"
    )
    assert (got.recorded[0].label, got.recorded[0].error, got.licence) == (False, "value", "X")


def test_without_a_needed_call_no_call_is_right(tmp_path: Path) -> None:
    made_prompts(tmp_path / "prompts", "BFCL_v3", "irrelevance")
    folder = tmp_path / "run" / "result" / "m1"
    folder.mkdir(parents=True)
    row = {"id": "irrelevance_1", "result": "No function fits."}
    lines(folder / "BFCL_v3_irrelevance_result.json", row)
    (got,), _ = taken("bfcl_results", str(tmp_path / "run"), prompts=str(tmp_path / "prompts"))
    assert got.messages[-1] == {"role": "assistant", "content": ""}
    assert got.recorded[0].text == "No function fits."


def test_categories_that_must_be_executed_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "result" / "m1"
    folder.mkdir(parents=True)
    lines(folder / "BFCL_v4_multi_turn_base_result.json", {"id": "multi_turn_base_0"})
    lines(folder / "BFCL_v4_simple_java_result.json", {"id": "simple_java_0"})
    _, dropped = taken("bfcl_results", str(tmp_path / "run"), prompts=str(tmp_path))
    assert reasons(dropped) == [
        ("m1/multi_turn_base", "must_be_executed"),
        ("m1/simple_java", "other_language"),
    ]


def test_without_results_or_prompts_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder `result`"):
        open_source("bfcl_results", str(tmp_path))
    (tmp_path / "result").mkdir()
    with pytest.raises(ConfigurationError, match="no BFCL prompts"):
        open_source("bfcl_results", str(tmp_path), prompts=str(tmp_path / "nowhere"))
    _, dropped = taken("bfcl_results", str(tmp_path), prompts=str(tmp_path))
    assert [item.reason for item in dropped] == ["empty_source"]
