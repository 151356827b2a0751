"""What can be asked of a store: records by what they are looked up by, in pages.

A page is a transaction of its own, so that a reader that takes its time holds up neither the
writer nor a checkpoint, and nothing is held in memory but a page.
"""

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Engine, Select, and_, exists, or_, select

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.records import OutcomeRecord, ReviewRecord
from toolrm_guard.redaction import hidden_id
from toolrm_guard.store.tables import calls, key, outcomes, reviews, timestamp

_log = logging.getLogger(__name__)

PAGE = 256

_R = TypeVar("_R", ReviewRecord, OutcomeRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What records must have; None asks for nothing.

    Attributes:
        conversation_id: As the guard was given it, or as it was stored.
        call_id: Of a call: an outcome's own, or of any candidate of a review.
        since: Not before this time.
        until: Before this time.
        decision: Of a review.
        tool: Which a candidate of the review calls.
        scorer: Of a review.
        kind: Of an outcome.
    """

    conversation_id: str | None = None
    call_id: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    decision: str | None = None
    tool: str | None = None
    scorer: str | None = None
    kind: str | None = None

    def of_reviews(self) -> list[ColumnElement[bool]]:
        """Return the conditions on reviews."""
        wanted = self._common(reviews.c.conversation_id, reviews.c.created_at)
        for column, value in (
            (reviews.c.decision, self.decision),
            (reviews.c.scorer, key(self.scorer, 100)),
        ):
            if value is not None:
                wanted.append(column == value)
        for column, ids in (
            (calls.c.tool, None if self.tool is None else [key(self.tool)]),
            (calls.c.call_id, forms(self.call_id)),
        ):
            if ids is not None:
                wanted.append(exists().where(calls.c.review_id == reviews.c.id, column.in_(ids)))
        return wanted

    def of_outcomes(self) -> list[ColumnElement[bool]]:
        """Return the conditions on outcomes."""
        wanted = self._common(outcomes.c.conversation_id, outcomes.c.created_at)
        ids = forms(self.call_id)
        if ids is not None:
            wanted.append(outcomes.c.call_id.in_(ids))
        if self.kind is not None:
            wanted.append(outcomes.c.kind == self.kind)
        return wanted

    def _common(
        self, conversation: ColumnElement[str], created_at: ColumnElement[str]
    ) -> list[ColumnElement[bool]]:
        wanted: list[ColumnElement[bool]] = []
        ids = forms(self.conversation_id)
        if ids is not None:
            wanted.append(conversation.in_(ids))
        if self.since is not None:
            wanted.append(created_at >= _moment(self.since))
        if self.until is not None:
            wanted.append(created_at < _moment(self.until))
        return wanted


def forms(identifier: str | None) -> list[str | None] | None:
    """Return an id as it may be stored: itself, and what stands for it if it holds a secret."""
    if identifier is None:
        return None
    return [key(identifier) or "", key(hidden_id(identifier))]


def read_reviews(engine: Engine, wanted: Filter, limit: int | None) -> Iterator[ReviewRecord]:
    """Yield reviews, oldest first."""
    query = select(reviews.c.created_at, reviews.c.id, reviews.c.payload)
    query = query.where(*wanted.of_reviews()).order_by(reviews.c.created_at, reviews.c.id)
    after: ColumnElement[bool] | None = None
    left = limit
    while left is None or left > 0:
        rows = _page(engine, query, after, left)
        for created_at, review_id, payload in rows:
            after = or_(
                reviews.c.created_at > created_at,
                and_(reviews.c.created_at == created_at, reviews.c.id > review_id),
            )
            record = _parsed(payload, ReviewRecord)
            if record is not None:
                yield record
        if len(rows) < PAGE:
            return
        left = None if left is None else left - len(rows)


def read_outcomes(engine: Engine, wanted: Filter, limit: int | None) -> Iterator[OutcomeRecord]:
    """Yield outcomes, in the order in which they were stored."""
    query = select(outcomes.c.id, outcomes.c.payload)
    query = query.where(*wanted.of_outcomes()).order_by(outcomes.c.id)
    after: ColumnElement[bool] | None = None
    left = limit
    while left is None or left > 0:
        rows = _page(engine, query, after, left)
        for row_id, payload in rows:
            after = outcomes.c.id > row_id
            record = _parsed(payload, OutcomeRecord)
            if record is not None:
                yield record
        if len(rows) < PAGE:
            return
        left = None if left is None else left - len(rows)


def read_review(engine: Engine, review_id: str) -> ReviewRecord | None:
    """Return the review of that id, or None."""
    query = select(reviews.c.payload).where(reviews.c.id == key(review_id, 64))
    with engine.connect() as connection:
        payload = connection.execute(query).scalar()
    return None if payload is None else _parsed(payload, ReviewRecord)


def _page(
    engine: Engine,
    query: Select[*tuple[str, ...]],
    after: ColumnElement[bool] | None,
    left: int | None,
) -> list[tuple[str, ...]]:
    if after is not None:
        query = query.where(after)
    with engine.connect() as connection:
        found = connection.execute(query.limit(PAGE if left is None else min(PAGE, left)))
        return [tuple(row) for row in found]


def _parsed(payload: str, kind: type[_R]) -> _R | None:
    """Return a record; what another version wrote, or nobody, is logged and left."""
    try:
        return kind.model_validate_json(payload)
    except ValidationError as exc:
        # Not its text: that quotes the record.
        what = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in exc.errors()[:3])
        _log.warning("a stored %s cannot be read: %s", kind.__name__, what)
        return None


def _moment(at: datetime.datetime) -> str:
    if at.tzinfo is None:
        raise ConfigurationError(
            f"{at.isoformat()} names no time zone; give one, e.g. datetime.UTC"
        )
    return timestamp(at)
