"""From records to preference pairs: what was executed and went well, against what was not.

Outcomes beat scores. A turn whose task is known to have failed gives no chosen side, however high
its score was.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from toolrm_guard.records import (
    CandidateRecord,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
    outcomes_of,
)

LabelSource = Literal["outcome", "score"]

MIN_MARGIN = 0.2
"""Least difference of probability for a pair that rests on scores alone on its rejected side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestedPair:
    """One preference pair of a decision.

    Attributes:
        review: The decision's last review: its context and tools are the prompt.
        chosen: What was executed, and went well as far as is known.
        rejected: Another candidate of the same turn.
        label: What says that the chosen side is right.
    """

    review: ReviewRecord
    chosen: CandidateRecord
    rejected: CandidateRecord
    label: LabelSource


def pairs(
    reviews: Iterable[ReviewRecord], outcomes: Iterable[OutcomeRecord]
) -> Iterator[HarvestedPair]:
    """Yield the pairs of every decision that was executed, once per distinct rejected candidate.

    Args:
        reviews: In any order; corrections are joined to what they correct by `parent_id`.
        outcomes: Joined by call id and digest.
    """
    results: dict[str, list[OutcomeRecord]] = defaultdict(list)
    for outcome in outcomes:
        results[outcome.call_id].append(outcome)
    by_id = {review.id: review for review in reviews}
    corrected = {review.parent_id for review in by_id.values()}
    for review in by_id.values():
        # In shadow the model's own proposal ran, whatever was chosen.
        ran = review.mode == "enforce" or review.chosen == 0
        accepted = ran and review.decision == "execute" and review.critique is None
        if review.id not in corrected and review.judged and accepted:
            yield from _pairs_of(review, by_id, results)


def _pairs_of(
    review: ReviewRecord,
    by_id: Mapping[str, ReviewRecord],
    results: Mapping[str, list[OutcomeRecord]],
) -> Iterator[HarvestedPair]:
    chosen = review.candidates[review.chosen]
    label = _label(review, results)
    if label is None or chosen.probability is None:
        return
    seen = {_canonical(chosen)}
    step: ReviewRecord | None = review
    while step is not None:
        for candidate in step.candidates:
            canonical = _canonical(candidate)
            if canonical not in seen and _is_worse(candidate, chosen.probability):
                seen.add(canonical)
                yield HarvestedPair(review=review, chosen=chosen, rejected=candidate, label=label)
        step = _before(step, by_id)


def _before(review: ReviewRecord, by_id: Mapping[str, ReviewRecord]) -> ReviewRecord | None:
    """Return the review whose candidates answer the same turn, if there is an earlier one."""
    parent = by_id.get(review.parent_id) if review.parent_id else None
    if parent is None or parent.decision == "correct":
        return parent
    # The review of an edit has only the calls that were edited, which may be a part of the turn.
    part, whole = (len(r.candidates[r.chosen].calls) for r in (review, parent))
    return parent if part == whole else None


def _label(review: ReviewRecord, results: Mapping[str, list[OutcomeRecord]]) -> LabelSource | None:
    """Say why the chosen side counts as right; None if it is known to be wrong."""
    known = [
        outcome
        for call in review.candidates[review.chosen].calls
        for outcome in outcomes_of(
            call,
            [
                outcome
                for outcome in results.get(call.id or "", ())
                # Providers' call ids may come again in another conversation.
                if outcome.conversation_id in (None, review.conversation_id)
            ],
        )
    ]
    if any(not outcome.ok for outcome in known):
        return None
    return "outcome" if any(outcome.kind == "task" for outcome in known) else "score"


def _is_worse(candidate: CandidateRecord, probability: float) -> bool:
    if any(call.defect for call in candidate.calls):
        return False  # what it said is not known, so it teaches nothing
    if any(finding.severity == "error" for finding in candidate.findings):
        return True
    return candidate.probability is not None and probability - candidate.probability >= MIN_MARGIN


def _canonical(candidate: CandidateRecord) -> str:
    return candidate_from_record(candidate).canonical
