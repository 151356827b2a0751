"""The tables, and how a record becomes their rows.

The whole record is JSON in `payload`; a column is there only where something is looked up or
deleted by it. `calls` has one row per call of a candidate: it joins outcomes to reviews, and finds
reviews by tool.
"""

import datetime
import hashlib
from dataclasses import dataclass

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from toolrm_guard.records import OutcomeRecord, ReviewRecord, clean_text

Entry = ReviewRecord | OutcomeRecord

REVISION = "0002"
"""The migration that makes these tables; a store with another one is brought here, or refused."""

VERSION_TABLE = "toolrm_guard_version"
"""Not Alembic's default name: the store may live in an application's database."""

metadata = MetaData()

reviews = Table(
    "reviews",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", String(40), nullable=False),
    Column("conversation_id", String(200)),
    Column("parent_id", String(64)),
    Column("decision", String(16), nullable=False),
    Column("scorer", String(100), nullable=False),
    Column("judged", Boolean, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("payload", Text, nullable=False),
    Index("ix_reviews_conversation_id", "conversation_id"),
    Index("reviews_by_time", "created_at", "id"),
)

calls = Table(
    "calls",
    metadata,
    Column("review_id", String(64), ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True),
    Column("candidate", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("chosen", Boolean, nullable=False),
    Column("call_id", String(200)),
    Column("tool", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("calls_by_id", "call_id"),
    Index("calls_by_tool", "tool"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("call_id", String(200), nullable=False),
    Column("conversation_id", String(200)),
    Column("created_at", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("label", String(100), nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("digest", String(64)),
    Column("latency_ms", Float),
    Column("payload", Text, nullable=False),
    Index("outcomes_by_call", "call_id"),
    Index("outcomes_by_conversation", "conversation_id"),
    Index("outcomes_by_time", "created_at"),
)

Values = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one entry adds to each table; all of it or nothing is written."""

    review: Values | None = None
    calls: tuple[Values, ...] = ()
    outcome: Values | None = None


def rows_of(entry: Entry) -> Rows:
    """Return the rows of an entry."""
    if isinstance(entry, OutcomeRecord):
        return Rows(outcome=_outcome_row(entry))
    return Rows(review=_review_row(entry), calls=_call_rows(entry))


def key(text: str | None, chars: int = 200) -> str | None:
    """Return an id as columns hold it: cleaned, and if it is too long, with a hash for its end."""
    if not text:
        return None
    text = clean_text(text)
    if len(text) <= chars:
        return text
    return text[: chars - 33] + "#" + hashlib.sha256(text.encode()).hexdigest()[:32]


def timestamp(at: datetime.datetime) -> str:
    """Return a time as columns hold it: in UTC and of one width, so that it sorts as text."""
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds")


def _review_row(record: ReviewRecord) -> Values:
    return {
        "id": key(record.id, 64),
        "created_at": timestamp(record.created_at),
        "conversation_id": key(record.conversation_id),
        "parent_id": key(record.parent_id, 64),
        "decision": record.decision,
        "scorer": key(record.scorer, 100) or "",
        "judged": record.judged,
        "total_ms": record.total_ms,
        "payload": record.to_json(),
    }


def _call_rows(record: ReviewRecord) -> tuple[Values, ...]:
    review_id = key(record.id, 64)
    return tuple(
        {
            "review_id": review_id,
            "candidate": index,
            "position": position,
            "chosen": index == record.chosen,
            "call_id": key(call.id),
            "tool": key(call.name) or "",
            "digest": key(call.digest, 64) or "",
        }
        for index, candidate in enumerate(record.candidates)
        for position, call in enumerate(candidate.calls)
    )


def _outcome_row(record: OutcomeRecord) -> Values:
    return {
        "call_id": key(record.call_id) or "",
        "conversation_id": key(record.conversation_id),
        "created_at": timestamp(record.created_at),
        "kind": record.kind,
        "label": key(record.label, 100) or "",
        "ok": record.ok,
        "digest": key(record.digest, 64),
        "latency_ms": record.latency_ms,
        "payload": record.to_json(),
    }
