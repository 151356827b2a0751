"""Calls of their own, and columns by which conversations and times are looked up and deleted."""

import datetime
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_PAGE = 500

_reviews = sa.table(
    "reviews", *(sa.column(name) for name in ("id", "created_at", "parent_id", "payload"))
)
_calls = sa.table(
    "calls",
    *(
        sa.column(name)
        for name in ("review_id", "candidate", "position", "chosen", "call_id", "tool", "digest")
    ),
)
_outcomes = sa.table(
    "outcomes",
    *(
        sa.column(name)
        for name in (
            "id",
            "conversation_id",
            "created_at",
            "label",
            "digest",
            "latency_ms",
            "payload",
        )
    ),
)


def upgrade() -> None:
    """Add the columns and the table, and fill them from the records."""
    op.add_column("reviews", sa.Column("parent_id", sa.String(64)))
    op.create_table(
        "calls",
        sa.Column(
            "review_id", sa.String(64), sa.ForeignKey("reviews.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("candidate", sa.Integer, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("chosen", sa.Boolean, nullable=False),
        sa.Column("call_id", sa.String(200)),
        sa.Column("tool", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )  # fmt: skip
    for name, kind, default in (
        ("conversation_id", sa.String(200), None),
        ("created_at", sa.String(40), ""),
        ("label", sa.String(100), ""),
        ("digest", sa.String(64), None),
        ("latency_ms", sa.Float(), None),
    ):
        column = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("outcomes", column)
    connection = op.get_bind()
    _fill_reviews(connection)
    _fill_outcomes(connection)
    op.create_index("reviews_by_time", "reviews", ["created_at", "id"])
    op.create_index("calls_by_id", "calls", ["call_id"])
    op.create_index("calls_by_tool", "calls", ["tool"])
    op.create_index("outcomes_by_conversation", "outcomes", ["conversation_id"])
    op.create_index("outcomes_by_time", "outcomes", ["created_at"])


def _fill_reviews(connection: sa.Connection) -> None:
    for row, record in _records(connection, _reviews):
        found = {"parent_id": _key(record.get("parent_id"), 64)}
        found["created_at"] = _time(record.get("created_at")) or row.created_at
        connection.execute(sa.update(_reviews).where(_reviews.c.id == row.id).values(found))
        calls = list(_calls_of(row.id, record))
        if calls:
            connection.execute(sa.insert(_calls), calls)


def _fill_outcomes(connection: sa.Connection) -> None:
    for row, record in _records(connection, _outcomes):
        found = {
            "conversation_id": _key(record.get("conversation_id"), 200),
            "created_at": _time(record.get("created_at")) or "",
            "digest": _key(record.get("digest"), 64),
            "latency_ms": record.get("latency_ms"),
        }
        connection.execute(sa.update(_outcomes).where(_outcomes.c.id == row.id).values(found))


def _records(connection: sa.Connection, table: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each row with its record; one that cannot be read is left as it is."""
    last = None
    while True:
        page = sa.select(table.c.id, table.c.payload).order_by(table.c.id).limit(_PAGE)
        if "created_at" in table.c and table is _reviews:
            page = page.add_columns(table.c.created_at)
        if last is not None:
            page = page.where(table.c.id > last)
        rows = connection.execute(page).all()
        for row in rows:
            try:
                record = json.loads(row.payload)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield row, record
        if len(rows) < _PAGE:
            return
        last = rows[-1].id


def _calls_of(review_id: str, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    candidates = record.get("candidates")
    for index, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
        calls = candidate.get("calls") if isinstance(candidate, dict) else None
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            yield {
                "review_id": review_id,
                "candidate": index,
                "position": position,
                "chosen": index == record.get("chosen"),
                "call_id": _key(call.get("id"), 200),
                "tool": _key(call.get("name"), 200) or "",
                "digest": _key(call.get("digest"), 64) or "",
            }


def _key(text: object, chars: int) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    if len(text) <= chars:
        return text
    return text[: chars - 33] + "#" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _time(text: object) -> str | None:
    try:
        at = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds")
