"""What a trace holds: versioned records of reviews and of what became of their calls.

Serving writes them, training reads them. They are built from hostile input, so everything passes
`_clean` first: what JSON cannot hold (NaN, lone surrogates, objects) is replaced, never fatal.
The digest still identifies the exact call.
"""

import datetime
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolrm_guard.calls import Call, Candidate, Defect, canonical_json
from toolrm_guard.messages import Message, Role
from toolrm_guard.tools import Effect

RECORD_VERSION = 2
"""2 added `scorer_fingerprint` to reviews and `label` to outcomes; 1 is read as it is."""

OutcomeKind = Literal["execution", "task", "blocked", "human"]

MAX_TEXT_CHARS = 200_000
"""A longer message is cut in the record, with a mark that says so."""

_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Return ASCII JSON, which every database takes and `model_validate_json` reads back.

        The whole record is cleaned here, because any of its texts may quote the model: a call id,
        a critique, the message of an error.
        """
        try:
            text = self.model_dump_json()
        except ValueError:  # a lone surrogate, or an object that is no JSON
            text = "\\u0000"
        if "\\u0000" in text:
            return json.dumps(_clean(self.model_dump()), separators=(",", ":"))
        return text if text.isascii() else _NOT_ASCII.sub(_escaped, text)


class CallRecord(_Record):
    """One call of a message or a candidate; verdict fields are set for the chosen candidate."""

    id: str | None = None
    name: str
    arguments: dict[str, Any]
    digest: str
    defect: str | None = None
    effect: Effect | None = None
    verdict: Literal["approve", "reject", "escalate"] | None = None
    reason: str = ""


class MessageRecord(_Record):
    """One message of the context."""

    role: Role
    text: str = ""
    calls: list[CallRecord] = Field(default_factory=list)
    name: str | None = None
    call_id: str | None = None
    failed: bool | None = None


class FindingRecord(_Record):
    """One checkable statement about a candidate."""

    code: str
    severity: Literal["error", "warning"]
    path: str
    message: str
    call: int | None = None


class CandidateRecord(_Record):
    """One candidate. Scores are absent, never zero, when the guard could not judge."""

    text: str = ""
    calls: list[CallRecord] = Field(default_factory=list)
    reward: float | None = Field(default=None, allow_inf_nan=False)
    probability: float | None = Field(default=None, ge=0.0, le=1.0)
    findings: list[FindingRecord] = Field(default_factory=list)


class ReviewRecord(_Record):
    """One review: candidates in, decision out."""

    version: int = RECORD_VERSION
    id: str
    created_at: datetime.datetime
    conversation_id: str | None = None
    parent_id: str | None = Field(
        default=None, description="The review that this one corrects, or whose edited call it is."
    )
    round: int = 0
    scorer: str
    scorer_fingerprint: str | None = Field(
        default=None, description="Which weights judged: changes with any score; None if unknown."
    )
    mode: Literal["enforce", "shadow"] = Field(
        default="enforce", description="In shadow the decision was recorded, not enforced."
    )
    samples_allowed: int | None = Field(
        default=None, description="What a fixed N would have drawn, where a budget drew fewer."
    )
    messages: list[MessageRecord]
    tools: list[dict[str, Any]]
    candidates: list[CandidateRecord]
    chosen: int
    decision: Literal["execute", "correct", "escalate", "reject"]
    judged: bool
    unjudged_reason: str | None = None
    critique: str | None = None
    total_ms: float
    scorer_ms: float

    @model_validator(mode="after")
    def _chose_one(self) -> "ReviewRecord":
        if not 0 <= self.chosen < len(self.candidates):
            raise ValueError(f"chosen is {self.chosen} of {len(self.candidates)} candidates")
        return self


class OutcomeRecord(_Record):
    """What became of a call, joined to its review by `outcomes_of`.

    `execution` is what the tool did; `task` is what is known later (the task was solved, the user
    complained); `blocked` notes that an unapproved call reached the tool node and was stopped, one
    that was refused on its normal way excepted; `human` is what a person decided about a call that
    was held for them.
    """

    version: int = RECORD_VERSION
    call_id: str
    kind: OutcomeKind
    ok: bool
    created_at: datetime.datetime
    conversation_id: str | None = None
    digest: str | None = None
    label: str = Field(
        default="", description="What happened, in one word: `refund_issued`; a human's `edit`."
    )
    content: str = ""
    latency_ms: float | None = None


def effects_by_tool(reviews: Iterable[ReviewRecord]) -> dict[str, Effect]:
    """Return the effect class that the application's own policy gave each tool, where recorded."""
    return {
        call.name: call.effect
        for review in reviews
        for candidate in review.candidates
        for call in candidate.calls
        if call.effect is not None
    }


