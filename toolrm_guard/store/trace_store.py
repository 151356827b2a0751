"""The store as its users see it: put, flush, ask, forget.

A review hands over a function that builds its record and goes on; one thread builds and writes in
batches. Recording never fails a review, and by default never holds one up: when the queue is full
the oldest entry is dropped, when the database refuses for good the batch is lost, and both are
counted and logged.
"""

import atexit
import datetime
import logging
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from toolrm_guard.errors import ConfigurationError, StoreError
from toolrm_guard.records import OutcomeRecord, ReviewRecord
from toolrm_guard.store import deletion, queries
from toolrm_guard.store.deletion import Deleted
from toolrm_guard.store.opening import Synchronous, open_engine
from toolrm_guard.store.queries import Filter
from toolrm_guard.store.queue import Build, EntryQueue, StoreHealth
from toolrm_guard.store.writer import Writer

_log = logging.getLogger(__name__)

_FORGET_WAIT_S = 30.0


class TraceStore:
    """Reviews and outcomes, by SQLAlchemy URL or SQLite file.

    An entry is acknowledged once `flush` has returned True after it was put, or `health.written`
    has counted it. What is acknowledged survives the process being killed. What a crash of the
    machine leaves is the database's to say: PostgreSQL keeps every commit, and so does SQLite with
    `synchronous="full"`; by default it may lose the last ones, and is never damaged.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        capacity: int = 10_000,
        block_ms: float | None = None,
        patience_s: float = 60.0,
        synchronous: Synchronous = "normal",
    ) -> None:
        """Open the store; make its tables, or bring them to this version.

        Args:
            url: A SQLAlchemy URL (`sqlite:///traces.db`, `postgresql+psycopg://...`) or the path
                of a SQLite file.
            capacity: Entries that may wait for the writer.
            block_ms: How long a review may be held up by a full queue until there is room; after
                that, and by default at once, the oldest entry is dropped.
            patience_s: How long a batch waits for a database that is locked or away, before it is
                lost. Meanwhile the queue takes in what comes.
            synchronous: SQLite only: `full` makes every commit survive a loss of power, too.

        Raises:
            StoreError: If it cannot be opened, or a newer version has written it.
            ConfigurationError: If a number is out of range.
        """
        if capacity < 1:
            raise ConfigurationError(f"capacity is {capacity}; one entry at least must fit")
        if block_ms is not None and not 0 <= block_ms <= 60_000:
            raise ConfigurationError(f"block_ms is {block_ms}; give 0 to 60000, or None")
        self._engine = open_engine(url, synchronous)
        self._capacity, self._block_ms, self._patience_s = capacity, block_ms, patience_s
        self._start()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            store = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _restart(store()))

    def _start(self) -> None:
        self._queue = EntryQueue(capacity=self._capacity, block_ms=self._block_ms)
        self._writer = Writer(self._engine, self._queue, patience_s=self._patience_s)

    @property
    def health(self) -> StoreHealth:
        """What became of the entries so far; cheap enough to ask for at any time."""
        return self._queue.health

    @property
    def written(self) -> int:
        """Entries committed."""
        return self.health.written

    @property
    def dropped(self) -> int:
        """Entries dropped because the queue was full, or the store closed."""
        return self.health.dropped

    @property
    def failed(self) -> int:
        """Entries lost because the database refused them for good, or could not be built."""
        return self.health.failed

    def put(self, build: Build) -> None:
        """Queue an entry; never raises. `build` runs in the writer's thread."""
        self._queue.put(build)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything queued so far is written or given up.

        Returns:
            True if all of it is written. False on timeout, or if an entry was lost since the last
            flush, whoever asked for that; `health` says how many.
        """
        return self._queue.flush(timeout_s)

    def close(self) -> None:
        """Write what is queued, then stop the writer and release the database."""
        if self._queue.is_closed:
            return
        self._queue.close()
        self._writer.join(30.0)
        left = self.health.queued
        if left:
            _log.error("%d trace entries were not written before the end", left)
        self._engine.dispose()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reviews(
        self,
        conversation_id: str | None = None,
        *,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        decision: str | None = None,
        tool: str | None = None,
        scorer: str | None = None,
        call_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[ReviewRecord]:
        """Yield stored reviews, oldest first, a page at a time.

        What another version wrote and this one cannot read is logged and left out.

        Args:
            conversation_id: Of this conversation.
            since: Made at this time or later; with a time zone.
            until: Made before this time.
            decision: With this decision.
            tool: With a candidate that calls this tool.
            scorer: Judged by the scorer of this name.
            call_id: With a candidate that has a call of this id.
            limit: At most so many.
        """
        wanted = Filter(
            conversation_id=conversation_id,
            since=since,
            until=until,
            decision=decision,
            tool=tool,
            scorer=scorer,
            call_id=call_id,
        )
        return queries.read_reviews(self._engine, wanted, limit)

    def review(self, review_id: str) -> ReviewRecord | None:
        """Return the review of that id; None if there is none, or it cannot be read."""
        return queries.read_review(self._engine, review_id)

    def outcomes(
        self,
        call_id: str | None = None,
        *,
        conversation_id: str | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        kind: str | None = None,
        limit: int | None = None,
    ) -> Iterator[OutcomeRecord]:
        """Yield stored outcomes in the order in which they were stored, a page at a time.

        Args:
            call_id: Of this call; ids come again, `records.outcomes_of` tells calls apart.
            conversation_id: Of this conversation.
            since: Recorded at this time or later; with a time zone.
            until: Recorded before this time.
            kind: Of this kind.
            limit: At most so many.
        """
        wanted = Filter(
            call_id=call_id,
            conversation_id=conversation_id,
            since=since,
            until=until,
            kind=kind,
        )
        return queries.read_outcomes(self._engine, wanted, limit)

    def delete_conversation(self, conversation_id: str, *, dry_run: bool = False) -> Deleted:
        """Delete a conversation: its reviews, and all outcomes that may be of their calls.

        What still waits to be written is written first, so that it goes, too. In SQLite the bytes
        are overwritten; `vacuum` gives the space back.

        Raises:
            StoreError: If what waits cannot be written in time; nothing is deleted then.
        """
        return self._forget(Filter(conversation_id=conversation_id), dry_run)

    def delete_before(self, time: datetime.datetime, *, dry_run: bool = False) -> Deleted:
        """Delete what was recorded before a time, and later outcomes of what was reviewed then.

        Raises:
            StoreError: As `delete_conversation` does.
        """
        return self._forget(Filter(until=time), dry_run)

    def vacuum(self) -> None:
        """Rewrite the database without what was deleted; it is locked meanwhile."""
        deletion.vacuum(self._engine)

    def _forget(self, wanted: Filter, dry_run: bool) -> Deleted:
        # A flush is False, too, for what was lost before it; of that nothing can come any more.
        if not (self.flush(_FORGET_WAIT_S) or self.flush(_FORGET_WAIT_S)):
            raise StoreError(
                "nothing was deleted: entries that may have to go, too, still wait to be written; "
                "try again when the database takes them"
            )
        return deletion.forget(self._engine, wanted, dry_run=dry_run)


def _restart(store: TraceStore | None) -> None:
    """Give a forked child a writer of its own; what waited in the parent is the parent's."""
    if store is not None and not store._queue.is_closed:
        store._engine.dispose(close=False)
        store._start()
