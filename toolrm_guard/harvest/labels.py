"""From records to preference pairs: what was executed and went well, against what was not.

Outcomes beat humans, and humans beat scores. A turn that is known to have failed gives no chosen
side, however high its score was; an edit by a person is the chosen side of what it replaced.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from toolrm_guard.records import (
    CandidateRecord,
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
)

LabelSource = Literal["outcome", "human", "score"]
"""What says that the chosen side is right, the strongest first."""

RejectedBy = Literal["outcome", "human", "finding", "score"]
"""What says that the rejected side is worse: it failed, a person refused it, it breaks a schema, or
its probability is lower by the margin."""

MIN_MARGIN = 0.2
"""Least difference of probability for a pair that rests on scores alone on its rejected side."""

Reason = Literal[
    "not judged",
    "not executed",
    "went wrong",
    "joined to a later review",
    "not readable",
    "no other candidate",
    "below the margin",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestedPair:
    """One preference pair of a decision.

    Attributes:
        review: The decision's last review: its context and tools are the prompt.
        chosen: What was executed, and went well as far as is known.
        rejected: Another candidate of the same turn.
        label: What says that the chosen side is right.
        rejected_by: What says that the rejected side is worse.
        rejected_in: Id of the review that holds the rejected side: this one, that of an earlier
            draft, or one of another conversation in which the same prompt ended badly.
    """

    review: ReviewRecord
    chosen: CandidateRecord
    rejected: CandidateRecord
    label: LabelSource
    rejected_by: RejectedBy
    rejected_in: str

    @property
    def margin(self) -> float | None:
        """Chosen minus rejected probability; None where a side has no score."""
        if self.chosen.probability is None or self.rejected.probability is None:
            return None
        return self.chosen.probability - self.rejected.probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A review that gave no pair, and why."""

    review: ReviewRecord
    reason: Reason


def pairs(
    reviews: Iterable[ReviewRecord],
    outcomes: Iterable[OutcomeRecord],
    *,
    min_margin: float = MIN_MARGIN,
) -> Iterator[HarvestedPair]:
    """Yield the pairs of every decision that was executed, once per distinct rejected candidate.

    Args:
        reviews: In any order; corrections are joined to what they correct by `parent_id`.
        outcomes: Joined by call id and digest.
        min_margin: Least difference of probability where only scores say that a side is worse.
    """
    for found in labelled(reviews, outcomes, min_margin=min_margin):
        if isinstance(found, HarvestedPair):
            yield found


def labelled(
    reviews: Iterable[ReviewRecord],
    outcomes: Iterable[OutcomeRecord],
    *,
    min_margin: float = MIN_MARGIN,
) -> Iterator[HarvestedPair | Unused]:
    """Yield the pairs as `pairs` does, and every review that gives none, once and with the reason.

    Args:
        reviews: As for `pairs`.
        outcomes: As for `pairs`.
        min_margin: As for `pairs`.
    """
    results = OutcomeIndex(outcomes)
    by_id = {review.id: review for review in reviews}
    joined = {review.parent_id for review in by_id.values()}
    failed = _failed(by_id.values(), results)
    for review in by_id.values():
        if review.id in joined:
            yield Unused(review=review, reason="joined to a later review")
        else:
            yield from _of_review(review, by_id, results, failed, min_margin)


_Failures = Mapping[str, Mapping[str, tuple[CandidateRecord, str]]]
"""By prompt and canonical form: what ran and failed, and the review in which it did."""


def _failed(reviews: Iterable[ReviewRecord], results: OutcomeIndex) -> _Failures:
    """Return what failed after each prompt, but for what went well after the same one elsewhere."""
    failed: dict[str, dict[str, tuple[CandidateRecord, str]]] = defaultdict(dict)
    went_well: dict[str, set[str]] = defaultdict(set)
    for review in reviews:
        candidate = review.candidates[ran_index(review)]
        if not candidate.calls or any(call.defect for call in candidate.calls):
            continue
        known = [o for o in _known(candidate, review, results) if o.kind == "task"]
        if not known:
            continue
        if all(outcome.ok for outcome in known):
            went_well[prompt_key(review)].add(_canonical(candidate))
        else:
            failed[prompt_key(review)].setdefault(_canonical(candidate), (candidate, review.id))
    return {
        key: {form: at for form, at in found.items() if form not in went_well[key]}
        for key, found in failed.items()
    }


