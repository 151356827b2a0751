"""A stored review as something that can be judged again, and what follows from new scores."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolrm_guard import blocking
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import CouldNotJudge, GuardError
from toolrm_guard.judged import recorded_effects, scores_of
from toolrm_guard.policy import Decision, Policy, decide, is_blocked, judge, threshold_for
from toolrm_guard.records import (
    CandidateRecord,
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
    message_from_record,
)
from toolrm_guard.scorers.base import Score, Scorer, ScoreRequest
from toolrm_guard.selection import best
from toolrm_guard.tools import ToolSet

_log = logging.getLogger(__name__)

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
    known = [outcomes.of(call, review) for call in candidate.calls]
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
    approved = frozenset(call.digest for call in chosen.calls if call.verdict == "approve")
    if review.decision in ("correct", "reject"):
        approved = frozenset()
    return _judgement(
        case,
        decision=review.decision,
        chosen=review.chosen,
        approved=approved,
        whole=len(approved) == len({call.digest for call in chosen.calls}),
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
    found: list[Judged] = []
    for start in range(0, len(cases), _AT_ONCE):
        batch = cases[start : start + _AT_ONCE]
        scored = blocking.run(_score_all(scorer, batch, timeout_s))
        found += [
            scores if isinstance(scores, Unjudged) else _decided(case, scores, scorer, policy)
            for case, scores in zip(batch, scored, strict=True)
        ]
    return found


async def _score_all(
    scorer: Scorer, cases: Sequence[Case], timeout_s: float
) -> list[list[Score] | Unjudged]:
    return await asyncio.gather(*(_score(scorer, case.request, timeout_s) for case in cases))


async def _score(scorer: Scorer, request: ScoreRequest, timeout_s: float) -> list[Score] | Unjudged:
    try:
        return await scores_of(scorer, request, timeout_s)
    except CouldNotJudge as exc:
        return Unjudged(reason=f"{type(exc).__name__}: {exc}")
    except Exception as exc:  # noqa: BLE001  # one odd record must not end a replay of thousands
        _log.exception("scorer %r failed", scorer.name)
        return Unjudged(reason=f"{type(exc).__name__}: {exc}")


def _decided(case: Case, scores: Sequence[Score], scorer: Scorer, policy: Policy) -> Judgement:
    """Return the decision that `Guard` takes from these scores."""
    request = case.request
    certain = [request.finder.find_certain(candidate) for candidate in request.candidates]
    blocked = [
        is_blocked(candidate, found, request.tools, policy)
        for candidate, found in zip(request.candidates, certain, strict=True)
    ]
    chosen = best([score.reward for score in scores], blocked=blocked)
    probability = scores[chosen].probability
    verdicts = judge(
        request.candidates[chosen],
        probability=probability,
        findings=certain[chosen],
        tools=request.tools,
        policy=policy,
        thresholds=scorer.thresholds,
    )
    decision = decide(
        verdicts,
        answer_accepted=probability >= threshold_for("answer", policy, scorer.thresholds),
        may_correct=case.review.round < policy.max_corrections,
    )
    approved = frozenset(v.call.digest for v in verdicts if v.verdict == "approve")
    whole = len(approved) == len({v.call.digest for v in verdicts})
    return _judgement(
        case,
        decision=decision,
        chosen=chosen,
        approved=approved if decision in ("execute", "escalate") else frozenset(),
        whole=whole and decision == "execute",
        probabilities=tuple(score.probability for score in scores),
    )


def _judgement(
    case: Case,
    *,
    decision: Decision,
    chosen: int,
    approved: frozenset[str],
    whole: bool,
    probabilities: tuple[float | None, ...],
) -> Judgement:
    candidates = case.request.candidates
    same = same_turn(candidates[chosen], candidates[case.ran])
    passes = same and whole and decision == "execute"
    return Judgement(
        decision=decision,
        chosen=chosen,
        approved=approved,
        probabilities=probabilities,
        passes=passes,
        blocked=same and not passes,
    )


def same_turn(left: Candidate, right: Candidate) -> bool:
    """Tell whether two candidates make the same calls; answers in text are all the same."""
    return left.canonical == right.canonical