def outcomes_of(call: CallRecord, known: Iterable[OutcomeRecord]) -> list[OutcomeRecord]:
    """Return what became of exactly this call.

    Providers' ids come again in later turns, so an outcome that names a digest is of that call
    alone. What was tried again went as its last execution did.

    Args:
        call: Of a review.
        known: Outcomes under its id, in the order in which they were recorded.
    """
    own = [outcome for outcome in known if outcome.digest in (None, call.digest)]
    runs = [outcome for outcome in own if outcome.kind == "execution"]
    last = sorted(runs, key=lambda outcome: outcome.created_at)[-1:]
    return [*(outcome for outcome in own if outcome.kind != "execution"), *last]


class OutcomeIndex:
    """Outcomes by the call that they are of."""

    def __init__(self, outcomes: Iterable[OutcomeRecord]) -> None:
        self._by_call: dict[str, list[OutcomeRecord]] = defaultdict(list)
        for outcome in outcomes:
            self._by_call[outcome.call_id].append(outcome)

    def of(self, call: CallRecord, review: ReviewRecord) -> list[OutcomeRecord]:
        """Return what became of a call of this review; see `outcomes_of`."""
        if not call.id:
            return []
        return outcomes_of(
            call,
            [
                outcome
                for outcome in self._by_call.get(call.id, ())
                # Providers' call ids may come again in another conversation.
                if outcome.conversation_id in (None, review.conversation_id)
            ],
        )


def call_record(call: Call, **verdict: Any) -> CallRecord:
    """Return the record of a call."""
    return CallRecord(
        id=call.id,
        name=clean_text(call.name),
        arguments=_judged_arguments(call),
        digest=call.digest,
        defect=call.defect.message if call.defect else None,
        **verdict,
    )


def message_records(messages: Sequence[Message]) -> list[MessageRecord]:
    """Return the records of a context."""
    return [
        MessageRecord(
            role=message.role,
            text=clean_text(message.text),
            calls=[call_record(call) for call in message.calls],
            name=message.name,
            call_id=message.call_id,
            failed=message.failed,
        )
        for message in messages
    ]


def candidate_from_record(record: CandidateRecord) -> Candidate:
    """Return the candidate that a record describes; what could not be read has a defect again."""
    return Candidate(text=record.text, calls=tuple(map(_call_from_record, record.calls)))


def _call_from_record(record: CallRecord) -> Call:
    # The record does not say which kind of defect it was; none can be approved.
    defect = Defect(code="malformed_arguments", message=record.defect) if record.defect else None
    return Call(name=record.name, arguments=record.arguments, id=record.id, defect=defect)


def message_from_record(record: MessageRecord) -> Message:
    """Return the message that a record describes."""
    return Message(
        role=record.role,
        text=record.text,
        calls=tuple(Call(name=c.name, arguments=c.arguments, id=c.id) for c in record.calls),
        name=record.name,
        call_id=record.call_id,
        failed=record.failed,
    )


def clean_text(text: str) -> str:
    """Return text that every store takes: no lone surrogates, no NUL, not endless."""
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[:MAX_TEXT_CHARS]}[... {len(text) - MAX_TEXT_CHARS:,} characters cut]"
    return _SURROGATE.sub("\ufffd", text).replace("\x00", "\ufffd")


def _judged_arguments(call: Call) -> Any:
    """Return the arguments as they were judged: the agent may have changed them in place since."""
    if call.defect is not None:
        return {}
    try:
        now = _clean(call.arguments)
        if canonical_json({"arguments": now, "name": call.name}) == call.canonical:
            return now  # in the model's own order, in which the prompt showed them
    except (RuntimeError, ValueError):  # changed just now, or into what JSON cannot hold: a cycle
        pass
    return _clean(json.loads(call.canonical)["arguments"])


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else repr(value)


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _clean(value: object) -> Any:
    text = json.dumps(value, ensure_ascii=False, default=_written)
    return json.loads(
        _SURROGATE.sub("\ufffd", text).replace("\\u0000", "\\ufffd"), parse_constant=str
    )
