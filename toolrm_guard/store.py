"""The trace store: reviews and outcomes in SQLite or PostgreSQL, written off the hot path.

A review hands over a function that builds its record and goes on; one thread builds and writes in
batches. Recording never blocks and never fails a review: when the queue is full the oldest entry
is dropped, when the database refuses for good the batch is lost, and both are counted and logged.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import ValidationError
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from toolrm_guard.errors import StoreError
from toolrm_guard.records import OutcomeRecord, ReviewRecord, clean_text

_log = logging.getLogger(__name__)

_BATCH = 256
_RETRIES_S = (0.05, 0.2, 1.0, 4.0)
"""Pauses between attempts when the database is locked or away."""

Entry = ReviewRecord | OutcomeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """What a store has done with its entries so far, in this process.

    Attributes:
        queued: Waiting for the writer, or in its hands.
        written: Committed.
        dropped: Given up because the queue was full, or the store closed.
        failed: Lost because the database refused them for good, or they could not be built.
    """

    queued: int
    written: int
    dropped: int
    failed: int


_metadata = MetaData()
_reviews = Table(
    "reviews",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", String(40), nullable=False),
    Column("conversation_id", String(200), index=True),
    Column("decision", String(16), nullable=False),
    Column("scorer", String(100), nullable=False),
    Column("judged", Boolean, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("payload", Text, nullable=False),
)
_outcomes = Table(
    "outcomes",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("call_id", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("payload", Text, nullable=False),
    Index("outcomes_by_call", "call_id"),
)


_R = TypeVar("_R", ReviewRecord, OutcomeRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    table: Table
    values: dict[str, object]


class TraceStore:
    """Reviews and outcomes, by SQLAlchemy URL or SQLite file."""

    def __init__(self, url: str | Path, *, capacity: int = 10_000) -> None:
        """Open the store and create its tables.

        Args:
            url: A SQLAlchemy URL (`sqlite:///traces.db`, `postgresql+psycopg://...`) or the path
                of a SQLite file.
            capacity: Entries that may wait for the writer; beyond it the oldest is dropped.

        Raises:
            StoreError: If it cannot be opened.
        """
        self._engine = _open(url)
        self._capacity = capacity
        self._closed = False
        self.dropped = 0
        """Entries dropped because the queue was full."""
        self.failed = 0
        """Entries lost because the database refused them for good, or could not be built."""
        self.written = 0
        """Entries committed."""
        self._start()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            store = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _restart(store()))

    def _start(self) -> None:
        self._waiting: deque[Callable[[], Entry]] = deque()
        self._changed = threading.Condition()
        self._in_hand = 0
        self._writer = threading.Thread(target=self._run, name="toolrm-guard-store", daemon=True)
        self._writer.start()

    def put(self, build: Callable[[], Entry]) -> None:
        """Queue an entry; returns at once. `build` runs in the writer's thread."""
        with self._changed:
            if self._closed:
                self.dropped += 1
                return
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
                if self.dropped in (1, 10, 100) or self.dropped % 1000 == 0:
                    _log.warning("trace store is behind: %d entries dropped", self.dropped)
            self._waiting.append(build)
            self._changed.notify_all()

    @property
    def health(self) -> StoreHealth:
        """What became of the entries so far; cheap enough to ask for at any time."""
        with self._changed:
            return StoreHealth(
                queued=len(self._waiting) + self._in_hand,
                written=self.written,
                dropped=self.dropped,
                failed=self.failed,
            )

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything queued so far is written or given up; False on timeout."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._in_hand, timeout_s
            )

    def close(self) -> None:
        """Write what is queued, then stop the writer and release the database."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._writer.join(timeout=30.0)
        if self._waiting:
            _log.error("%d trace entries were not written before the end", len(self._waiting))
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

    def reviews(self, conversation_id: str | None = None) -> Iterator[ReviewRecord]:
        """Yield the stored reviews, oldest first; what another version wrote is logged and left."""
        query = select(_reviews.c.payload).order_by(_reviews.c.created_at, _reviews.c.id)
        if conversation_id is not None:
            query = query.where(_reviews.c.conversation_id == conversation_id)
        return self._read(query, ReviewRecord)

    def outcomes(self, call_id: str | None = None) -> Iterator[OutcomeRecord]:
        """Yield the stored outcomes, oldest first; unreadable ones as in `reviews`."""
        query = select(_outcomes.c.payload).order_by(_outcomes.c.id)
        if call_id is not None:
            query = query.where(_outcomes.c.call_id == call_id)
        return self._read(query, OutcomeRecord)

    def _read(self, query: Select[str], kind: type[_R]) -> Iterator[_R]:
        with self._engine.connect() as connection:
            for (payload,) in connection.execute(query):
                try:
                    yield kind.model_validate_json(payload)
                except ValidationError as exc:
                    _log.warning("a stored %s cannot be read: %s", kind.__name__, exc)

    def _run(self) -> None:
        while batch := self._next_batch():
            rows = [row for build in batch if (row := self._build(build)) is not None]
            written = self._write(rows)
            self.written += written
            self.failed += len(rows) - written
            with self._changed:
                self._in_hand = 0
                self._changed.notify_all()

    def _next_batch(self) -> list[Callable[[], Entry]]:
        """Wait for entries; an empty batch means that the store is closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._in_hand = len(batch)
            return batch

    def _build(self, build: Callable[[], Entry]) -> _Row | None:
        try:
            return _row(build())
        except Exception:  # noqa: BLE001  # the writer outlives any one entry; the loss is counted
            self.failed += 1
            _log.exception("a trace entry could not be built and is lost")
            return None

    def _write(self, rows: Sequence[_Row]) -> int:
        """Return how many rows were committed."""
        for pause_s in (*_RETRIES_S, None):
            try:
                self._insert(rows)
            except OperationalError as exc:
                if pause_s is None:
                    _log.error("%d trace entries are lost: %s", len(rows), exc.orig)
                    return 0
                time.sleep(pause_s)
            except Exception as exc:  # noqa: BLE001  # whatever a driver raises, the writer goes on
                if len(rows) > 1:  # find the one that is at fault, keep the others
                    return sum(self._write([row]) for row in rows)
                _log.error("a trace entry is lost: %s", exc)
                return 0
            else:
                return len(rows)
        return 0

    def _insert(self, rows: Sequence[_Row]) -> None:
        with self._engine.begin() as connection:
            for table in (_reviews, _outcomes):
                values = [row.values for row in rows if row.table is table]
                if values:
                    connection.execute(insert(table), values)


