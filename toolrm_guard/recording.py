"""From a review to its record."""

import datetime

from toolrm_guard import records
from toolrm_guard.calls import Candidate
from toolrm_guard.policy import Mode
from toolrm_guard.review import Review
from toolrm_guard.scorers.base import ScoreRequest


def review_record(
    request: ScoreRequest,
    review: Review,
    *,
    scorer: str,
    scorer_fingerprint: str | None,
    mode: Mode,
    parent_id: str | None,
    conversation_id: str | None,
    samples_allowed: int | None,
    created_at: datetime.datetime,
) -> records.ReviewRecord:
    """Return the record of a review; runs in the store's thread, off the hot path."""
    return records.ReviewRecord(
        id=review.id,
        created_at=created_at,
        conversation_id=conversation_id,
        parent_id=parent_id,
        round=review.round,
        scorer=scorer,
        scorer_fingerprint=scorer_fingerprint,
        mode=mode,
        samples_allowed=samples_allowed,
        messages=records.message_records(request.messages),
        tools=request.tools.schemas(),
        candidates=[
            _candidate_record(candidate, review, index)
            for index, candidate in enumerate(request.candidates)
        ],
        chosen=review.chosen,
        decision=review.decision,
        judged=review.judged,
        unjudged_reason=review.unjudged_reason,
        critique=review.critique,
        total_ms=review.total_ms,
        scorer_ms=review.scorer_ms,
    )


def _candidate_record(candidate: Candidate, review: Review, index: int) -> records.CandidateRecord:
    if index == review.chosen:
        calls = [
            records.call_record(v.call, effect=v.effect, verdict=v.verdict, reason=v.reason)
            for v in review.verdicts
        ]
    else:
        calls = [records.call_record(call) for call in candidate.calls]
    score = review.scores[index] if review.scores else None
    return records.CandidateRecord(
        text=records.clean_text(candidate.text),
        calls=calls,
        reward=score.reward if score else None,
        probability=score.probability if score else None,
        findings=[
            records.FindingRecord(
                code=f.code,
                severity=f.severity,
                path=records.clean_text(f.path),
                message=records.clean_text(f.message),
                call=f.call,
            )
            for f in review.findings[index]
        ],
    )
