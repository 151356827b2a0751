"""How long a server took of late."""

from collections import deque

WINDOW = 128
ENOUGH = 20
"""Observations before a percentile is worth acting on."""


class Latencies:
    """The last durations, in seconds."""

    def __init__(self) -> None:
        """Start without any."""
        self._last: deque[float] = deque(maxlen=WINDOW)

    def add(self, seconds: float) -> None:
        """Observe one."""
        self._last.append(seconds)

    def percentile(self, percent: float) -> float | None:
        """Return the nearest-rank percentile in seconds; None before there are `ENOUGH`."""
        if len(self._last) < ENOUGH:
            return None
        ordered = sorted(self._last)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
