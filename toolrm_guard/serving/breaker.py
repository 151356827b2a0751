"""A circuit breaker: a server that keeps failing is left alone, then tried with one request."""

import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]


MAX_DOUBLING = 8
"""A server that is back is noticed within eight seconds by default, for a review each try."""


class Breaker:
    """Counts failures in a row and says whether the server may be asked.

    Closed lets everything through. After `failures` in a row it opens for `cooldown_s`, then lets
    one request through: its success closes it, its failure doubles the cooldown, up to
    `MAX_DOUBLING` times the first.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        cooldown_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start closed."""
        self._limit = failures
        self._first_cooldown_s = self._cooldown_s = cooldown_s
        self._max_cooldown_s = MAX_DOUBLING * cooldown_s
        self._clock = clock
        self._failed = 0
        self._open_until: float | None = None
        self._probing = False
        self.opened = 0
        """How often it opened."""

    @property
    def state(self) -> BreakerState:
        """What it is now."""
        if self._open_until is None:
            return "closed"
        return "half_open" if self._clock() >= self._open_until else "open"

    def allows(self) -> bool:
        """Tell whether a request may go out now."""
        state = self.state
        return state == "closed" or (state == "half_open" and not self._probing)

    def begin(self) -> None:
        """Note that a request goes out; when half open it is the only one."""
        self._probing = self._open_until is not None

    def succeed(self) -> None:
        """Note an answer."""
        self._failed, self._open_until, self._probing = 0, None, False
        self._cooldown_s = self._first_cooldown_s

    def fail(self) -> None:
        """Note a failure. One that was sent before it opened does not prolong the pause."""
        self._failed += 1
        was_probe, self._probing = self._probing, False
        if self._open_until is None:
            if self._failed >= self._limit:
                self._open()
        elif was_probe:
            self._cooldown_s = min(self._max_cooldown_s, 2 * self._cooldown_s)
            self._open()

    def abandon(self) -> None:
        """Note that a request ended without telling anything of the server."""
        self._probing = False

    def _open(self) -> None:
        self._open_until = self._clock() + self._cooldown_s
        self.opened += 1
