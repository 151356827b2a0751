"""Counts that others keep, read when OpenTelemetry collects: of the store and of served scorers.

A guard registers what it uses and goes on; nothing is added to the hot path. What is watched is
held weakly. A counter must not fall, so the last counts read from what is gone are kept.
"""

import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Mapping

from opentelemetry.metrics import Observation

from toolrm_guard import metrics
from toolrm_guard.metrics import Instrument
from toolrm_guard.store import StoreHealth

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A row's name and the attributes of one of its points."""

_ROWS = {row.name: row for row in (metrics.STORE_ENTRIES, metrics.STORE_QUEUE)}


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
        """Watch something with a `health` or `stats` of a known kind; anything else is left."""
        if not _points(source):
            return
        key = id(source)
        with self._lock:
            self._bury()
            if key not in self._sources:
                self._sources[key] = weakref.ref(source, lambda _: self._dead.append(key))

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

    def _bury(self) -> None:
        while self._dead:
            key = self._dead.popleft()
            self._sources.pop(key, None)
            for point, value in self._last.pop(key, Counter()).items():
                if _ROWS[point[0]].kind != "gauge":
                    self._gone[point] += value


def _points(source: object) -> Counter[Key]:
    """Return what a source counted, by row and attributes."""
    points: Counter[Key] = Counter()
    health = getattr(source, "health", None)
    if isinstance(health, StoreHealth):
        for state in ("written", "dropped", "failed"):
            _add(points, metrics.STORE_ENTRIES, getattr(health, state), {metrics.STATE: state})
        _add(points, metrics.STORE_QUEUE, health.queued, {})
    return points


def _add(points: Counter[Key], row: Instrument, value: int, attributes: Mapping[str, str]) -> None:
    points[row.name, tuple(sorted(attributes.items()))] += value


_watched = Watched()
watch = _watched.add
for _row in _ROWS.values():
    metrics.observe(_row, _watched.read)