def prompt_key(review: ReviewRecord) -> str:
    """Return a hash of what the model was shown: messages without their call ids, and tools."""
    shown = {
        "messages": [
            (m.role, m.text, [(c.name, c.arguments) for c in m.calls]) for m in review.messages
        ],
        "tools": review.tools,
    }
    text = json.dumps(shown, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _of_review(
    review: ReviewRecord,
    by_id: Mapping[str, ReviewRecord],
    results: OutcomeIndex,
    failed: _Failures,
    min_margin: float,
) -> Iterator[HarvestedPair | Unused]:
    ran = ran_index(review)
    candidate = review.candidates[ran]
    if any(call.defect for call in candidate.calls):
        yield Unused(review=review, reason="not readable")
        return
    known = _known(candidate, review, results)
    if any(not outcome.ok for outcome in known):
        better = _better_in_shadow(review, candidate, min_margin)
        yield better if better is not None else Unused(review=review, reason="went wrong")
        return
    label = _label(candidate, known)
    if label == "score" and not (review.judged and _was_accepted(review, ran)):
        reason: Reason = "not executed" if review.judged else "not judged"
        yield Unused(review=review, reason=reason)
        return
    # A person's edit says that what it replaced was worse, whatever says that the edit is right.
    edited = _is_edit(review, by_id) and any(outcome.kind == "human" for outcome in known)
    found = list(_against(review, candidate, label, by_id, results, min_margin, edited=edited))
    if label == "outcome":
        found = _with_failures(review, candidate, found, failed.get(prompt_key(review), {}))
    yield from found
    if not found:
        turn = [c for step in _chain(review, by_id) for c in step.candidates]
        others = len({_canonical(c) for c in turn}) > 1
        yield Unused(review=review, reason="below the margin" if others else "no other candidate")


def _with_failures(
    review: ReviewRecord,
    chosen: CandidateRecord,
    found: Sequence[HarvestedPair],
    failures: Mapping[str, tuple[CandidateRecord, str]],
) -> list[HarvestedPair]:
    """Return the pairs with what ran after the very same prompt elsewhere, and failed."""
    known = [
        replace(pair, rejected_by="outcome") if _canonical(pair.rejected) in failures else pair
        for pair in found
    ]
    seen = {_canonical(chosen), *(_canonical(pair.rejected) for pair in found)}
    return known + [
        HarvestedPair(
            review=review,
            chosen=chosen,
            rejected=candidate,
            label="outcome",
            rejected_by="outcome",
            rejected_in=failed_in,
        )
        for canonical, (candidate, failed_in) in failures.items()
        if canonical not in seen
    ]


def ran_index(review: ReviewRecord) -> int:
    """Return the candidate that runs if any does: in shadow the model's own proposal."""
    return 0 if review.mode == "shadow" else review.chosen


def _was_accepted(review: ReviewRecord, ran: int) -> bool:
    return ran == review.chosen and review.decision == "execute" and review.critique is None


def _against(
    review: ReviewRecord,
    chosen: CandidateRecord,
    label: LabelSource,
    by_id: Mapping[str, ReviewRecord],
    results: OutcomeIndex,
    min_margin: float,
    *,
    edited: bool,
) -> Iterator[HarvestedPair]:
    """Yield the chosen side against every distinct worse candidate of its turn."""
    seen = {_canonical(chosen)}
    for step in _chain(review, by_id):
        for candidate in step.candidates:
            canonical = _canonical(candidate)
            if canonical in seen:
                continue
            replaced = edited and step is not review and candidate is step.candidates[step.chosen]
            worse = _worse(candidate, step, chosen, results, min_margin, replaced=replaced)
            if worse is not None:
                seen.add(canonical)
                yield HarvestedPair(
                    review=review,
                    chosen=chosen,
                    rejected=candidate,
                    label=label,
                    rejected_by=worse,
                    rejected_in=step.id,
                )


def _chain(review: ReviewRecord, by_id: Mapping[str, ReviewRecord]) -> list[ReviewRecord]:
    """Return the reviews of one turn, the last first; a store may hold a circle of parents."""
    chain = {review.id: review}
    step = _before(review, by_id)
    while step is not None and step.id not in chain:
        chain[step.id] = step
        step = _before(step, by_id)
    return list(chain.values())


def _before(review: ReviewRecord, by_id: Mapping[str, ReviewRecord]) -> ReviewRecord | None:
    """Return the review whose candidates answer the same turn, if there is an earlier one."""
    parent = by_id.get(review.parent_id) if review.parent_id else None
    if parent is None or parent.decision == "correct":
        return parent
    # The review of an edit has only the calls that were edited, which may be a part of the turn.
    part, whole = (len(r.candidates[r.chosen].calls) for r in (review, parent))
    return parent if part == whole else None


def _is_edit(review: ReviewRecord, by_id: Mapping[str, ReviewRecord]) -> bool:
    parent = by_id.get(review.parent_id) if review.parent_id else None
    return parent is not None and parent.decision != "correct"


def _known(
    candidate: CandidateRecord, review: ReviewRecord, results: OutcomeIndex
) -> list[OutcomeRecord]:
    """Return what became of the calls of a candidate of this review."""
    return [outcome for call in candidate.calls for outcome in results.of(call, review)]


def _label(candidate: CandidateRecord, known: Sequence[OutcomeRecord]) -> LabelSource:
    """Say why a candidate of which nothing bad is known counts as right."""
    if any(outcome.kind == "task" for outcome in known):
        return "outcome"
    decided = {outcome.call_id for outcome in known if outcome.kind == "human"}
    held = [call for call in candidate.calls if call.verdict != "approve" or call.id in decided]
    return "human" if held and all(call.id in decided for call in held) else "score"


def _worse(
    candidate: CandidateRecord,
    step: ReviewRecord,
    chosen: CandidateRecord,
    results: OutcomeIndex,
    min_margin: float,
    *,
    replaced: bool,
) -> RejectedBy | None:
    """Say why a candidate is worse than the chosen one; None if nothing says so."""
    if any(call.defect for call in candidate.calls):
        return None  # what it said is not known, so it teaches nothing
    known = (
        _known(candidate, step, results) if candidate is step.candidates[ran_index(step)] else ()
    )
    # Who answers in the tool's place says nothing against the call.
    failed = {o.kind for o in known if not o.ok and o.label != "respond"}
    if failed & {"task", "execution"}:
        return "outcome"
    if "human" in failed or replaced:
        return "human"
    if any(finding.severity == "error" for finding in candidate.findings):
        return "finding"
    if candidate.probability is None or chosen.probability is None:
        return None
    return "score" if chosen.probability - candidate.probability >= min_margin else None


def _better_in_shadow(
    review: ReviewRecord, failed: CandidateRecord, min_margin: float
) -> HarvestedPair | None:
    """Return the proposal that ran and failed against what the guard would have run instead."""
    chosen = review.candidates[review.chosen]
    accepted = review.judged and _was_accepted(review, review.chosen)
    if review.mode != "shadow" or not accepted or _canonical(chosen) == _canonical(failed):
        return None
    if any(call.defect for call in chosen.calls):
        return None
    pair = HarvestedPair(
        review=review,
        chosen=chosen,
        rejected=failed,
        label="score",
        rejected_by="outcome",
        rejected_in=review.id,
    )
    return pair if pair.margin is not None and pair.margin >= min_margin else None


def _canonical(candidate: CandidateRecord) -> str:
    return candidate_from_record(candidate).canonical
