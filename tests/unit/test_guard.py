"""The guard: every candidate scored, approvals bound to the exact call, outages told apart."""

import asyncio
import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.conftest import TOOLS, proposal
from tests.unit.test_calls import json_values, nested
from toolrm_guard import FakeScorer, Guard, Policy, Rule, ScoreRequest
from toolrm_guard.budget import Allowance
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidToolError,
    ScorerUnavailable,
    StoreError,
    UnknownScorerError,
)
from toolrm_guard.findings import Finding
from toolrm_guard.validation import finding

GET = proposal("get_file", path="a.txt")
DELETE = proposal("delete_file", path="a.txt")


def rated(*probabilities: float, **policy: Any) -> Guard:
    return Guard(FakeScorer(lambda request: probabilities), policy=Policy(**policy))


def test_the_best_candidate_is_chosen_and_its_call_approved(tools: Any) -> None:
    review = rated(0.6, 0.9).review("Delete a.txt", tools, [GET, DELETE])
    assert review.decision == "execute"
    assert review.chosen == 1
    assert [call.name for call in review.approved] == ["delete_file"]
    assert review.critique is None


def test_unanimous_candidates_are_scored_all_the_same(tools: Any) -> None:
    shown: list[ScoreRequest] = []

    def rate(request: ScoreRequest) -> list[float]:
        shown.append(request)
        return [0.1] * len(request.candidates)

    review = Guard(FakeScorer(rate)).review("Delete a.txt", tools, [DELETE, DELETE, DELETE])
    assert len(shown[0].candidates) == 3
    assert list(shown[0].tools) == ["get_file", "delete_file"]
    assert review.decision == "correct"
    assert review.approved == ()


def test_an_approval_covers_exactly_the_call_that_was_reviewed(tools: Any) -> None:
    review = rated(0.9).review("Delete a.txt", tools, [DELETE])
    assert review.approves({"name": "delete_file", "arguments": '{"path": "a.txt"}'})
    assert not review.approves({"name": "delete_file", "arguments": {"path": "b.txt"}})
    assert not review.approves({"name": "delete_file", "arguments": {"path": "a.txt", "f": 1}})
    assert not review.approves({"name": "get_file", "arguments": {"path": "a.txt"}})


def test_a_rejected_review_approves_nothing(tools: Any) -> None:
    review = rated(0.1, max_corrections=0).review("Delete a.txt", tools, [DELETE])
    assert review.decision == "reject"
    assert not review.approves(DELETE["tool_calls"][0])


def test_a_finding_of_severity_error_beats_any_score(tools: Any) -> None:
    review = rated(0.99, 0.6).review(
        "Delete a.txt", tools, [proposal("delete_file", wrong="a.txt"), DELETE]
    )
    assert review.chosen == 1
    assert {f.code for f in review.findings[0]} >= {"missing_required", "unexpected_argument"}


def test_corrections_are_capped_by_the_policy(tools: Any) -> None:
    guard = rated(0.1, max_corrections=2)
    decisions = [guard.review("?", tools, [DELETE], round=k).decision for k in range(4)]
    assert decisions == ["correct", "correct", "reject", "reject"]


def broken(error: Exception) -> FakeScorer:
    def rate(request: ScoreRequest) -> list[float]:
        raise error

    return FakeScorer(rate)


async def stalls(request: ScoreRequest) -> list[float]:
    await asyncio.sleep(60)
    return []


@pytest.mark.parametrize(
    ("scorer", "says"),
    [
        (broken(ScorerUnavailable("no server")), "ScorerUnavailable: no server"),
        (broken(KeyError("bug")), "KeyError"),
        (FakeScorer(stalls), "ScorerTimeout"),
        (FakeScorer(lambda request: [math.nan]), "InvalidScore"),
        (FakeScorer(lambda request: [0.9, 0.9]), "InvalidScore"),
        (FakeScorer(lambda request: []), "InvalidScore"),
    ],
    ids=["outage", "bug", "stall", "nan", "too many", "none"],
)
def test_could_not_judge_is_neither_a_score_nor_a_crash(
    tools: Any, scorer: FakeScorer, says: str
) -> None:
    guard = Guard(scorer, policy=Policy(deadline_s=0.05))
    reading = guard.review("Read a.txt", tools, [GET])
    assert not reading.judged
    assert says in (reading.unjudged_reason or "")
    assert reading.scores == ()
    assert reading.decision == "execute"
    deleting = guard.review("Delete a.txt", tools, [DELETE])
    assert deleting.decision == "escalate"
    assert deleting.approved == ()


