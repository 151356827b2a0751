"""Rewards for many reviews at once: what is known is not asked, what is asked is asked once."""

import asyncio
import hashlib
import math
import time
from array import array
from dataclasses import dataclass

from toolrm_guard.errors import ScorerOverloaded, ScorerTimeout, ScorerUnavailable
from toolrm_guard.serving.fleet import Fleet
from toolrm_guard.serving.groups import Group, Ids
from toolrm_guard.serving.lru import Lru
from toolrm_guard.serving.stats import ServingStats

Key = bytes


@dataclass(slots=True, eq=False)
class _Flight:
    """Candidates that are being asked for, and how many reviews wait for them."""

    task: "asyncio.Task[dict[Key, float]]"
    deadline: float
    waiting: int = 0


@dataclass(slots=True)
class _Counts:
    items: int = 0
    cache_hits: int = 0
    joined: int = 0
    refused: int = 0
    expired: int = 0


class RewardService:
    """A cache of rewards and one flight per candidate, in front of a fleet.

    A reward is kept under the hash of the model's fingerprint and the token ids, so it can only be
    found by what the model would read again. Failures are not kept.
    """

    def __init__(self, fleet: Fleet, *, fingerprint: str, cache_items: int = 65_536) -> None:
        """Hold up to `cache_items` rewards, about 200 bytes each; 0 keeps none."""
        self._fleet = fleet
        self._fingerprint = fingerprint.encode()
        self._cache: Lru[Key, float] = Lru(cache_items)
        self._flights: dict[Key, _Flight] = {}
        self._counts = _Counts()
        self._closed = False

    @property
    def stats(self) -> ServingStats:
        """What was counted so far."""
        counts, fleet = self._counts, self._fleet.counts
        return ServingStats(
            items=counts.items,
            cache_hits=counts.cache_hits,
            joined=counts.joined,
            refused=counts.refused,
            expired=counts.expired,
            hedges=fleet.hedges,
            hedges_won=fleet.hedges_won,
            failovers=fleet.failovers,
            servers=tuple(server.stats for server in self._fleet.servers),
        )

    async def rewards(self, group: Group, deadline: float | None) -> list[float]:
        """Return one finite reward per candidate, in order.

        Args:
            group: Candidates of one decision.
            deadline: `time.monotonic()` seconds, or None.

        Raises:
            CouldNotJudge: If there is no answer by then, or none is to be expected.
        """
        keys = self._keys(group)
        suffix_of = dict(zip(keys, group.suffixes, strict=True))
        due = math.inf if deadline is None else deadline
        known: dict[Key, float] = {}
        missing = self._look_up(suffix_of, known)
        self._counts.items += len(keys)
        self._counts.cache_hits += len(keys) - len(missing)
        self._counts.joined += sum(key in self._flights for key in missing)
        try:
            while missing:
                if own := {key: suffix_of[key] for key in missing if key not in self._flights}:
                    self._start(group.prompt, own, due)
                await self._join({self._flights[key] for key in missing}, due, known)
                missing = self._look_up(suffix_of, known)
        except ScorerOverloaded:
            self._counts.refused += 1
            raise
        except ScorerTimeout:
            self._counts.expired += 1
            raise
        return [known[key] for key in keys]

    async def aclose(self) -> None:
        """End every flight; what is asked from now on is refused."""
        self._closed = True
        flights = {flight.task for flight in self._flights.values()}
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self._fleet.aclose()

    def _keys(self, group: Group) -> list[Key]:
        shared = hashlib.sha256(self._fingerprint + b"\0")
        # The length keeps prompt and suffix apart: the seam is part of what is scored.
        shared.update(array("Q", (len(group.prompt), *group.prompt)).tobytes())
        keys = []
        for suffix in group.suffixes:
            whole = shared.copy()
            whole.update(array("Q", suffix).tobytes())
            keys.append(whole.digest())
        return keys

    def _look_up(self, suffix_of: dict[Key, Ids], known: dict[Key, float]) -> list[Key]:
        """Add what the cache holds to `known`, and return the rest."""
        for key in suffix_of:
            if key not in known and (reward := self._cache.get(key)) is not None:
                known[key] = reward
        return [key for key in suffix_of if key not in known]

    def _start(self, prompt: Ids, suffixes: dict[Key, Ids], due: float) -> None:
        """Send candidates off on a flight of their own, and list it until it lands."""
        if self._closed:
            raise ScorerUnavailable("the scorer was closed; make another one")

        async def fly() -> dict[Key, float]:
            group = Group(prompt=prompt, suffixes=tuple(suffixes.values()))
            rewards = await self._fleet.score(group, None if math.isinf(due) else due)
            return dict(zip(suffixes, rewards, strict=True))

        def landed(task: "asyncio.Task[dict[Key, float]]") -> None:
            for key in suffixes:
                del self._flights[key]
            if not task.cancelled() and task.exception() is None:
                for key, reward in task.result().items():
                    self._cache.put(key, reward)

        task = asyncio.get_running_loop().create_task(fly())
        task.add_done_callback(landed)
        flight = _Flight(task, due)
        self._flights.update(dict.fromkeys(suffixes, flight))

    async def _join(self, flights: set[_Flight], due: float, known: dict[Key, float]) -> None:
        """Add what the flights bring to `known`; one whose own deadline was nearer may bring none.

        A flight ends early when nobody waits for it any more.
        """
        left_s = None if math.isinf(due) else max(0.0, due - time.monotonic())
        for flight in flights:
            flight.waiting += 1
        try:
            _, late = await asyncio.wait([flight.task for flight in flights], timeout=left_s)
        finally:
            for flight in flights:
                flight.waiting -= 1
                if not flight.waiting:
                    flight.task.cancel()
        if late:
            raise ScorerTimeout(f"no answer within {left_s:.2f} s")
        for flight in flights:
            if flight.task.cancelled():  # its reviews gave it up just before this one joined
                continue
            reason = flight.task.exception()
            if reason is None:
                known.update(flight.task.result())
            elif flight.deadline >= due or not isinstance(reason, ScorerTimeout | ScorerOverloaded):
                raise reason
