"""Forgetting: reviews with their calls and outcomes leave the store, and on request their bytes.

Deleted is a page at a time, so that the writer gets its turn in between.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, not_, select

from toolrm_guard.store.queries import Filter
from toolrm_guard.store.tables import calls, outcomes, reviews

_log = logging.getLogger(__name__)

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """How many records were deleted, or would be."""

    reviews: int
    outcomes: int


def forget(engine: Engine, wanted: Filter, *, dry_run: bool = False) -> Deleted:
    """Delete the reviews that a filter finds, and every outcome of theirs.

    An outcome goes with its review if it names the conversation, or if it names none and has the
    id of one of its calls. Outcomes that the filter finds go, too, whether or not their review is
    known. When in doubt, what may be about somebody who is to be forgotten is deleted.

    Args:
        engine: The database.
        wanted: Conversation or time.
        dry_run: Count only.
    """
    gone_reviews, gone_outcomes = 0, set[int]()
    with _overwriting(engine) as connection:
        after = ""
        while page := _next_reviews(connection, wanted, after):
            doomed = set(_outcomes_of(connection, wanted, page))
            gone_reviews += len(page)
            gone_outcomes |= doomed
            after = page[-1]
            if not dry_run:
                _delete_outcomes(connection, sorted(doomed))
                connection.execute(delete(calls).where(calls.c.review_id.in_(page)))
                connection.execute(delete(reviews).where(reviews.c.id.in_(page)))
            connection.commit()
        found = select(outcomes.c.id).where(*wanted.of_outcomes())
        left = set(connection.execute(found).scalars()) - gone_outcomes
        if not dry_run:
            _delete_outcomes(connection, sorted(left))
        connection.commit()
    if not dry_run:
        _truncate_log(engine)
    return Deleted(reviews=gone_reviews, outcomes=len(gone_outcomes | left))


def vacuum(engine: Engine) -> None:
    """Rewrite the database without what was deleted; SQLite needs as much disk again for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
    _truncate_log(engine)


def _next_reviews(connection: Connection, wanted: Filter, after: str) -> list[str]:
    query = select(reviews.c.id).where(*wanted.of_reviews(), reviews.c.id > after)
    return list(connection.execute(query.order_by(reviews.c.id).limit(_PAGE)).scalars())


def _outcomes_of(connection: Connection, wanted: Filter, page: Sequence[str]) -> Iterator[int]:
    """Yield the outcomes of the calls of these reviews, unless they are of one that stays, too."""
    going = _calls(connection, calls.c.review_id.in_(page))
    ids = sorted({call_id for _, call_id, _ in going})
    for at in range(0, len(ids), _PAGE):
        named = ids[at : at + _PAGE]
        of_others = and_(calls.c.call_id.in_(named), not_(and_(*wanted.of_reviews())))
        staying = _calls(connection, of_others)
        query = select(
            outcomes.c.id, outcomes.c.conversation_id, outcomes.c.call_id, outcomes.c.digest
        ).where(outcomes.c.call_id.in_(named))
        for row_id, talk, call_id, digest in connection.execute(query):
            if not _is_of(going, talk, call_id, digest):
                continue
            if talk is None or not _is_of(staying, talk, call_id, digest):
                yield row_id


Call = tuple[str | None, str, str]
"""Conversation, id and digest."""


def _calls(connection: Connection, which: ColumnElement[bool]) -> set[Call]:
    query = select(reviews.c.conversation_id, calls.c.call_id, calls.c.digest)
    query = query.join(calls, calls.c.review_id == reviews.c.id)
    found = connection.execute(query.where(which, calls.c.call_id.is_not(None)))
    every: set[Call] = set()
    for talk, call_id, digest in found:
        every |= {(talk, call_id, digest), (talk, call_id, ""), (None, call_id, digest),
                  (None, call_id, "")}  # fmt: skip
    return every


def _is_of(known: set[Call], talk: str | None, call_id: str, digest: str | None) -> bool:
    return (talk, call_id, digest or "") in known


def _delete_outcomes(connection: Connection, ids: Sequence[int]) -> None:
    for at in range(0, len(ids), _PAGE):
        connection.execute(delete(outcomes).where(outcomes.c.id.in_(ids[at : at + _PAGE])))
        connection.commit()


@contextmanager
def _overwriting(engine: Engine) -> Iterator[Connection]:
    """Open a connection whose deletions overwrite in SQLite what they free."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        connection.rollback()  # a pragma has begun a transaction, as SQLAlchemy sees it
        try:
            yield connection
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")


def _truncate_log(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which holds pages as they were before."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            _log.warning(
                "what was deleted is still in SQLite's write-ahead log, because another connection "
                "reads; forget once more when it is done"
            )