def test_an_outage_still_blocks_what_cannot_be_right(tools: Any) -> None:
    guard = Guard(broken(ScorerUnavailable("down")), policy=Policy(max_corrections=0))
    review = guard.review("Read a.txt", tools, [proposal("get_file")])
    assert review.decision == "reject"


async def test_a_review_never_takes_longer_than_its_deadline(tools: Any) -> None:
    guard = Guard(FakeScorer(stalls), policy=Policy(deadline_s=0.1))
    started = time.perf_counter()
    await guard.areview("Read a.txt", tools, [GET])
    assert time.perf_counter() - started < 0.4


async def test_the_sync_twin_works_inside_a_running_loop(tools: Any) -> None:
    assert rated(0.9).review("Delete a.txt", tools, [DELETE]).decision == "execute"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"path": math.nan}, "not_finite"),
        ({"path": "x" * 10_000_000}, "oversized_arguments"),
        ({"path": "\ud800"}, "lone_surrogate"),
        ({"path": nested(1000)}, "too_deep"),
        ({"path": "<|im_end|>"}, "control_text"),
        ('{"path": ', "malformed_arguments"),
    ],
    ids=["nan", "10 MB", "surrogate", "deep", "template token", "cut"],
)
def test_hostile_arguments_become_a_finding(tools: Any, arguments: object, code: str) -> None:
    candidate = {"tool_calls": [{"name": "get_file", "arguments": arguments}]}
    review = rated(0.9).review("Read it", tools, [candidate])
    assert code in {finding.code for finding in review.findings[0]}
    assert (review.approved == ()) == (code != "control_text")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text(), st.dictionaries(st.text(), json_values)), max_size=3),
    st.text(st.characters(codec=None)),
)
def test_no_model_output_makes_a_review_raise(
    calls: Sequence[tuple[str, dict[str, Any]]], text: str
) -> None:
    candidate = {
        "content": text,
        "tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls],
    }
    review = rated(0.9, 0.8).review(text, TOOLS, [candidate, GET])
    assert {call.name for call in review.approved} <= {"get_file", "delete_file"}


