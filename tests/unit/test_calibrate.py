"""`toolrm-guard calibrate` from files to a guard that uses them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from toolrm_guard import CalibratedScorer, FakeScorer, Guard, Policy, TraceStore, blocking
from toolrm_guard.calibrate import fit_file
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, ModelIntegrityError
from toolrm_guard.judged import from_labelled
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers.base import ScoreRequest

TOOL = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    },
}  # fmt: skip


def write(path: Path, prompts: int) -> Path:
    def output(city: str, correct: bool) -> dict[str, Any]:
        call = {"name": "get_weather", "arguments": {"city": city}}
        return {"model": "m", "content": "", "tool_calls": [call], "correct": correct}

    rows = [
        {
            "id": f"r{n}", "source": "s", "split": "simple", "tools": [TOOL],
            "messages": [{"role": "user", "content": f"What's the weather in Town{n}?"}],
            "candidates": [output(f"Town{n}", True), output("Rome", False)],
        }
        for n in range(prompts)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def calibrate(folder: Path, prompts: int, *more: str) -> tuple[int, Path]:
    records, out = write(folder / "records.jsonl", prompts), folder / "thresholds.json"
    arguments = ["--records", str(records), "--out", str(out), "--wrongly-blocked", "0.1"]
    return main(["calibrate", *arguments, *more]), out


def test_a_guard_takes_the_thresholds_and_keeps_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = calibrate(tmp_path, 12, "--only", "read")
    assert code == 0
    assert "12" in capsys.readouterr().out
    file = json.loads(out.read_text())
    assert file["rate"] == 0.1
    assert file["thresholds"]["read"]["wrongly_blocked"] <= 0.1
    assert list(file["evidence"]) == ["records.jsonl"]
    plain, scorer = Guard("lite").scorer, CalibratedScorer("lite", out)
    assert scorer.thresholds["read"] == file["thresholds"]["read"]["value"]
    assert scorer.thresholds["write"] == plain.thresholds["write"]
    call = {"name": "get_weather", "args": {"city": "Town1"}, "id": "c"}
    draft = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert Guard(scorer).review("What's the weather in Town1?", [TOOL], [draft]).judged


def test_a_shadow_store_with_outcomes_is_evidence(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard("lite", store=store, policy=Policy(mode="shadow"))
        for n in range(12):
            call = {"name": "get_weather", "args": {"city": f"Town{n}"}, "id": f"c{n}"}
            draft = {"role": "assistant", "content": "", "tool_calls": [call]}
            asked = f"What's the weather in Town{n}?"
            guard.review(asked, [TOOL], [draft], conversation_id=f"t{n}")
            outcome = {"ok": n != 5, "kind": "execution", "conversation_id": f"t{n}"}
            guard.record_outcome(f"c{n}", **outcome)
        assert store.flush()
    out = tmp_path / "thresholds.json"
    source = ["--store", str(tmp_path / "traces.db"), "--only", "read"]
    assert main(["calibrate", *source, "--wrongly-blocked", "0.1", "--out", str(out)]) == 0
    file = json.loads(out.read_text())
    assert file["evidence"] == {"store": "traces.db"}
    assert file["thresholds"]["read"]["groups"] == 11


async def test_closing_closes_the_scorer_inside(tmp_path: Path) -> None:
    class Open(FakeScorer):
        is_closed = False

        async def aclose(self) -> None:
            self.is_closed = True

    decisions = from_labelled(read_records(write(tmp_path / "r.jsonl", 12)))
    inner = Open(lambda request: [0.9])
    file = await blocking.in_thread(
        lambda: fit_file(decisions, inner, rate=0.1, kinds=["read"], candidates=1, evidence={})
    )
    await CalibratedScorer(inner, file).aclose()
    assert inner.is_closed


def test_too_little_evidence_is_refused_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = calibrate(tmp_path, 5, "--only", "read")
    assert code == 1
    assert "read: 5 groups with a right call; a rate of 0.1 needs 9" in capsys.readouterr().err
    assert not out.exists()


def test_thresholds_of_another_model_are_refused(tmp_path: Path) -> None:
    _, out = calibrate(tmp_path, 12, "--only", "read")
    file = json.loads(out.read_text())
    out.write_text(json.dumps({**file, "fingerprint": "0" * 64}))
    with pytest.raises(ModelIntegrityError, match=r"made with model 000000000000 .* run `toolrm"):
        CalibratedScorer("lite", out)
    with pytest.raises(ModelIntegrityError, match="made with scorer 'lite', not 'fake'"):
        CalibratedScorer(FakeScorer(lambda r: [0.5]), out)


@pytest.mark.parametrize("content", [None, "{", '{"format": 2}'])
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "thresholds.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"thresholds\.json.*toolrm-guard calibrate"):
        CalibratedScorer("lite", path)


def test_a_scorer_that_often_cannot_judge_gets_no_promise(tmp_path: Path) -> None:
    def rate(request: ScoreRequest) -> Sequence[float]:
        return [float("nan") if "Rome" in request.candidates[0].canonical else 0.9]

    decisions = from_labelled(read_records(write(tmp_path / "r.jsonl", 30)))
    with pytest.raises(CouldNotJudge, match="could not judge 30 of 60"):
        fit_file(decisions, FakeScorer(rate), rate=0.1, kinds=["read"], candidates=1, evidence={})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--wrongly-blocked", "1.5", "--records", "r"], "not between 0 and 1"),
        (["--wrongly-blocked", "0.1", "--store", "absent.db"], "no trace store at 'absent.db'"),
        (["--wrongly-blocked", "0.1", "--records", "absent.jsonl"], "No such file"),
    ],
)
def test_a_wrong_input_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["calibrate", *arguments, "--out", str(tmp_path / "o.json")]) == 1
    assert told in capsys.readouterr().err


def test_an_unknown_kind_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        calibrate(tmp_path, 12, "--only", "reads")
