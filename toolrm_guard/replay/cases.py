"""A stored review as something that can be judged again, and what follows from new scores."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from toolrm_guard import blocking
from toolrm_guard.errors import GuardError
from toolrm_guard.guard import Guard
from toolrm_guard.judged import recorded_effects
from toolrm_guard.policy import Decision, Policy
from toolrm_guard.records import (
    CandidateRecord,
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
    message_from_record,
)
from toolrm_guard.review import Review
from toolrm_guard.scorers.base import Scorer, ScoreRequest
from toolrm_guard.tools import ToolSet

_TELLING = ("execution", "task", "human")
"""Outcomes that say whether a call was right; `blocked` only says that it did not run."""

_AT_ONCE = 8
"""Reviews a scorer is given at a time, so that one behind a server can batch them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One stored review.

    Attributes:
        review: As it was recorded.
        request: What is judged again.
        ran: Number of the candidate that ran, or would have if any did.
        right: Whether what ran is known to be right; None where nothing tells.
    """

    review: ReviewRecord
    request: ScoreRequest
    ran: int
    right: bool | None

    @property
    def conversation(self) -> str:
        """What is drawn together when an interval is estimated."""
        return self.review.conversation_id or self.review.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a scorer's guard decides about a case.

    Attributes:
        decision: Of the review.
        chosen: Number of the chosen candidate.
        approved: Digests of the calls that may run.
        probabilities: One per candidate.
        passes: Whether exactly what ran would run: the same calls chosen, all of them approved.
        blocked: Whether what ran would be chosen and a call of it withheld.
    """

    decision: Decision
    chosen: int
    approved: frozenset[str]
    probabilities: tuple[float | None, ...]
    passes: bool
    blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """Why a case has no judgement."""

    reason: str


Judged = Judgement | Unjudged


def read_cases(
    reviews: Iterable[ReviewRecord], outcomes: Iterable[OutcomeRecord]
) -> tuple[list[Case], list[tuple[ReviewRecord, Unjudged]]]:
    """Return the cases of a store, oldest first, and the reviews that cannot be put again."""
    known = OutcomeIndex(outcome for outcome in outcomes if outcome.kind in _TELLING)
    cases, unreadable = [], []
    for review in sorted(reviews, key=lambda review: (review.created_at, review.id)):
        try:
            request = ScoreRequest(
                messages=tuple(message_from_record(message) for message in review.messages),
                tools=ToolSet.of(review.tools),
                candidates=tuple(candidate_from_record(c) for c in review.candidates),
            )
        except GuardError as exc:
            unreadable.append((review, Unjudged(reason=f"{type(exc).__name__}: {exc}")))
            continue
        ran = 0 if review.mode == "shadow" else review.chosen
        right = _is_right(review, review.candidates[ran], known)
        cases.append(Case(review=review, request=request, ran=ran, right=right))
    return cases, unreadable


def _is_right(
    review: ReviewRecord, candidate: CandidateRecord, outcomes: OutcomeIndex
) -> bool | None:
    """Tell whether what ran was right: something good is known of every call, or bad of one."""
    if review.mode == "enforce" and review.decision == "correct":
        return None  # a draft that was sent back ran nowhere
    known = [
        # Who answers in the tool's place says nothing of the call.
        [o for o in outcomes.of(call, review) if (o.kind, o.label) != ("human", "respond")]
        for call in candidate.calls
    ]
    if any(not outcome.ok for found in known for outcome in found):
        return False
    return True if known and all(known) else None


def policy_of(reviews: Iterable[ReviewRecord]) -> Policy:
    """Return the default rules with the effect classes that the application's own policy gave."""
    effect_of = recorded_effects(reviews, Policy())
    return Policy(classify=lambda tool: effect_of(tool.name, ToolSet([tool])))


def as_recorded(case: Case) -> Judged:
    """Return what was decided at the time."""
    review = case.review
    if not review.judged:
        return Unjudged(reason=review.unjudged_reason or "not judged when it was recorded")
    chosen = review.candidates[review.chosen]
    # Of a call from which something was taken, the stored digest is not that of what is stored.
    calls = zip(case.request.candidates[review.chosen].calls, chosen.calls, strict=True)
    return _judgement(
        case,
        decision=review.decision,
        chosen=review.chosen,
        approved=frozenset(call.digest for call, said in calls if said.verdict == "approve"),
        probabilities=tuple(candidate.probability for candidate in review.candidates),
    )


def judge_again(
    cases: Sequence[Case], scorer: Scorer, policy: Policy, *, timeout_s: float = 60.0
) -> list[Judged]:
    """Return what a guard with this scorer would decide, one per case.

    A review that cannot be judged is said to be so: an outage is no decision.

    Args:
        cases: From `read_cases`.
        scorer: What gives the probabilities; its own thresholds apply.
        policy: The rules.
        timeout_s: Seconds after which a case counts as unjudged.
    """
    guard = Guard(scorer, policy=replace(policy, deadline_s=timeout_s), redactor=None)
    found: list[Judged] = []
    for start in range(0, len(cases), _AT_ONCE):
        batch = cases[start : start + _AT_ONCE]
        reviews = blocking.run(_review_all(guard, batch))
        found += [_as_judged(case, review) for case, review in zip(batch, reviews, strict=True)]
    return found


async def _review_all(guard: Guard, cases: Sequence[Case]) -> list[Review]:
    return await asyncio.gather(
        *(
            guard.areview(
                case.request.messages,
                case.request.tools,
                case.request.candidates,
                round=case.review.round,
            )
            for case in cases
        )
    )


def _as_judged(case: Case, review: Review) -> Judged:
    if review.unjudged_reason is not None:
        return Unjudged(reason=review.unjudged_reason)
    return _judgement(
        case,
        decision=review.decision,
        chosen=review.chosen,
        approved=frozenset(call.digest for call in review.approved),
        probabilities=tuple(score.probability for score in review.scores),
    )


def _judgement(
    case: Case,
    *,
    decision: Decision,
    chosen: int,
    approved: frozenset[str],
    probabilities: tuple[float | None, ...],
) -> Judgement:
    turn, ran = (case.request.candidates[number] for number in (chosen, case.ran))
    same = turn.canonical == ran.canonical
    whole = approved == {call.digest for call in turn.calls}
    passes = same and whole and decision == "execute"
    return Judgement(
        decision=decision,
        chosen=chosen,
        # Of a draft that goes back, or is refused, nothing runs.
        approved=approved if decision in ("execute", "escalate") else frozenset(),
        probabilities=probabilities,
        passes=passes,
        blocked=same and not passes,
    )
