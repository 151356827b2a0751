"""Which decisions are escalated, and what becomes of them."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard import FakeScorer, Guard, Policy, Rule
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ModelIntegrityError,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.findings import Finding
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Score, Scorer, ScoreRequest
from toolrm_guard.scorers.cascade import Band, CascadeScorer, sureness
from toolrm_guard.tools import ToolSet
from toolrm_guard.validation import finding

TOOLS = ToolSet.of(
    [
        {
            "name": "save_item",
            "description": "Save an item.",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "integer"}, "p": {"type": "number"}},
            },
        }
    ]
)
BAND: dict[str, Any] = {
    "below": 0.4, "first": "fake", "second": "fake", "first_fingerprint": None,
    "second_fingerprint": None, "candidates": 2, "goal": "", "evidence": {}, "escalated": 0.1,
    "accuracy": 0.9, "accuracy_first": 0.8, "accuracy_second": 0.9,
}  # fmt: skip


def asked(*probabilities: float) -> ScoreRequest:
    """A request whose candidates carry what the first scorer will find."""
    calls = [
        Call(name="save_item", arguments={"number": k, "p": p}) for k, p in enumerate(probabilities)
    ]
    return ScoreRequest(
        messages=parse_messages("Save item 1."),
        tools=TOOLS,
        candidates=tuple(Candidate(calls=(call,)) for call in calls),
    )


def cheap() -> FakeScorer:
    return FakeScorer(lambda request: [c.calls[0].arguments["p"] for c in request.candidates])


class Costly:
    """Keeps what it was asked; its scores are unlike the cheap one's."""

    name = "costly"
    thresholds = {"read": 0.4, "write": 0.6, "destructive": 0.6, "answer": 0.4}

    def __init__(self) -> None:
        self.batches: list[list[ScoreRequest]] = []

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        self.batches.append(list(requests))
        return [self.of(request) for request in requests]

    @staticmethod
    def of(request: ScoreRequest) -> list[Score]:
        return [Score(reward=100.0 - k, probability=0.77) for k in range(len(request.candidates))]


# --- sureness -------------------------------------------------------------------------------------


def sure(*probabilities: float) -> float:
    request = asked(*probabilities)
    return sureness(request, [Score(reward=p, probability=p) for p in probabilities])


def test_a_toss_and_a_close_rival_make_unsure() -> None:
    assert sure(0.5, 0.5) == 0.0
    assert sure(0.5) == 0.0
    assert sure(1.0, 0.0) == sure(1.0) == sure(0.0) == 1.0
    assert sure(0.9, 0.8) == pytest.approx(0.45)
    assert sure(0.9, 0.1) > sure(0.9, 0.8) > sure(0.6, 0.5)


def test_a_copy_is_no_rival_nor_is_what_cannot_be_right() -> None:
    request = asked(0.9, 0.1)
    best, _ = request.candidates
    wrong = Candidate(calls=(Call(name="no_such_tool"),))
    scores = [Score(reward=p, probability=p) for p in (0.9, 0.9, 0.89)]
    twice = ScoreRequest(messages=request.messages, tools=TOOLS, candidates=(best, best, wrong))
    assert sureness(twice, scores) == pytest.approx(0.8)
    hopeless = ScoreRequest(messages=request.messages, tools=TOOLS, candidates=(wrong,))
    assert sureness(hopeless, [Score(reward=0.5, probability=0.5)]) == 1.0


PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(PROBABILITIES)
def test_sureness_is_between_none_and_full(probabilities: list[float]) -> None:
    assert 0.0 <= sure(*probabilities) <= 1.0


# --- escalation -----------------------------------------------------------------------------------


@given(st.lists(PROBABILITIES, max_size=6), st.floats(0, 1))
def test_only_what_is_inside_the_band_is_escalated_in_one_batch_and_nothing_else_changes(
    decisions: list[list[float]], below: float
) -> None:
    requests = [asked(*probabilities) for probabilities in decisions]
    costly = Costly()
    cascade = CascadeScorer(cheap(), costly, band=below)
    found = asyncio.run(cascade.score(requests, None))
    unsure = [r for r, p in zip(requests, decisions, strict=True) if sure(*p) < below]
    assert costly.batches == ([unsure] if unsure else [])
    for request, probabilities, scores in zip(requests, decisions, found, strict=True):
        if sure(*probabilities) < below:
            assert scores == Costly.of(request)
        else:
            assert [s.probability for s in scores] == probabilities
    assert (cascade.stats.decisions, cascade.stats.escalated) == (len(requests), len(unsure))


async def test_a_band_of_nothing_escalates_nothing_even_at_a_toss() -> None:
    costly = Costly()
    await CascadeScorer(cheap(), costly, band=0.0).score([asked(0.5, 0.5)], None)
    assert costly.batches == []


