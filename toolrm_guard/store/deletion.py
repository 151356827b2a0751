"""Forgetting: reviews with their calls and outcomes leave the store, and on request their bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, exists, func, or_, select

from toolrm_guard.store.queries import Filter
from toolrm_guard.store.tables import calls, outcomes, reviews


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
    review_is_old = and_(*wanted.of_reviews())
    outcome_goes = or_(and_(*wanted.of_outcomes()), _is_of(review_is_old))
    with _overwriting(engine) as connection:
        found = Deleted(
            reviews=_count(connection, reviews.c.id, review_is_old),
            outcomes=_count(connection, outcomes.c.id, outcome_goes),
        )
        if not dry_run:
            # Outcomes first: which go is told by the calls of the reviews.
            connection.execute(delete(outcomes).where(outcome_goes))
            of_old = select(reviews.c.id).where(review_is_old).scalar_subquery()
            connection.execute(delete(calls).where(calls.c.review_id.in_(of_old)))
            connection.execute(delete(reviews).where(review_is_old))
            connection.commit()
    if not dry_run:
        _truncate_log(engine)
    return found


def vacuum(engine: Engine) -> None:
    """Rewrite the database without what was deleted; SQLite needs as much disk again for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
    _truncate_log(engine)


def _is_of(review_is_old: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an outcome is of a call of such a review, and of no other's.

    Ids of calls come again: within a conversation another review may have the same.
    """
    joined = and_(
        calls.c.review_id == reviews.c.id,
        calls.c.call_id == outcomes.c.call_id,
        or_(
            outcomes.c.conversation_id.is_(None),
            outcomes.c.conversation_id == reviews.c.conversation_id,
        ),
        or_(outcomes.c.digest.is_(None), outcomes.c.digest == calls.c.digest),
    )
    return and_(
        exists().where(joined, review_is_old),
        or_(
            outcomes.c.conversation_id.is_(None),
            ~exists().where(joined, ~review_is_old),
        ),
    )


def _count(
    connection: Connection, column: ColumnElement[object], wanted: ColumnElement[bool]
) -> int:
    return connection.execute(select(func.count(column)).where(wanted)).scalar_one()


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
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
