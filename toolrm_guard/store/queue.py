"""The entries that wait for the writer: bounded, first in first out, never in the agent's way."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from toolrm_guard.store.tables import Entry

_log = logging.getLogger(__name__)

Build = Callable[[], Entry]

BATCH = 256
"""Entries that are written in one transaction, at most."""

_LINGER_S = 0.02
"""How long the writer lets a batch grow, and how often it looks for one."""

_AWAKE_S = 1.0
"""How long it goes on looking before it has to be woken. On a busy core the thread that wakes
another one loses its turn to it: milliseconds, at the end of a review."""


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


class EntryQueue:
    """A bounded queue that counts what becomes of its entries.

    Entries are numbered as they come in and are taken in order, so that `flush` knows when all
    that came before it is settled, however many follow.
    """

    def __init__(self, *, capacity: int, block_ms: float | None) -> None:
        """Start empty.

        Args:
            capacity: Entries that may wait.
            block_ms: How long `put` may wait for room in a full queue, before the oldest entry is
                dropped; None drops it at once.
        """
        self._capacity = capacity
        self._block_s = None if block_ms is None else block_ms / 1e3
        self._waiting: deque[Build] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)  # the writer: there is work
        self._settled = threading.Condition(self._lock)  # flush, and put: there is room
        self._put = 0
        self._in_hand = 0
        self._first_in_hand = 0
        self._flushing = 0
        self._asleep = False
        self._lost_before_flush = 0
        self._closed = False
        self._written = self._dropped = self._failed = 0

    @property
    def health(self) -> StoreHealth:
        """The counts."""
        with self._lock:
            return StoreHealth(
                queued=len(self._waiting) + self._in_hand,
                written=self._written,
                dropped=self._dropped,
                failed=self._failed,
            )

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._closed

    def put(self, build: Build) -> None:
        """Take an entry in; raises nothing."""
        with self._lock:
            if self._is_full() and self._block_s is not None and not self._closed:
                self._wake.notify()
                self._settled.wait_for(lambda: self._closed or not self._is_full(), self._block_s)
            if self._closed:
                self._drop()
                return
            if self._is_full():
                self._waiting.popleft()
                self._drop()
            self._put += 1
            self._waiting.append(build)
            if self._asleep or len(self._waiting) == BATCH:
                self._asleep = False
                self._wake.notify()

    def take(self) -> list[Build]:
        """Return the next batch, waiting for it; empty when the queue is closed and drained."""
        with self._lock:
            self._wait_for_work()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._in_hand = len(batch)
            self._first_in_hand = self._put - len(self._waiting) - len(batch) + 1
            self._settled.notify_all()  # there is room
            return batch

    def settle(self, *, written: int, failed: int) -> None:
        """Count what became of the batch that was taken."""
        with self._lock:
            self._in_hand = 0
            self._written += written
            self._failed += failed
            self._settled.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was put in so far is settled.

        Returns:
            Whether it is, in time, and nothing was lost since the last flush.
        """
        with self._lock:
            last = self._put
            self._flushing += 1
            self._wake.notify()
            try:
                in_time = self._settled.wait_for(lambda: self._oldest() > last, timeout_s)
            finally:
                self._flushing -= 1
            lost = self._dropped + self._failed
            lossless = lost == self._lost_before_flush
            self._lost_before_flush = lost
            return in_time and lossless

    def close(self) -> None:
        """Take nothing in any more; what waits may still be taken out."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
            self._settled.notify_all()

    def _wait_for_work(self) -> None:
        """Return when a batch is due: it is full, or has had its time to grow, or is flushed."""
        idle_since = time.monotonic()
        while not self._waiting and not self._closed:
            self._asleep = time.monotonic() - idle_since > _AWAKE_S
            self._wake.wait(None if self._asleep else _LINGER_S)
        self._asleep = False
        self._wake.wait_for(self._is_due, _LINGER_S)

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._capacity

    def _is_due(self) -> bool:
        return len(self._waiting) >= BATCH or self._closed or self._flushing > 0

    def _oldest(self) -> int:
        """Return the number of the oldest entry that is not settled, or of the next one to come."""
        # While a batch is in hand, entries between it and the queue may be dropped.
        return self._first_in_hand if self._in_hand else self._put - len(self._waiting) + 1

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped in (1, 10, 100) or self._dropped % 1000 == 0:
            _log.warning("trace store is behind: %d entries dropped", self._dropped)
