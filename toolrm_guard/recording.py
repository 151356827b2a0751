"""From reviews and outcomes to their records, without secrets."""

import datetime
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from toolrm_guard import records
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError, origin_of
from toolrm_guard.policy import Mode
from toolrm_guard.redaction import Redactor
from toolrm_guard.review import Review
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.store import TraceStore
from toolrm_guard.tools import ToolSet

_log = logging.getLogger(__name__)

MAX_LABEL_CHARS = 100
NOT_SHOWN = "(not shown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Hands records over to a store, whose thread builds and redacts them.

    A redactor that fails costs the record; it is never stored as it was.

    Attributes:
        store: Where they go; None keeps none.
        redactor: Takes secrets out; None leaves them in.
    """

    store: TraceStore | None
    redactor: Redactor | None

    def review(self, build: Callable[[], records.ReviewRecord]) -> None:
        """Queue the record of a review; returns at once."""
        if self.store is not None:
            self.store.put(partial(self.shown, build))

    def shown(self, build: Callable[[], records.ReviewRecord]) -> records.ReviewRecord:
        """Return the record of a review as it may be stored and shown."""
        record = build()
        return record if self.redactor is None else self.redactor.redact_record(record)

    def outcome(
        self,
        call_id: str,
        *,
        call: Call | None = None,
        tools: Sequence[object] | ToolSet = (),
        **fields: Any,
    ) -> None:
        """Queue the record of an outcome; returns at once.

        Args:
            call_id: The provider's id of the call.
            call: The call itself, where it is at hand.
            tools: Its tool, where that is at hand; its schema may mark arguments as sensitive.
            fields: The other fields of an `OutcomeRecord`.

        Raises:
            ConfigurationError: If a field cannot be right.
        """
        _check_outcome(call_id, **fields)
        if self.store is None:
            return
        fields["created_at"] = datetime.datetime.now(datetime.UTC)
        if call is not None:
            fields["digest"] = call.digest
        self.store.put(partial(_outcome_record, self.redactor, call_id, call, tools, fields))

    def shown_id(self, identifier: str) -> str:
        """Return an id as spans show it; one that the redactor fails at is not shown."""
        if self.redactor is None:
            return identifier
        try:
            return self.redactor.redact_id(identifier)
        except Exception as exc:  # noqa: BLE001  # a finder of your own must not end the agent
            _log.error(
                "an id could not be redacted, so its span does not show it: %s", origin_of(exc)
            )
            return NOT_SHOWN


def _outcome_record(
    redactor: Redactor | None,
    call_id: str,
    call: Call | None,
    tools: Sequence[object] | ToolSet,
    fields: dict[str, Any],
) -> records.OutcomeRecord:
    fields["content"] = records.clean_text(fields["content"])
    record = records.OutcomeRecord(call_id=call_id, **fields)
    if redactor is None:
        return record
    if call is None:
        return redactor.redact_outcome(record)
    known = ToolSet.of(tools, lenient=True).schemas()
    stored = records.call_record(call)
    return redactor.redact_outcome(record, (stored.name, stored.arguments), known)


def _check_outcome(call_id: object, **fields: Any) -> None:
    """Refuse what cannot be recorded, where the caller can still see it.

    Raises:
        ConfigurationError: If a field has the wrong type, or a value that cannot be right.
    """
    texts = {"call_id": call_id, "content": fields["content"], "label": fields["label"]}
    for name in ("digest", "conversation_id"):
        if fields[name] is not None:
            texts[name] = fields[name]
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ConfigurationError(
                f"record_outcome: {name} is {type(value).__name__} {str(value)[:40]!r}; give text"
            )
    if not isinstance(fields["ok"], bool):
        raise ConfigurationError(f"record_outcome: ok is {fields['ok']!r}; give True or False")
    if fields["kind"] not in get_args(records.OutcomeKind):
        known = ", ".join(get_args(records.OutcomeKind))
        raise ConfigurationError(
            f"record_outcome: kind {fields['kind']!r} is none of {known}; what happened, in a word "
            "of your own, is the `label`"
        )
    if len(fields["label"]) > MAX_LABEL_CHARS:
        raise ConfigurationError(
            f"record_outcome: label has {len(fields['label'])} characters; give a word of at most "
            f"{MAX_LABEL_CHARS}, and the rest as `content`"
        )
    latency = fields["latency_ms"]
    if latency is not None and not (isinstance(latency, (int, float)) and 0 <= latency < math.inf):
        raise ConfigurationError(
            f"record_outcome: latency_ms is {latency!r}; give milliseconds, or None if not known"
        )


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
