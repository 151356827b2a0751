"""The calibration bench from files to JSON; odd scorers get a line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import calibration
from toolrm_guard import FakeScorer
from toolrm_guard.calibration import JudgedTurn
from toolrm_guard.judged import from_labelled, judge
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers.base import ScoreRequest

TOOL = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    },
}  # fmt: skip


def write(path: Path, prompts: int = 30) -> Path:
    def output(city: str, correct: bool) -> dict[str, Any]:
        call = {"name": "get_weather", "arguments": {"city": city}}
        return {"model": "m", "content": "", "tool_calls": [call], "correct": correct}

    rows = [
        {
            "id": f"r{n}", "source": "s", "split": ("simple", "multiple")[n % 2], "tools": [TOOL],
            "messages": [{"role": "user", "content": f"What's the weather in Town{n}?"}],
            "candidates": [output(f"Town{n}", True), output("Rome", False), output("Rome", False)],
        }
        for n in range(prompts)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluated(path: Path, rate: Any) -> Any:
    decisions, scorer = from_labelled(read_records(write(path / "r.jsonl"))), FakeScorer(rate)
    return calibration.evaluate(decisions, judge(decisions, scorer), scorer, 20, 0)


def test_the_json_says_what_was_measured_on_what(tmp_path: Path) -> None:
    records, out = write(tmp_path / "records.jsonl"), tmp_path / "out.json"
    arguments = ["--records", str(records), "--rounds", "20", "--json", str(out)]
    assert calibration.main(arguments) == 0
    found = json.loads(out.read_text())
    assert (found["bench"], found["scorer"], found["candidates"]) == ("calibration", "lite", 1)
    assert (found["turns"], found["groups"], found["unjudged"]) == (90, 30, {})
    assert set(found["run"]["data"]) == {"records.jsonl"}
    names = [part["name"] for part in found["slices"]]
    assert names == ["all", "effect read", "split multiple", "split simple"]
    whole = found["slices"][0]
    assert whole["figures"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert sum(row["turns"] for row in whole["reliability"]) == 90
    assert [row["rate"] for row in found["conformal"]] == [0.1, 0.2]  # 15 prompts promise no less


def test_held_out_prompts_are_blocked_as_seldom_as_promised() -> None:
    turns = [
        JudgedTurn(
            group=str(n), kinds=("read",), probability=((n * 37) % 101) / 101, right=n % 4 != 0
        )
        for n in range(600)
    ]
    for row in calibration.held_out(turns, "read", seed=0):
        assert row["wrongly_blocked"] <= row["rate"] + 0.005
        assert row["wrongly_passed"] is not None


def test_a_constant_scorer_gets_a_line(tmp_path: Path) -> None:
    found = evaluated(tmp_path, lambda request: [0.5] * len(request.candidates))
    [note] = found["notes"]
    assert note.startswith("every turn has probability 0.5: the scorer tells nothing apart")


def test_a_scorer_of_nan_gets_a_line_and_no_figure(tmp_path: Path) -> None:
    found = evaluated(tmp_path, lambda request: [float("nan")])
    assert "60 of 60 decisions could not be judged" in found["notes"][0]
    assert found["notes"][1] == "no decision was judged: there is nothing to report"
    assert (found["slices"], found["conformal"], found["own_thresholds"]) == ([], [], {})


def test_what_is_not_judged_is_in_no_figure(tmp_path: Path) -> None:
    def rate(request: ScoreRequest) -> Sequence[float]:
        return [float("nan") if "Rome" in request.candidates[0].canonical else 0.8]

    found = evaluated(tmp_path, rate)
    assert found["slices"][0]["figures"]["accuracy"]["value"] == 1.0
    assert found["notes"][0].startswith("30 of 60 decisions could not be judged")


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main(["--records", str(tmp_path / "absent.jsonl")]) == 1
    assert "absent.jsonl" in capsys.readouterr().err
