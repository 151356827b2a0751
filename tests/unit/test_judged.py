"""Judged turns come from labels or outcomes; what has neither, or no score, is no evidence."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard, Policy, TraceStore
from toolrm_guard.errors import ConfigurationError, ScorerUnavailable
from toolrm_guard.judged import from_labelled, from_traces, judge
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.scorers.base import ScoreRequest

TOOL = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def output(city: str | None, correct: bool | None) -> dict[str, Any]:
    calls = [] if city is None else [{"name": "get_weather", "arguments": {"city": city}}]
    return {"model": "m", "content": "", "tool_calls": calls, "correct": correct}


def record(*candidates: dict[str, Any]) -> LabelledRecord:
    return LabelledRecord.model_validate(
        {
            "id": "r", "source": "s", "split": "simple", "dialog": "d", "tools": [TOOL],
            "messages": [{"role": "user", "content": "Weather in Oslo?"}],
            "candidates": candidates,
        }
    )  # fmt: skip


def by_city(request: ScoreRequest) -> Sequence[float]:
    return [0.9 if "Oslo" in c.canonical else 0.2 for c in request.candidates]


def test_equal_outputs_are_scored_once_and_count_as_often_as_given() -> None:
    outputs = [output("Oslo", True), output("Rome", False), output("Oslo", True)]
    unlabelled = [output("Bonn", None), {**output("Bonn", True), "tool_calls": None}]
    found = judge(from_labelled([record(*outputs, *unlabelled)]), FakeScorer(by_city))
    turns = {(t.probability, t.right): t for t in found.turns}
    assert {key: turn.count for key, turn in turns.items()} == {(0.9, True): 2, (0.2, False): 1}
    assert {turn.group for turn in found.turns} == {"d"}
    assert {turn.kinds for turn in found.turns} == {("read",)}


def test_a_label_that_is_a_scorers_own_opinion_is_no_evidence() -> None:
    outputs = [
        {**output("Oslo", True), "origin": "score"},
        {**output("Rome", False), "error_type": "by_score"},
        {**output("Bonn", True), "origin": "outcome"},
    ]
    [turn] = judge(from_labelled([record(*outputs)]), FakeScorer(by_city)).turns
    assert (turn.probability, turn.right) == (0.2, True)


def test_a_turn_without_calls_is_an_answer() -> None:
    [turn] = judge(from_labelled([record(output(None, True))]), FakeScorer(by_city)).turns
    assert turn.kinds == ("answer",)


def test_of_several_candidates_the_best_scored_is_judged() -> None:
    outputs = [output("Rome", False), output("Oslo", True)] * 4
    found = judge(from_labelled([record(*outputs)], candidates=8), FakeScorer(by_city))
    assert [(t.probability, t.right, t.count) for t in found.turns] == [(0.9, True, 1)]


def test_too_few_candidates_everywhere_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no record has 3"):
        from_labelled([record(output("Oslo", True))], candidates=3)


def test_what_cannot_be_judged_is_counted_and_never_a_low_score() -> None:
    def fail(request: ScoreRequest) -> Sequence[float]:
        raise ScorerUnavailable("it is away")

    async def hang(request: ScoreRequest) -> Sequence[float]:
        await asyncio.sleep(60)
        return [0.5]

    decisions = from_labelled([record(output("Oslo", True))])
    away = judge(decisions, FakeScorer(fail))
    assert (away.turns, dict(away.unjudged)) == ((), {"ScorerUnavailable: it is away": 1})
    late = judge(decisions, FakeScorer(hang), timeout_s=0.01)
    assert dict(late.unjudged) == {"ScorerTimeout: no scores within 0.01 s": 1}
    nan = judge(decisions, FakeScorer(lambda r: [float("nan")]))
    assert [reason.partition(":")[0] for reason in nan.unjudged] == ["InvalidScore"]


def traced(folder: Path, mode: Any, **outcome: Any) -> Any:
    with TraceStore(folder / "traces.db") as store:
        guard = Guard(FakeScorer(lambda r: [0.3, 0.8]), store=store, policy=Policy(mode=mode))
        drafts = [proposal("delete_file", call_id="c1", path="a.txt"), proposal("delete_file")]
        guard.review("Delete a.txt", TOOLS, drafts, conversation_id="t")
        if outcome:
            guard.record_outcome("c1", conversation_id="t", **outcome)
        store.flush()
        return from_traces(store.reviews(), store.outcomes())


@pytest.mark.parametrize("kind", ["execution", "task", "human"])
def test_in_shadow_the_proposal_is_judged_by_what_became_of_it(tmp_path: Path, kind: str) -> None:
    [decision] = traced(tmp_path, "shadow", ok=True, kind=kind)
    [turn] = judge([decision], FakeScorer(lambda r: [0.3, 0.8])).turns
    assert (turn.group, turn.probability, turn.right) == ("t", 0.3, True)
    assert turn.kinds == ("destructive",)


def test_a_bad_outcome_is_wrong_and_none_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    [decision] = traced(tmp_path / "a", "shadow", ok=False, kind="execution")
    assert decision.right == (False, None)
    assert traced(tmp_path, "shadow") == []


def test_that_a_call_was_stopped_says_nothing_of_its_rightness(tmp_path: Path) -> None:
    assert traced(tmp_path, "shadow", ok=False, kind="blocked") == []


def test_an_enforcing_guards_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none in shadow mode.*Policy\(mode='shadow'\)"):
        traced(tmp_path, "enforce", ok=True)
