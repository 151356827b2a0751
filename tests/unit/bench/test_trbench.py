"""The benchmark from files to JSON, and its refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import trbench
from toolrm_guard.labelled import LabelledFileError

TOOL = {
    "name": "weather",
    "description": "Get the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def side(*cities: Any) -> dict[str, Any]:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in cities]
    return {"model": "m", "origin": "o", "content": None, "tool_calls": calls}


def write(folder: Path, *, prompt: str = "r0", twice: bool = False) -> tuple[Path, Path]:
    pool = [side("Oslo"), side("Oslo"), side("Lima")]
    labels = [{**c, "correct": i < 2, "error_type": None} for i, c in enumerate(pool)]
    records = [
        {
            "id": f"r{n}", "source": "s", "split": "simple", "tools": [TOOL], "accept": None,
            "messages": [{"role": "user", "content": "What's the weather in Oslo?"}],
            "reference": None, "candidates": labels,
        }
        for n in range(4)
    ]  # fmt: skip
    pairs = [
        {
            "id": "p0" if twice else f"p{n}", "prompt_id": f"r{n}" if n else prompt,
            "split": "simple" if n < 3 else "parallel", "chosen": side("Oslo"),
            "rejected": (side("Lima"), side(7), side("Oslo", "Lima"), side())[n],
            "rejected_error_type": "value_error:string",
        }
        for n in range(4)
    ]  # fmt: skip
    paths = folder / "pairs.jsonl", folder / "records.jsonl"
    for path, rows in zip(paths, (pairs, records), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def run(folder: Path, scorer: str, *paths: Path) -> Any:
    pairs, records = paths or write(folder)
    out = folder / "out.json"
    trbench.main(
        ["--pairs", str(pairs), "--records", str(records), "--scorer", scorer, "--json", str(out)]
    )
    return json.loads(out.read_text())


def test_one_scorer_writes_an_object_and_several_a_list(tmp_path: Path) -> None:
    one = run(tmp_path, "lite")
    assert one["scorer"] == "lite"
    assert one["pairs"] == 4
    assert one["weighted"] == 1.0
    assert one["splits"] == {
        "parallel": {"pairs": 1, "accuracy": 1.0},
        "simple": {"pairs": 3, "accuracy": 1.0},
    }
    assert one["values_only"]["pairs"] == 2
    several = run(tmp_path, "all")
    assert [found["scorer"] for found in several] == ["random", "longer", "schema", "vote", "lite"]


def test_baselines_say_what_they_mean(tmp_path: Path) -> None:
    found = {item["scorer"]: item["weighted"] for item in run(tmp_path, "longer,schema,vote")}
    assert found["schema"] == 0.25  # only the wrong type; ties are wrong
    assert found["vote"] == 1.0
    assert found["longer"] == 0.5  # longer than the number and than nothing


def test_the_side_that_comes_first_follows_from_the_id_alone(tmp_path: Path) -> None:
    cases = trbench.load_pairs(*write(tmp_path))
    assert {case.chosen for case in cases} == {0, 1}
    for case in cases:
        assert (
            case.request.candidates[case.chosen].canonical == case.pair.chosen.candidate().canonical
        )


def test_a_prompt_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelledFileError, match=r"1 prompt ids are not in .*lost"):
        trbench.load_pairs(*write(tmp_path, prompt="lost"))


def test_duplicated_ids_and_unknown_scorers_end_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ids are unique"):
        run(tmp_path, "random", *write(tmp_path, twice=True))
    with pytest.raises(SystemExit, match="no scorer oracle; known: random"):
        run(tmp_path, "oracle")


def test_a_scorer_that_returns_nan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"nan": lambda _: lambda _: [float("nan"), 0.0]}
    monkeypatch.setattr(trbench, "SCORERS", broken)
    with pytest.raises(SystemExit, match=r"scorer nan: the reward of .* is nan"):
        run(tmp_path, "nan")
