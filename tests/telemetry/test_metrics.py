"""What the real SDK is told of reviews, and that no content is in it."""

import asyncio
import re
from typing import Any

import pytest

from tests.telemetry.conftest import Sink, points
from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard, Policy, Rule, ScoreRequest, metrics
from toolrm_guard.budget import Allowance
from toolrm_guard.errors import ScorerUnavailable


def guard_rating(*rates: float, **options: Any) -> Guard:
    return Guard(FakeScorer(lambda request: rates), **options)


def failing(error: Exception) -> FakeScorer:
    def rate(request: ScoreRequest) -> list[float]:
        raise error

    return FakeScorer(rate)


def test_a_review_is_counted_by_decision_effect_mode_and_scorer(otel: Sink) -> None:
    guard_rating(0.9).review("read a", TOOLS, [proposal("get_file", path="a")])
    guard_rating(0.1).review("x", TOOLS, [proposal("delete_file", path="a")], may_correct=False)
    found = otel.metrics()
    assert points(found["toolrm_guard.decisions"]) == {
        ("execute", "read", "enforce", "fake"): 1,
        ("reject", "destructive", "enforce", "fake"): 1,
    }
    assert points(found["toolrm_guard.calls"]) == {
        ("read", "enforce", "fake", "approve"): 1,
        ("destructive", "enforce", "fake", "reject"): 1,
    }


def test_a_turn_without_calls_has_the_effect_answer(otel: Sink) -> None:
    guard_rating(0.9).review("hello", TOOLS, ["hello"])
    assert points(otel.metrics()["toolrm_guard.decisions"]) == {
        ("execute", "answer", "enforce", "fake"): 1
    }


def test_times_are_in_seconds_in_buckets_that_suit_a_review(otel: Sink) -> None:
    async def slow(request: ScoreRequest) -> list[float]:
        await asyncio.sleep(0.03)
        return [0.9]

    Guard(FakeScorer(slow)).review("hello", TOOLS, ["hello"])
    found = otel.metrics()
    for name in ("toolrm_guard.review.duration", "toolrm_guard.scorer.duration"):
        [point] = found[name].data.data_points
        assert found[name].unit == "s"
        assert 0.03 <= point.sum < 2
        assert point.explicit_bounds == metrics.SECONDS


def test_in_shadow_what_would_have_been_decided_is_counted(otel: Sink) -> None:
    guard = guard_rating(0.1, policy=Policy(mode="shadow"))
    review = guard.review("x", TOOLS, [proposal("get_file", path="a")], may_correct=False)
    assert review.decision == "execute"
    assert points(otel.metrics()["toolrm_guard.decisions"]) == {
        ("reject", "read", "shadow", "fake"): 1
    }


def test_an_outage_is_counted_by_the_class_of_its_error_and_as_no_score(otel: Sink) -> None:
    for error in (ScorerUnavailable("at 10.0.0.1"), ValueError("SECRET")):
        Guard(failing(error)).review("x", TOOLS, [proposal("delete_file", path="a")])
    assert not otel.events
    assert points(otel.metrics()["toolrm_guard.unjudged"]) == {
        ("ScorerUnavailable", "destructive", "enforce", "fake"): 2
    }


def test_a_provisional_review_takes_time_but_decides_nothing(otel: Sink) -> None:
    review = guard_rating(0.1).review(
        "x",
        TOOLS,
        [proposal("get_file", path="a")],
        allowance=Allowance(left=3, of=4, margin=0.1),
    )
    assert review.more
    found = otel.metrics()
    assert "toolrm_guard.decisions" not in found
    assert points(found["toolrm_guard.review.duration"]) == {("enforce", "fake"): 1}


def test_corrections_are_counted_by_what_they_came_to(otel: Sink) -> None:
    guard = guard_rating(0.1, 0.9)
    drafts = [proposal("get_file", path="a"), proposal("get_file", path="b")]
    guard.review("read b", TOOLS, drafts, round=1)
    assert points(otel.metrics()["toolrm_guard.corrections"]) == {("execute", "enforce", "fake"): 1}


@pytest.mark.parametrize("reason", ["low_score", "unjudged"])
def test_held_calls_are_counted_by_reason(otel: Sink, reason: str) -> None:
    asks = Rule(on_low="escalate", on_unjudged="escalate")
    scorer = FakeScorer(lambda _: [0.1]) if reason == "low_score" else failing(OSError())
    guard = Guard(scorer, policy=Policy(destructive=asks))
    guard.review("x", TOOLS, [proposal("delete_file", path="a")], may_correct=False)
    assert points(otel.metrics()["toolrm_guard.escalations"]) == {
        ("destructive", "enforce", reason, "fake"): 1
    }


def test_outcomes_are_counted_without_a_store_too(otel: Sink) -> None:
    guard = guard_rating(0.9)
    guard.record_outcome("c1", ok=False, kind="execution", content="SECRET")
    guard.record_outcome("c1", ok=True)
    assert points(otel.metrics()["toolrm_guard.outcomes"]) == {
        ("execution", "False"): 1,
        ("task", "True"): 1,
    }


def test_tools_are_named_when_asked_and_invented_names_share_one_value(otel: Sink) -> None:
    guard = guard_rating(0.9, tool_metrics=True)
    for name in ("get_file", "made_up_1", "made_up_2", "SECRET"):
        guard.review("x", TOOLS, [proposal(name, path="a")], may_correct=False)
    [point, other] = sorted(
        otel.metrics()["toolrm_guard.calls"].data.data_points,
        key=lambda p: str(p.attributes["gen_ai.tool.name"]),
    )
    assert (point.attributes["gen_ai.tool.name"], point.value) == ("(unknown tool)", 3)
    assert (other.attributes["gen_ai.tool.name"], other.value) == ("get_file", 1)


def test_no_content_is_in_spans_events_or_metrics(otel: Sink) -> None:
    def leaky(request: ScoreRequest) -> list[float]:
        raise ValueError(f"cannot score {request.candidates[0].calls[0].arguments}")

    secret = "sk-SECRET-0123456789"
    calls = [proposal("get_file", call_id="c1", path=secret), proposal(secret, path=secret)]
    for guard in (
        guard_rating(0.2, 0.1, tool_metrics=True),
        guard_rating(0.9, 0.1),
        Guard(failing(ScorerUnavailable(f"{secret} failed"))),
        Guard(FakeScorer(leaky)),
    ):
        for candidates in (calls, [calls[1]] * 2, [secret, secret]):
            guard.review(f"The key is {secret}", TOOLS, candidates, conversation_id="talk")
    guard.record_outcome("c1", ok=False, content=secret)
    told = otel.everything()
    assert "c1" in told
    assert "(unknown tool)" in told
    assert "SECRET" not in told


def test_names_and_units_follow_the_conventions() -> None:
    rows = [row for row in vars(metrics).values() if isinstance(row, metrics.Instrument)]
    assert len({row.name for row in rows}) == len(rows) >= 8
    for row in rows:
        assert re.fullmatch(r"toolrm_guard(\.[a-z_]+)+", row.name)
        assert row.unit == "s" if row.kind == "histogram" else re.fullmatch(r"\{[a-z]+\}", row.unit)
        assert not row.name.endswith(("_total", "_count", "_seconds", ".total"))
