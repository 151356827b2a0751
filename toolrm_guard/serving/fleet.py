"""Which server is asked: each in turn, none that fails, a second one if the first is slow."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from toolrm_guard.errors import (
    ConfigurationError,
    CouldNotJudge,
    ScorerTimeout,
)
from toolrm_guard.serving.batcher import Batcher
from toolrm_guard.serving.groups import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedging:
    """When a second server is asked for the same scores (Dean and Barroso, The Tail at Scale).

    Attributes:
        percentile: Of the first server's last latencies, after which the second is asked; None
            never asks one.
        share: At most this share of decisions is hedged, so that a slow fleet is not made slower.
    """

    percentile: float | None = 95.0
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.percentile is not None and not 0.0 < self.percentile < 100.0:
            raise ConfigurationError(f"percentile is {self.percentile!r}; give one in (0, 100)")
        if not 0.0 <= self.share <= 1.0:
            raise ConfigurationError(f"share is {self.share!r}; give one in [0, 1]")


@dataclass(slots=True)
class FleetCounts:
    """What the fleet did, beside its servers' own counts."""

    asked: int = 0
    hedges: int = 0
    hedges_won: int = 0
    failovers: int = 0


class Fleet:
    """Several servers of one model, as one."""

    def __init__(self, servers: Sequence[Batcher], *, hedging: Hedging | None = None) -> None:
        """Take at least one server."""
        self.servers = tuple(servers)
        self.counts = FleetCounts()
        self._hedging = hedging or Hedging()
        self._turn = itertools.count()

    async def score(self, group: Group, deadline: float | None) -> list[float]:
        """Return one reward per candidate, from whichever server answers first.

        Args:
            group: Candidates of one decision.
            deadline: `time.monotonic()` seconds, or None.

        Raises:
            CouldNotJudge: The first server's reason, if no other could help.
        """
        self.counts.asked += 1
        order = self._order()
        asked: dict[asyncio.Task[list[float]], Batcher] = {}
        hedge: Batcher | None = None
        reasons: list[CouldNotJudge] = []
        wait_s = self._hedge_after_s(order)

        def ask(server: Batcher) -> None:
            asked[asyncio.ensure_future(server.submit(group, deadline))] = server

        ask(order.pop(0))
        try:
            while asked:
                done, _ = await asyncio.wait(
                    asked, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                wait_s = None
                if not done and self._may_hedge():
                    self.counts.hedges += 1
                    hedge = order.pop(0)
                    ask(hedge)
                for task in done:
                    server = asked.pop(task)
                    try:
                        rewards = task.result()
                    except CouldNotJudge as exc:
                        reasons.append(exc)
                    else:
                        self.counts.hedges_won += server is hedge
                        return rewards
                late = any(isinstance(reason, ScorerTimeout) for reason in reasons)
                if not asked and order and not late:
                    self.counts.failovers += 1
                    ask(order.pop(0))
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise reasons[0]

    async def aclose(self) -> None:
        """Give up what waits at every server."""
        await asyncio.gather(*(server.aclose() for server in self.servers))

    def _order(self) -> list[Batcher]:
        """Return the servers that may be asked, beginning with the one whose turn it is."""
        start = next(self._turn) % len(self.servers)
        rotated = [*self.servers[start:], *self.servers[:start]]
        # With none left, the first says why.
        return [server for server in rotated if server.available] or rotated[:1]

    def _may_hedge(self) -> bool:
        return self.counts.hedges + 1 <= self._hedging.share * self.counts.asked

    def _hedge_after_s(self, order: Sequence[Batcher]) -> float | None:
        if len(order) < 2 or self._hedging.percentile is None:
            return None
        return order[0].answers.percentile(self._hedging.percentile)