def _restart(store: TraceStore | None) -> None:
    """Give a forked child a writer of its own; what waited in the parent is the parent's."""
    if store is not None and not store._closed:
        store._engine.dispose(close=False)
        store._start()


def _row(entry: Entry) -> _Row:
    if isinstance(entry, ReviewRecord):
        return _Row(table=_reviews, values=_review_row(entry))
    return _Row(table=_outcomes, values=_outcome_row(entry))


def _review_row(record: ReviewRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "created_at": record.created_at.isoformat(),
        "conversation_id": clean_text(record.conversation_id or "") or None,
        "decision": record.decision,
        "scorer": record.scorer,
        "judged": record.judged,
        "total_ms": record.total_ms,
        "payload": record.to_json(),
    }


def _outcome_row(record: OutcomeRecord) -> dict[str, object]:
    return {
        "call_id": clean_text(record.call_id),
        "kind": record.kind,
        "ok": record.ok,
        "payload": record.to_json(),
    }


def _open(url: str | Path) -> Engine:
    text = str(url)
    if ":memory:" in text or text == "sqlite://":
        raise StoreError("a trace store in memory is lost to its writer's thread; give a file")
    if isinstance(url, Path) or "://" not in text:
        text = f"sqlite:///{Path(text).expanduser()}"
    try:
        parsed = make_url(text)
        engine = create_engine(parsed)
        if parsed.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _set_pragmas)
        _metadata.create_all(engine)
    except ModuleNotFoundError as exc:
        raise StoreError(f"trace store {text!r} needs the driver {exc.name!r}; install it") from exc
    except (ArgumentError, SQLAlchemyError, OSError) as exc:
        shown = text if "@" not in text else text.rsplit("@", 1)[-1]  # no password in a message
        raise StoreError(
            f"cannot open the trace store {shown!r}: {getattr(exc, 'orig', None) or exc}; "
            "give a SQLAlchemy URL, or the path of a SQLite file in a folder that can be written"
        ) from exc
    return engine


def store_name(url: str) -> str:
    """Return the last part of a path or URL, which never holds a password."""
    return Path(url.partition("?")[0]).name


def _set_pragmas(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # DBAPI connections are untyped
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
