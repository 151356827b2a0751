"""How much agreement counts: weights fitted on pools of real outputs, of sources left out.

Where a model that never saw a source ranks that source's pools, its reward and agreement compete
fairly: fitted together, they are the choice among candidates. For a probability, agreement counts
in units of the reward, at what it is worth on an average source: the few sources with pools
need not be typical, and where all candidates agree the reward must decide with its full weight.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolrm_guard.scorers.agreement import Agreement
from toolrm_guard.scorers.reward_map import RewardMap
from training.ranker import Floats, Ints

LEAST_POOLS = 100
"""Fewer pools with right and wrong candidates say too little: agreement then counts nothing."""

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """The distinct candidates of pools.

    Attributes:
        scores: (members,) what trees that never saw the source say.
        agreement: (members,) as in `scorers.agreement`.
        right: (members,) bool.
        copies: (members,) how many candidates of the pool are this one.
        number: (members,) index of the pool, from 0, rising.
        even: (members,) bool, the turns of the pool that call at all make equally many calls.
    """

    scores: Floats
    agreement: Floats
    right: NDArray[np.bool_]
    copies: Ints
    number: Ints
    even: NDArray[np.bool_]


def fit_agreement(pools: Pools, slope: float, known: RewardMap, alone: float) -> Agreement:
    """Return the weights of agreement.

    Which candidate is right is learned from pools of equally long turns: packs of real outputs call
    a turn right that makes some of the calls that are due, and from them agreement would learn that
    fewer calls are better. How far a pool can be trusted is learned from all.

    Args:
        pools: At least one.
        slope: What a reward is worth in log-odds on an average source (`slope_of`).
        known: The map from reward to probability for candidates by themselves.
        alone: What single candidates of the same sources lack in that map (`shift_of`).
    """
    mixed = _mixed(pools)
    if len(np.unique(mixed.number)) < LEAST_POOLS:
        return Agreement()
    columns = np.column_stack([mixed.scores, mixed.agreement])
    own, calls = _minimum(
        lambda weights: _surprise(columns @ weights, mixed), [(0.0, 3.0), (0.0, 8.0)]
    )
    calls = calls / slope
    rewards = pools.scores + calls * pools.agreement
    whole = shift_of(rewards, pools.right, pools.copies.astype(np.float64), known) - alone
    return Agreement(
        calls=round(calls, 4),
        trust=round(min(max(own / slope, 0.01), 1.0), 4),
        whole=round(whole, 4),
    )


def slope_of(right: Floats, wrong: Floats, weight: Floats) -> float:
    """Return what a reward is worth in log-odds: the slope that explains pairs (pairs,) best."""
    margin = right - wrong
    (slope,) = _minimum(lambda w: float(weight @ np.logaddexp(0.0, -w[0] * margin)), [(0.01, 3.0)])
    return slope


def shift_of(rewards: Floats, right: NDArray[np.bool_], weight: Floats, known: RewardMap) -> float:
    """Return what to add to rewards (n,) so that the map is honest; both labels weigh the same."""
    share = float(weight[right].sum() / weight.sum())
    if not 0.0 < share < 1.0:
        return 0.0
    balanced = weight * np.where(right, 0.5 / share, 0.5 / (1 - share))

    def surprise(shift: Floats) -> float:
        p = np.clip(known.probability(rewards + shift[0]), 1e-3, 1 - 1e-3)
        return float(-balanced @ np.log(np.where(right, p, 1 - p)))

    (shift,) = _minimum(surprise, [(-6.0, 6.0)])
    return shift


def _mixed(pools: Pools) -> Pools:
    """Return the pools of equally long turns that hold right and wrong candidates."""
    right = np.bincount(pools.number, pools.right) if len(pools.number) else np.zeros(0)
    size = np.bincount(pools.number)
    kept = ((right > 0) & (right < size))[pools.number] & pools.even
    return Pools(
        scores=pools.scores[kept],
        agreement=pools.agreement[kept],
        right=pools.right[kept],
        copies=pools.copies[kept],
        number=pools.number[kept],
        even=pools.even[kept],
    )


def _surprise(utility: Floats, pools: Pools) -> float:
    """Return -log P(a right candidate is picked), summed; picks are a softmax (McFadden 1974)."""
    _, number = np.unique(pools.number, return_inverse=True)
    top = np.full(number.max() + 1, -np.inf)
    np.maximum.at(top, number, utility)
    size = np.exp(utility - top[number])
    return float(-np.log(np.bincount(number, size * pools.right) / np.bincount(number, size)).sum())


def _minimum(
    loss: Callable[[Floats], float], bounds: Sequence[tuple[float, float]], sweeps: int = 12
) -> list[float]:
    """Return where a loss is least: golden-section search of one weight after the other."""
    at = np.array([(low + high) / 2 for low, high in bounds])
    for _ in range(sweeps if len(bounds) > 1 else 1):
        for index, (low, high) in enumerate(bounds):
            at[index] = _golden(loss, at, index, low, high)
    return [float(weight) for weight in at]


def _golden(
    loss: Callable[[Floats], float], at: Floats, index: int, low: float, high: float
) -> float:
    def value(weight: float) -> float:
        moved = at.copy()
        moved[index] = weight
        return loss(moved)

    one, two = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_one, of_two = value(one), value(two)
    for _ in range(30):
        if of_one <= of_two:
            high, two, of_two = two, one, of_one
            one = high - _GOLDEN * (high - low)
            of_one = value(one)
        else:
            low, one, of_one = one, two, of_two
            two = low + _GOLDEN * (high - low)
            of_two = value(two)
    return (low + high) / 2