def test_thresholds_are_the_stricter_ones_unless_given() -> None:
    cascade = CascadeScorer(cheap(), Costly(), band=0.3)
    assert cascade.thresholds == {"read": 0.5, "write": 0.6, "destructive": 0.6, "answer": 0.5}
    own = {"read": 0.1, "write": 0.1, "destructive": 0.1, "answer": 0.1}
    assert CascadeScorer(cheap(), Costly(), band=0.3, thresholds=own).thresholds == own


# --- when the second fails ------------------------------------------------------------------------


def failing(error: Exception) -> FakeScorer:
    def rate(request: ScoreRequest) -> list[float]:
        raise error

    return FakeScorer(rate)


async def stalled(request: ScoreRequest) -> list[float]:
    await asyncio.sleep(30)
    return []


FAILURES = {
    "down": failing(ScorerUnavailable("down: it was asked for iban DE12")),
    "NaN": FakeScorer(lambda request: [float("nan")] * len(request.candidates)),
    "too few scores": FakeScorer(lambda request: [0.9]),
    "late": FakeScorer(stalled),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_without_the_second_the_first_judgement_stands_in_time(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    cascade = CascadeScorer(cheap(), FAILURES[name], band=0.5)
    deadline = time.monotonic() + 0.2
    [unsure, certain] = await cascade.score([asked(0.55, 0.5), asked(0.99, 0.01)], deadline)
    assert time.monotonic() <= deadline + 0.2  # on a busy machine; the stall would take 30 s
    assert [s.probability for s in unsure] == [0.55, 0.5]
    assert [s.probability for s in certain] == [0.99, 0.01]
    assert (cascade.stats.escalated, cascade.stats.fallbacks) == (1, 1)
    assert "the first judgement stands" in caplog.text
    assert "DE12" not in caplog.text  # nobody has redacted what a server says


@pytest.mark.parametrize(
    ("name", "error"),
    [("down", ScorerUnavailable), ("too few scores", InvalidScore), ("late", ScorerTimeout)],
)
async def test_or_the_guard_could_not_judge_what_was_unsure(
    name: str, error: type[Exception]
) -> None:
    cascade = CascadeScorer(cheap(), FAILURES[name], band=0.5, fallback="unjudged")
    with pytest.raises(error):
        await cascade.score([asked(0.55, 0.5)], time.monotonic() + 0.2)
    [certain] = await cascade.score([asked(0.99, 0.01)], time.monotonic() + 0.2)
    assert certain[0].probability == 0.99


async def test_a_second_that_times_out_by_itself_is_late_without_a_deadline_too() -> None:
    cascade = CascadeScorer(cheap(), failing(TimeoutError()), band=0.5, fallback="unjudged")
    with pytest.raises(ScorerTimeout, match="no scores in time"):
        await cascade.score([asked(0.5)], None)


async def test_a_bug_in_the_second_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await CascadeScorer(cheap(), failing(KeyError("x")), band=0.5).score([asked(0.5)], None)


async def test_a_review_says_unjudged_only_where_it_must() -> None:
    down = failing(ScorerUnavailable("down"))
    request = asked(0.9, 0.85)
    kept = Guard(CascadeScorer(cheap(), down, band=0.6))
    review = await kept.areview("Save item 1.", TOOLS, request.candidates)
    assert review.judged
    strict = Guard(CascadeScorer(cheap(), down, band=0.6, fallback="unjudged"))
    review = await strict.areview("Save item 1.", TOOLS, request.candidates)
    assert not review.judged
    assert "down" in (review.unjudged_reason or "")


async def test_the_critic_is_asked_only_where_a_draft_is_sent_back() -> None:
    class Critic:
        asked = 0

        async def critique(self, request: ScoreRequest, index: int, deadline: float | None) -> str:
            self.asked += 1
            return "Mind the number."

    critic = Critic()
    guard = Guard(
        CascadeScorer(cheap(), Costly(), band=0.3), critic=critic, policy=Policy(deadline_s=5.0)
    )
    passed = await guard.areview("Save item 1.", TOOLS, asked(0.95, 0.1).candidates)
    assert (passed.decision, critic.asked) == ("execute", 0)
    sent_back = await guard.areview("Save item 1.", TOOLS, asked(0.02, 0.01).candidates)
    assert (sent_back.decision, critic.asked) == ("correct", 1)
    assert "Mind the number." in (sent_back.critique or "")


async def test_a_cancelled_review_cancels_the_second() -> None:
    ended: list[bool] = []

    async def wait(request: ScoreRequest) -> list[float]:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)
        return []

    task = asyncio.create_task(
        CascadeScorer(cheap(), FakeScorer(wait), band=0.5).score([asked(0.5)], None)
    )
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


# --- what else a scorer may do --------------------------------------------------------------------


class Talking(FakeScorer):
    """Says of a candidate which scorer it is, and whether it was closed."""

    is_closed = False

    def __init__(self, rate: Any, remark: str) -> None:
        super().__init__(rate)
        self.remark = remark

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        return (finding("weak_evidence", self.remark),) if self.remark else ()

    async def aclose(self) -> None:
        self.is_closed = True
        if self.remark == "stuck":
            raise OSError("stuck")


def low(request: ScoreRequest) -> list[float]:
    return [call.arguments["p"] for c in request.candidates for call in c.calls]


@pytest.mark.parametrize(
    ("second", "p", "said"),
    [
        (Talking(low, "second"), 0.4, "second"),
        (Talking(low, "second"), 0.01, "first"),
        (Talking(low, ""), 0.4, "first"),
        (Costly(), 0.4, "first"),
        (failing(ScorerUnavailable("down")), 0.4, "first"),
    ],
    ids=["escalated", "kept", "has nothing to say", "cannot say", "is away"],
)
async def test_a_draft_is_explained_by_the_scorer_that_judged_it(
    second: Scorer, p: float, said: str
) -> None:
    policy = Policy(write=Rule(threshold=0.9))
    guard = Guard(CascadeScorer(Talking(low, "first"), second, band=0.5), policy=policy)
    review = await guard.areview("Save item 1.", TOOLS, asked(p).candidates)
    assert review.decision == "correct"
    assert [f.message for f in review.scores[0].findings if f.code == "weak_evidence"] == [said]


async def test_what_neither_scorer_can_explain_is_left_to_the_findings() -> None:
    cascade = CascadeScorer(cheap(), Costly(), band=0.5)
    assert cascade.explain(asked(0.4), 0) == ()


async def test_closing_closes_both_though_the_first_fails_to() -> None:
    first, second = Talking(low, "stuck"), Talking(low, "")
    with pytest.raises(OSError, match="stuck"):
        await CascadeScorer(first, second, band=0.5).aclose()
    assert first.is_closed
    assert second.is_closed
    await CascadeScorer(cheap(), Costly(), band=0.5).aclose()  # nothing to close


# --- set-up ---------------------------------------------------------------------------------------


class Printed(Costly):
    def __init__(self, name: str, fingerprint: str) -> None:
        super().__init__()
        self.name = name
        self.fingerprint = fingerprint


def test_a_band_belongs_to_both_models(tmp_path: Path) -> None:
    first, second = Printed("a", "1"), Printed("b", "2")
    fitted = {
        **BAND,
        "first": "a",
        "second": "b",
        "first_fingerprint": "1",
        "second_fingerprint": "2",
    }
    path = tmp_path / "band.json"
    path.write_text(json.dumps(fitted))
    whole = CascadeScorer(first, second, band=path)
    assert whole.fingerprint == CascadeScorer(first, second, band=Band.load(path)).fingerprint
    for other in (Printed("b", "3"), Printed("c", "2")):
        with pytest.raises(ModelIntegrityError, match=r"made with 'b'.*run `toolrm-guard cascade`"):
            CascadeScorer(first, other, band=path)


def test_the_fingerprint_holds_both_models_and_the_band() -> None:
    first, second = Printed("a", "1"), Printed("b", "2")
    prints = {
        CascadeScorer(first, second, band=0.1).fingerprint,
        CascadeScorer(first, second, band=0.2).fingerprint,
        CascadeScorer(second, first, band=0.1).fingerprint,
        CascadeScorer(first, Printed("b", "3"), band=0.1).fingerprint,
    }
    assert len(prints) == 4
    assert None not in prints
    assert CascadeScorer(cheap(), second, band=0.1).fingerprint is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"band": 1.5}, r"band 1\.5 is no sureness"),
        ({"band": "nowhere.json"}, "make it with `toolrm-guard cascade`"),
        ({"band": 0.1, "fallback": "none"}, "neither 'first' nor 'unjudged'"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CascadeScorer(cheap(), Costly(), **wrong)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "band.json"
    path.write_text('{"below": 2}')
    with pytest.raises(ConfigurationError, match="is not a file of `toolrm-guard cascade`"):
        Band.load(path)


def test_by_name_it_needs_to_know_its_second_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="set TOOLRM_GUARD_CASCADE_SECOND"):
        resolve("cascade")
    monkeypatch.setenv("TOOLRM_GUARD_CASCADE_SECOND", "lite")
    monkeypatch.setenv("TOOLRM_GUARD_CASCADE_BAND", "nowhere.json")
    with pytest.raises(ConfigurationError, match=r"nowhere\.json"):
        resolve("cascade")
