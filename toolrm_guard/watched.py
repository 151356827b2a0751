"""Counts that others keep, read when OpenTelemetry collects: of the store and of served scorers.

A guard registers what it uses and goes on; nothing is added to the hot path. What is watched is
held weakly. A counter must not fall, so the last counts read from what is gone are kept.
"""

import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import get_args
from urllib.parse import urlsplit

from opentelemetry.metrics import Observation

from toolrm_guard import metrics
from toolrm_guard.metrics import Instrument
from toolrm_guard.scorers.base import Critic, Scorer
from toolrm_guard.scorers.cascade_stats import CascadeStats
from toolrm_guard.scorers.critic_stats import CriticStats
from toolrm_guard.serving.breaker import BreakerState
from toolrm_guard.serving.stats import ServingStats
from toolrm_guard.store import StoreHealth

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A row's name and the attributes of one of its points."""

_ROWS = {
    row.name: row
    for row in vars(metrics).values()
    if isinstance(row, Instrument) and row.kind in ("observable counter", "gauge")
}


class Watched:
    """What is read, by identity.

    No lock is held while a source is read, nor taken where the garbage collector runs: a source's
    own lock may be held there.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._lock = threading.Lock()
        self._sources: dict[int, weakref.ref[object]] = {}
        self._last: dict[int, Counter[Key]] = {}
        self._dead: deque[int] = deque()
        self._gone: Counter[Key] = Counter()

    def add(self, source: object) -> None:
        """Watch what has a `health` or `stats` of a known kind, in a source and in its parts."""
        for part in parts_of(source):
            key = id(part)
            if not _points(part):
                continue
            with self._lock:
                self._bury()
                if key not in self._sources:
                    forget = partial(_note, self._dead, key)
                    self._sources[key] = weakref.ref(part, forget)

    def read(self, row: Instrument) -> Iterable[Observation]:
        """Return the points of a row, equal attributes summed."""
        with self._lock:
            self._bury()
            alive = {key: reference() for key, reference in self._sources.items()}
        points = {key: _points(source) for key, source in alive.items() if source is not None}
        totals: Counter[Key] = Counter()
        with self._lock:
            self._last.update(points)
            for counted in (self._gone, *points.values()):
                totals.update(counted)
        return [
            Observation(value, dict(attributes))
            for (name, attributes), value in totals.items()
            if name == row.name
        ]

    def unlock(self) -> None:
        """Start with a lock that nobody holds, in a process that was forked."""
        self._lock = threading.Lock()

    def _bury(self) -> None:
        while self._dead:
            key = self._dead.popleft()
            self._sources.pop(key, None)
            for point, value in self._last.pop(key, Counter()).items():
                if _ROWS[point[0]].kind != "gauge":
                    self._gone[point] += value


def _note(dead: deque[int], key: int, _: object) -> None:
    dead.append(key)


def parts_of(source: object, depth: int = 3) -> Iterator[object]:
    """Yield a source and the scorers and critics that it is made of, as a cascade is."""
    yield source
    if depth:
        for held in getattr(source, "__dict__", {}).values():
            for part in held if isinstance(held, (list, tuple)) else (held,):
                if isinstance(part, (Scorer, Critic)):
                    yield from parts_of(part, depth - 1)


def _points(source: object) -> Counter[Key]:
    """Return what a source counted, by row and attributes."""
    points: Counter[Key] = Counter()
    health, stats = getattr(source, "health", None), getattr(source, "stats", None)
    if isinstance(health, StoreHealth):
        _read_store(points, health)
    if isinstance(stats, ServingStats):
        _read_serving(points, stats, str(getattr(source, "name", "")))
    if isinstance(stats, CriticStats):
        _read_critic(points, stats)
    if isinstance(stats, CascadeStats):
        _read_cascade(points, stats)
    return points


def _read_store(points: Counter[Key], health: StoreHealth) -> None:
    for state in ("written", "dropped", "failed"):
        _add(points, metrics.STORE_ENTRIES, getattr(health, state), {metrics.STATE: state})
    _add(points, metrics.STORE_QUEUE, health.queued, {})


def _read_serving(points: Counter[Key], stats: ServingStats, scorer: str) -> None:
    of = {metrics.SCORER: scorer}
    missed = stats.items - stats.cache_hits - stats.joined
    for result, count in (("hit", stats.cache_hits), ("joined", stats.joined), ("miss", missed)):
        _add(points, metrics.CANDIDATES, count, {**of, metrics.RESULT: result})
    for reason, count in (("overloaded", stats.refused), ("expired", stats.expired)):
        _add(points, metrics.REFUSED, count, {**of, metrics.REASON: reason})
    for state, count in (("asked", stats.hedges), ("won", stats.hedges_won)):
        _add(points, metrics.HEDGES, count, {**of, metrics.STATE: state})
    _add(points, metrics.FAILOVERS, stats.failovers, of)
    for server in stats.servers:
        url = urlsplit(server.server)
        port = url.port or (443 if url.scheme == "https" else 80)
        at = dict(zip(metrics.SERVER, (url.hostname or "", str(port)), strict=True))
        _add(points, metrics.SERVER_REQUESTS, server.batches, at)
        _add(points, metrics.SERVER_CANDIDATES, server.items, at)
        _add(points, metrics.SERVER_FAILURES, server.failures, at)
        _add(points, metrics.SERVER_WAITING, server.waiting, at)
        for state in get_args(BreakerState):
            _add(
                points, metrics.BREAKER_STATE, server.breaker == state, {**at, metrics.STATE: state}
            )


def _read_critic(points: Counter[Key], stats: CriticStats) -> None:
    answered = stats.requests - stats.failures - stats.unreadable
    results = {"answered": answered, "unreadable": stats.unreadable, "failed": stats.failures}
    for result, count in results.items():
        _add(points, metrics.CRITIC_REQUESTS, count, {metrics.RESULT: result})
    for token_type, count in (("input", stats.prompt_tokens), ("output", stats.output_tokens)):
        _add(points, metrics.CRITIC_TOKENS, count, {metrics.TOKEN_TYPE: token_type})


def _read_cascade(points: Counter[Key], stats: CascadeStats) -> None:
    results = {
        "kept": stats.decisions - stats.escalated,
        "escalated": stats.escalated - stats.fallbacks,
        "fell_back": stats.fallbacks,
    }
    for result, count in results.items():
        _add(points, metrics.CASCADE_DECISIONS, count, {metrics.RESULT: result})


def _add(points: Counter[Key], row: Instrument, value: int, attributes: Mapping[str, str]) -> None:
    points[row.name, tuple(sorted(attributes.items()))] += value


_watched = Watched()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watched.unlock)  # whoever held the lock stays in the parent
watch = _watched.add
for _row in _ROWS.values():
    metrics.observe(_row, _watched.read)
