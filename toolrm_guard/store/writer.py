"""The thread that builds, batches and commits what the queue holds."""

import logging
import threading
import time
from collections.abc import Sequence

from sqlalchemy import Table, insert
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from toolrm_guard.errors import origin_of
from toolrm_guard.store.queue import Build, EntryQueue
from toolrm_guard.store.tables import Rows, Values, calls, outcomes, reviews, rows_of

_log = logging.getLogger(__name__)

_PAUSES_S = (0.05, 0.2, 1.0, 4.0)
"""Between attempts to write a batch; the last one repeats while there is patience."""


class Writer:
    """Writes batches until the queue is closed and drained."""

    def __init__(self, engine: Engine, queue: EntryQueue, *, patience_s: float) -> None:
        """Start the thread.

        Args:
            engine: The database.
            queue: Where batches come from.
            patience_s: How long a batch waits for a database that is locked or away.
        """
        self._engine = engine
        self._queue = queue
        self._patience_s = patience_s
        self._thread = threading.Thread(target=self._run, name="toolrm-guard-store", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while batch := self._queue.take():
            rows = []
            for build in batch:
                row = _built(build)
                if row is not None:
                    rows.append(row)
                time.sleep(0)  # let the agent have the interpreter, which else it gets every 5 ms
            written = self._write(rows) if rows else 0
            self._queue.settle(written=written, failed=len(batch) - written)

    def _write(self, rows: Sequence[Rows]) -> int:
        """Return how many entries were committed."""
        until = time.monotonic() + self._patience_s
        attempt = 0
        while True:
            try:
                self._insert(rows)
            except OperationalError as exc:
                last = attempt >= len(_PAUSES_S)
                patient = _may_pass(exc) and time.monotonic() < until and not self._queue.is_closed
                if last and not patient:
                    _log.error("%d trace entries are lost: %s", len(rows), _reason(exc))
                    return 0
                time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
                attempt += 1
            except Exception as exc:  # noqa: BLE001  # whatever a driver raises, the writer goes on
                if len(rows) > 1:  # find the one that is at fault, keep the others
                    return sum(self._write([row]) for row in rows)
                _log.error("a trace entry is lost: %s", _reason(exc))
                return 0
            else:
                return len(rows)

    def _insert(self, rows: Sequence[Rows]) -> None:
        per_table: list[tuple[Table, list[Values]]] = [
            (reviews, [row.review for row in rows if row.review is not None]),
            (calls, [call for row in rows for call in row.calls]),
            (outcomes, [row.outcome for row in rows if row.outcome is not None]),
        ]
        with self._engine.begin() as connection:
            for table, values in per_table:
                if values:
                    connection.execute(insert(table), values)


def _built(build: Build) -> Rows | None:
    try:
        return rows_of(build())
    except Exception as exc:  # noqa: BLE001  # the writer outlives any one entry; the loss is counted
        _log.error("a trace entry could not be built and is lost: %s", origin_of(exc))
        return None


def _may_pass(error: OperationalError) -> bool:
    """Tell whether waiting may help: the database is locked, or its server away or restarting."""
    if error.connection_invalidated:
        return True
    said = str(error.orig).lower()
    return any(sign in said for sign in ("locked", "busy", "connect", "server", "terminat"))


def _reason(error: Exception) -> str:
    """Return the first line of what the driver said; the others may quote values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"