def test_the_tools_are_read_again_when_they_change(tools: Any) -> None:
    guard = rated(0.9)
    assert guard.review("?", tools, [GET]).approved
    assert not guard.review("?", tools[1:], [GET]).approved


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Guard("liet"), UnknownScorerError, "did you mean 'lite'"),
        (lambda: Guard(3), UnknownScorerError, "int is not a scorer"),
        (
            lambda: Guard(FakeScorer(lambda r: [], thresholds={"read": 0.5})),
            ConfigurationError,
            "no threshold for 'write'",
        ),
        (
            lambda: Guard(FakeScorer(lambda r: []), store="/proc/none/traces.db"),
            StoreError,
            "/proc/none/traces.db",
        ),
    ],
)
def test_a_wrong_set_up_fails_when_the_guard_is_made(make: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make()


def test_a_rule_with_its_own_threshold_needs_no_calibration() -> None:
    rule = Rule(threshold=0.5)
    policy = Policy(read=rule, write=rule, destructive=rule, answer=rule)
    Guard(FakeScorer(lambda r: [], thresholds={"read": 0.5}), policy=policy)


def test_bad_input_of_the_caller_is_an_error(tools: Any) -> None:
    with pytest.raises(ConfigurationError, match="no candidates"):
        rated().review("?", tools, [])
    with pytest.raises(InvalidToolError, match="two tools"):
        rated(0.9).review("?", [*tools, tools[0]], [GET])


def test_a_write_that_already_succeeded_is_passed_over_for_an_answer(tools: Any) -> None:
    done = [
        {"role": "user", "content": "Delete a.txt"},
        {"role": "assistant", "content": "", **proposal("delete_file", "c1", path="a.txt")},
        {"role": "tool", "tool_call_id": "c1", "content": "deleted"},
    ]
    review = rated(0.9, 0.8).review(done, tools, [DELETE, "It is deleted."])
    assert review.chosen == 1
    failed = [*done[:2], {"role": "tool", "tool_call_id": "c1", "content": "error: busy"}]
    assert rated(0.9, 0.8).review(failed, tools, [DELETE, "Sorry."]).chosen == 0


@pytest.mark.parametrize(
    ("answer", "runs_again"),
    [
        ({"content": '{"ok": true, "error": null}', "status": "success"}, False),
        ({"content": '{"ok": true, "error": null}'}, False),
        ({"content": "The guard could not judge.", "status": "error"}, True),
        ({"content": "Error: disk full"}, True),
        ({"content": '{"error": "disk full"}'}, True),
    ],
)
def test_only_a_call_that_succeeded_counts_as_done(
    tools: Any, answer: dict[str, Any], runs_again: bool
) -> None:
    history = [
        {"role": "user", "content": "Delete a.txt"},
        {"role": "assistant", "content": "", **proposal("delete_file", "c1", path="a.txt")},
        {"role": "tool", "tool_call_id": "c1", **answer},
    ]
    review = rated(0.9).review(history, tools, [DELETE])
    assert bool(review.approved) == runs_again


def test_a_scorer_that_holds_the_loop_past_the_deadline_is_late(tools: Any) -> None:
    def slow(request: ScoreRequest) -> list[float]:
        time.sleep(0.2)
        return [0.9]

    review = Guard(FakeScorer(slow), policy=Policy(deadline_s=0.05)).review("?", tools, [GET])
    assert "ScorerTimeout" in (review.unjudged_reason or "")


def test_a_scorer_that_returns_no_scores_but_numbers_could_not_judge(tools: Any) -> None:
    class Sloppy(FakeScorer):
        async def score(self, requests: Any, deadline: Any) -> Any:
            return [[0.5]]

    assert not Guard(Sloppy(lambda request: [])).review("?", tools, [GET]).judged


def test_a_sync_review_inside_a_scorer_of_a_sync_review_is_an_error_not_a_hang(tools: Any) -> None:
    inner = rated(0.9)

    def nested_review(request: ScoreRequest) -> list[float]:
        inner.review("?", tools, [GET])
        return [0.9]

    review = Guard(FakeScorer(nested_review)).review("?", tools, [GET])
    assert "async twin" in (review.unjudged_reason or "")


async def slow(request: ScoreRequest) -> list[float]:
    await asyncio.sleep(0.3)
    return [0.9] * len(request.candidates)


@pytest.mark.parametrize(("name", "judged"), [("get_file", False), ("delete_file", True)])
def test_a_rule_may_be_more_patient_than_the_policy(name: str, judged: bool) -> None:
    policy = Policy(deadline_s=0.05, destructive=Rule(deadline_s=5.0))
    review = Guard(FakeScorer(slow), policy=policy).review(
        "x", TOOLS, [proposal(name, path="a.txt")]
    )
    assert review.judged is judged


def test_in_shadow_the_models_own_proposal_passes_and_the_real_review_lies_beside_it() -> None:
    guard = Guard(FakeScorer(lambda request: [0.1, 0.2]), policy=Policy(mode="shadow"))
    proposals = [DELETE, proposal("delete_file", path="b.txt")]
    review = guard.review("x", TOOLS, proposals, may_correct=False)
    assert (review.decision, review.chosen, review.critique) == ("execute", 0, None)
    assert review.approves(proposals[0]["tool_calls"][0])
    assert review.shadow is not None
    assert (review.shadow.decision, review.shadow.chosen) == ("reject", 1)
    assert review.shadow.approved == ()


class Critic:
    """Says something, or fails."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer

    async def critique(self, request: ScoreRequest, index: int, deadline: float | None) -> str:
        assert deadline is not None
        if isinstance(self.answer, Exception):
            raise self.answer
        return f"{self.answer} {request.candidates[index].calls[0].name}"


def test_a_critic_writes_the_critique_of_what_is_sent_back() -> None:
    guard = Guard(FakeScorer(lambda request: [0.1]), critic=Critic("Think again about"))
    sent_back = guard.review("x", TOOLS, [DELETE])
    assert sent_back.decision == "correct"
    assert sent_back.critique == "Think again about delete_file"
    final = guard.review("x", TOOLS, [DELETE], may_correct=False)
    assert "Think again" not in (final.critique or ""), "a final no needs no critic"


@pytest.mark.parametrize("answer", [ScorerUnavailable("down"), ValueError("bug"), TimeoutError()])
def test_the_findings_stand_in_for_a_critic_that_fails(answer: Exception) -> None:
    guard = Guard(FakeScorer(lambda request: [0.1]), critic=Critic(answer))
    review = guard.review("x", TOOLS, [DELETE])
    assert review.decision == "correct"
    assert "not accepted" in (review.critique or "")


@pytest.mark.parametrize("form", [list, tuple])
def test_a_schema_that_is_changed_in_place_is_read_again(form: Any) -> None:
    tool = {"name": "get", "parameters": {"type": "object", "properties": {"a": {}}}}
    guard, offered = rated(0.9), form([tool])
    before = guard.toolset(offered)
    assert guard.toolset(form([dict(tool)])) is before
    tool["parameters"]["properties"]["b"] = {}  # type: ignore[index]  # a plain dict
    assert list(guard.toolset(offered)["get"].properties) == ["a", "b"]
    assert list(before["get"].properties) == ["a"]


class Explaining(FakeScorer):
    """Counts how often it is asked for more than scores."""

    asked = 0

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        self.asked += 1
        return (finding("weak_evidence", "Too far."),)


def test_only_a_review_that_decides_is_explained(tools: Any) -> None:
    scorer = Explaining(lambda request: [0.1])
    guard = Guard(scorer)
    allowance = Allowance(left=3, of=4, margin=0.0)
    provisional = guard.review("?", tools, [DELETE], allowance=allowance)
    assert (provisional.more, scorer.asked) == (1, 0)
    assert "not accepted" in (provisional.critique or ""), "it stands if the larger set is unjudged"
    final = guard.review("?", tools, [DELETE], allowance=dataclasses.replace(allowance, left=0))
    assert (final.more, scorer.asked) == (0, 1)
    assert "Too far." in (final.critique or "")


def test_warnings_are_there_though_an_approval_needs_none_of_them(tools: Any) -> None:
    review = rated(0.9).review("Delete a.txt", tools, [proposal("delete_file", path="zz.doc")])
    assert review.decision == "execute"
    assert "ungrounded_value" in {finding.code for finding in review.findings[0]}


async def cancelled_inside(*_: Any) -> Any:
    waited_for = asyncio.ensure_future(asyncio.sleep(10))
    waited_for.cancel()
    await waited_for


async def test_what_is_cancelled_inside_a_scorer_or_critic_is_its_failure_alone() -> None:
    class Critic:
        critique = staticmethod(cancelled_inside)

    review = await Guard(FakeScorer(cancelled_inside)).areview("hi", [], ["hello"])
    assert not review.judged
    assert (review.unjudged_reason or "").startswith("ScorerUnavailable")
    low = Guard(FakeScorer(lambda r: [0.1]), critic=Critic())
    assert (await low.areview("hi", [], ["hello"])).critique


async def test_a_review_that_is_cancelled_ends() -> None:
    async def slow(_: object) -> list[float]:
        await asyncio.sleep(10)
        return [1.0]

    running = asyncio.ensure_future(Guard(FakeScorer(slow)).areview("hi", [], ["hello"]))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
