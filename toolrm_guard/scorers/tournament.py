"""Rewards of N candidates from comparisons of two: a knockout, or every pair.

A comparison gives P(the first is better), 0.5 for a tie. A tie leaves the earlier candidate in
place, so the model's own first proposal is beaten only by what is better.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

Ranking = Literal["knockout", "round_robin"]
Compare = Callable[[int, int], Awaitable[float]]
_T = TypeVar("_T")


async def knockout(count: int, compare: Compare) -> list[float]:
    """Return one reward per candidate after count - 1 comparisons in ceil(log2(count)) rounds.

    Neighbours meet; of an odd number the last one waits. The reward is the number of rounds that a
    candidate survived plus the mean of its P(better), so that the champion has the highest. The
    order of those who never met says little.
    """
    chances: list[list[float]] = [[] for _ in range(count)]
    survived = [0] * count
    field = list(range(count))
    while len(field) > 1:
        pairs = list(zip(field[::2], field[1::2], strict=False))
        results = await gather([compare(first, second) for first, second in pairs])
        winners = field[len(pairs) * 2 :]
        for (first, second), chance in zip(pairs, results, strict=True):
            chances[first].append(chance)
            chances[second].append(1.0 - chance)
            winners.append(first if chance >= 0.5 else second)
        field = sorted(winners)
        for winner in field:
            survived[winner] += 1
    return [rounds + _mean(met) for rounds, met in zip(survived, chances, strict=True)]


async def round_robin(count: int, compare: Compare) -> list[float]:
    """Return one reward per candidate, its mean P(better) over all others, in [0, 1].

    That is count * (count - 1) / 2 comparisons, all at once.
    """
    pairs = list(itertools.combinations(range(count), 2))
    results = await gather([compare(first, second) for first, second in pairs])
    chances: list[list[float]] = [[] for _ in range(count)]
    for (first, second), chance in zip(pairs, results, strict=True):
        chances[first].append(chance)
        chances[second].append(1.0 - chance)
    return [_mean(met) for met in chances]


async def gather(questions: Sequence[Awaitable[_T]]) -> list[_T]:
    """Return all results, or raise the first error and ask the rest no further."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _mean(chances: Sequence[float]) -> float:
    """Return the mean; who met nobody is neither better nor worse."""
    # Rounded: the order of a sum must not make equals unequal.
    return round(math.fsum(chances) / len(chances), 12) if chances else 0.5
