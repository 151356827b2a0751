"""The cascade bench on made-up records, where the second scorer is the first."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import cascade
from bench.cascade import held_out
from tests.unit.bench import packs
from toolrm_guard import FakeScorer, judged
from toolrm_guard.cascade_fit import Rows, judge_by_both
from toolrm_guard.labelled import LabelledRecord


def test_every_figure_is_there_and_escalating_to_itself_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = packs.write(tmp_path / "records.jsonl", packs.records())
    out = tmp_path / "out.json"
    code = cascade.main(
        ["--records", str(records), "--second", "lite", "--candidates", "2", "--json", str(out)]
    )
    assert code == 0
    found = json.loads(out.read_text())
    assert (found["bench"], found["first"], found["second"]) == ("cascade", "lite", "lite")
    assert found["accuracy_first"] == found["accuracy_second"]
    assert found["second_minus_first_ci95"] == [0.0, 0.0]
    for row in found["shares"]:
        assert row["accuracy"] == pytest.approx(row["at_random"])
    assert {row["measure"] for row in found["measures"]} > {"sureness", "lead alone"}
    assert all(row["minus_widest"] == pytest.approx(0.0) for row in found["held_out"])
    assert "lite then lite" in capsys.readouterr().out


def test_a_second_scorer_that_knows_better_is_seen_to() -> None:
    records = [LabelledRecord.model_validate(packs.record(k)) for k in range(6)]
    decisions = judged.from_labelled(records, candidates=2)
    first = FakeScorer(lambda request: [0.4 + 0.3 * k for k in range(len(request.candidates))])
    labels = {id(d.request): [0.9 if right else 0.1 for right in d.right] for d in decisions}
    second = FakeScorer(lambda request: labels[id(request)])
    found = cascade.evaluate(judge_by_both(decisions, first, second), first.thresholds, seed=0)
    assert found["accuracy_second"] == 1.0
    low, high = found["second_minus_first_ci95"]
    assert low <= found["accuracy_second"] - found["accuracy_first"] <= high
    assert high > 0.0
    assert found["shares"][-1]["at_random"] == 1.0


def test_a_file_that_is_not_there_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cascade.main(["--records", str(tmp_path / "none.jsonl"), "--second", "lite"])
    assert code == 1
    assert "none.jsonl" in capsys.readouterr().err


def test_a_band_that_holds_on_the_other_half_is_seen_to_hold() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(2_000)
    rows = Rows(
        sureness=sure,
        first=(rng.random(2_000) < 0.5 + sure / 2).astype(float),
        second=np.ones(2_000),
        first_ms=np.ones(2_000),
        second_ms=np.full(2_000, 50.0),
        weight=np.ones(2_000),
        group=np.arange(2_000),
    )
    by_goal = {(row["goal"], row["value"]): row for row in held_out(rows, seed=0)}
    assert by_goal["escalate", 0.2]["escalated"] == pytest.approx(0.2, abs=0.02)
    assert by_goal["within", 0.02]["minus_widest"] == pytest.approx(-0.02, abs=0.01)
    assert by_goal["within", 0.02]["escalated"] < 1.0
