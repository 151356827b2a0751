"""The band for a goal, from decisions that both scorers judged."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bench import packs
from toolrm_guard import FakeScorer, cascade_fit, judged
from toolrm_guard.cascade_fit import Rows, curve, for_loss, for_share, judge_by_both, rows_of
from toolrm_guard.cli import main
from toolrm_guard.errors import CouldNotJudge, ScorerUnavailable
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.cascade import Band

SURE = st.floats(0, 1) | st.sampled_from([0.0, float(np.nextafter(1.0, 0.0)), 1.0])
COLUMN = st.tuples(SURE, st.booleans(), st.booleans(), st.integers(1, 3))


def rows(*given_rows: tuple[float, bool, bool, int]) -> Rows:
    sure, first, second, weight = np.array(given_rows, dtype=float).T
    cost = np.ones(len(sure))
    return Rows(
        sureness=sure, first=first, second=second, weight=weight,
        first_ms=cost, second_ms=100 * cost, group=np.arange(len(sure)),
    )  # fmt: skip


@given(st.lists(COLUMN, min_size=1, max_size=30), st.floats(0, 1))
def test_a_point_says_what_its_band_does(
    given_rows: list[tuple[float, bool, bool, int]], share: float
) -> None:
    found = rows(*given_rows)
    points = curve(found)
    for point in (*points, for_share(points, share), for_loss(points, share)):
        up = found.sureness < point.below
        right = np.where(up, found.second, found.first)
        assert point.escalated == pytest.approx(np.average(up, weights=found.weight))
        assert point.accuracy == pytest.approx(np.average(right, weights=found.weight))
    assert for_share(points, share).escalated <= share + 1e-6
    assert for_loss(points, share).accuracy >= points[-1].accuracy - share - 1e-6
    assert cascade_fit.interval(found, 1.0, seed=0) == (0.0, 0.0)


def test_the_narrowest_band_that_loses_nothing_leaves_out_what_both_get_right() -> None:
    found = rows(
        (0.1, False, True, 1), (0.2, False, True, 1), (0.8, True, True, 1), (0.9, True, True, 1)
    )
    chosen = for_loss(curve(found), 0.0)
    assert (chosen.escalated, chosen.accuracy) == (0.5, 1.0)
    assert 0.2 < chosen.below < 0.21
    assert chosen.ms == pytest.approx(51.0)


def test_what_no_band_escalates_counts_for_none() -> None:
    """A toss that the second mends, and a full sureness in which it would err."""
    found = rows((0.0, False, True, 1), (1.0, True, False, 1))
    assert [(point.escalated, point.accuracy) for point in curve(found)] == [(0.0, 0.5), (0.5, 1.0)]
    assert cascade_fit.interval(found, 0.5, seed=0) == (0.0, 0.0)
    hopeless = curve(rows((1.0, True, False, 1)))
    assert [(point.below, point.escalated) for point in hopeless] == [(0.0, 0.0)]


def test_a_lucky_dip_is_not_taken_for_a_band() -> None:
    lucky = rows((0.1, False, True, 1), (0.2, True, False, 1), (0.3, False, True, 1))
    assert for_loss(curve(lucky), 0.0).escalated == 1.0


def test_the_interval_is_that_of_the_band_against_the_widest() -> None:
    better = rows(*[(0.2 + k / 100, False, True, 1) for k in range(40)])
    assert cascade_fit.interval(better, 0.0, seed=0) == (-1.0, -1.0)
    assert cascade_fit.interval(better, 1.0, seed=0) == (0.0, 0.0)
    low, high = cascade_fit.interval(better, 0.4, seed=0)
    assert -1.0 < low < -0.5 < high < 0.0


def test_a_worse_second_scorer_is_escalated_to_by_nobody() -> None:
    found = rows((0.1, True, False, 1), (0.2, True, True, 1))
    assert for_loss(curve(found), 0.0).escalated == 0.0


def labelled(count: int = 6) -> list[LabelledRecord]:
    return [LabelledRecord.model_validate(packs.record(k)) for k in range(count)]


def test_the_truth_as_second_scorer_mends_what_it_is_asked() -> None:
    decisions = judged.from_labelled(labelled(), candidates=2)
    right = {}
    for decision in decisions:
        for candidate, label in zip(decision.request.candidates, decision.right, strict=True):
            right[id(decision.request), candidate.canonical] = 0.9 if label else 0.1

    def truth(request: ScoreRequest) -> list[float]:
        return [right[id(request), candidate.canonical] for candidate in request.candidates]

    toss = FakeScorer(lambda request: [0.5 + 0.01 * k for k in range(len(request.candidates))])
    points = curve(rows_of(judge_by_both(decisions, toss, FakeScorer(truth)), toss.thresholds))
    assert points[-1].accuracy == 1.0
    assert points[0].accuracy < 1.0
    assert for_loss(points, 0.0).accuracy == 1.0


def test_an_outage_makes_no_band() -> None:
    def down(request: ScoreRequest) -> list[float]:
        raise ScorerUnavailable("down")

    decisions = judged.from_labelled(labelled(), candidates=2)
    even = FakeScorer(lambda request: [0.5] * len(request.candidates))
    with pytest.raises(CouldNotJudge, match="could not be judged by both scorers"):
        judge_by_both(decisions, even, FakeScorer(down))


def test_the_command_writes_a_band_and_says_what_it_buys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = packs.write(tmp_path / "records.jsonl", packs.records())
    out = tmp_path / "band.json"
    common = ["cascade", "--second", "lite", "--records", str(records), "--candidates", "2"]
    assert main([*common, "--escalate", "0.5", "--out", str(out)]) == 0
    band = Band.load(out)
    assert band.escalated <= 0.5
    assert band.first_fingerprint == band.second_fingerprint is not None
    assert list(band.evidence) == ["records.jsonl"]
    said = capsys.readouterr().out
    assert "lite is no better than lite" in said
    assert 'CascadeScorer("lite", "lite", band="band.json")' in said
    assert main([*common, "--within", "7", "--out", str(out)]) == 1
    assert "--within 7 is not between 0 and 1" in capsys.readouterr().err
    assert json.loads(out.read_text())["format"] == 1
