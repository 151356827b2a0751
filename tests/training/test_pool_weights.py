"""Weights of agreement are found again in pools that were made with known ones."""

from dataclasses import replace

import numpy as np
import pytest

from toolrm_guard.scorers.agreement import Agreement
from toolrm_guard.scorers.reward_map import RewardMap
from training.pool_weights import LEAST_POOLS, Pools, fit_agreement, shift_of, slope_of
from training.ranker import equally_long

REWARDS = np.linspace(-8, 8, 65)
LOGISTIC = RewardMap(
    rewards=tuple(REWARDS), probabilities=tuple(1 / (1 + np.exp(-REWARDS))), rule="made",
    thresholds={"read": 0.2, "write": 0.5, "destructive": 0.6, "answer": 0.2},
)  # fmt: skip


def made(pools: int, weights: tuple[float, float], seed: int = 0) -> Pools:
    """Return pools of four in which the right one is drawn by a softmax of known weights."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (pools, 4))
    agreement = -rng.exponential(1.0, (pools, 4))
    utility = weights[0] * scores + weights[1] * agreement
    utility += rng.gumbel(size=utility.shape)
    right = utility == utility.max(axis=1, keepdims=True)
    return Pools(
        scores=scores.ravel(), agreement=agreement.ravel(), right=right.ravel(),
        copies=np.ones(4 * pools, dtype=np.int64), number=np.repeat(np.arange(pools), 4),
        even=np.ones(4 * pools, dtype=np.bool_),
    )  # fmt: skip


def test_known_weights_are_found_in_units_of_the_reward() -> None:
    found = fit_agreement(made(4000, (0.5, 1.5)), slope=0.5, known=LOGISTIC, alone=0.0)
    assert found.calls == pytest.approx(3.0, rel=0.15)
    assert found.trust == pytest.approx(1.0, abs=0.1)
    # Were the reward worth twice as much elsewhere, agreement would be worth half of it.
    less = fit_agreement(made(4000, (0.5, 1.5)), slope=1.0, known=LOGISTIC, alone=0.0)
    assert less.calls == pytest.approx(found.calls / 2, rel=0.01)
    assert less.trust == pytest.approx(0.5, abs=0.05)


def test_agreement_that_says_nothing_weighs_next_to_nothing() -> None:
    found = fit_agreement(made(4000, (1.0, 0.0)), slope=1.0, known=LOGISTIC, alone=0.0)
    assert found.calls < 0.15


def test_too_few_pools_and_pools_of_one_label_leave_agreement_out() -> None:
    few = made(LEAST_POOLS - 1, (0.5, 1.5))
    assert fit_agreement(few, 1.0, LOGISTIC, 0.0) == Agreement()
    right = made(300, (0.5, 1.5))
    all_right = Pools(
        scores=right.scores, agreement=right.agreement, right=np.ones(1200, dtype=np.bool_),
        copies=right.copies, number=right.number, even=right.even,
    )  # fmt: skip
    assert fit_agreement(all_right, 1.0, LOGISTIC, 0.0) == Agreement()


def test_pools_of_unequal_turns_do_not_teach_which_one_is_right() -> None:
    fair = made(2000, (0.5, 1.5))
    unequal = np.repeat(np.arange(2000) < 1000, 4)
    spoilt = replace(fair, right=np.where(unequal, ~fair.right, fair.right), even=~unequal)
    half = Pools(
        scores=fair.scores[4000:], agreement=fair.agreement[4000:], right=fair.right[4000:],
        copies=fair.copies[4000:], number=fair.number[4000:] - 1000, even=fair.even[4000:],
    )  # fmt: skip
    found, alone = (fit_agreement(pools, 0.5, LOGISTIC, 0.0) for pools in (spoilt, half))
    assert (found.calls, found.trust) == (alone.calls, alone.trust)


def test_turns_of_one_length_are_told_from_others() -> None:
    number = np.array([0, 0, 0, 1, 1, 2, 2])
    calls = np.array([0, 2, 2, 1, 2, 0, 0])
    assert equally_long(calls, number).tolist() == [True] * 3 + [False] * 2 + [True] * 2


def test_the_slope_is_what_a_reward_is_worth() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 3, 4000)
    won = rng.random(4000) < 1 / (1 + np.exp(-0.7 * margin))
    right, wrong = np.where(won, margin, 0.0), np.where(won, 0.0, margin)
    assert slope_of(right, wrong, np.ones(4000)) == pytest.approx(0.7, rel=0.1)


def test_the_shift_makes_the_map_honest_whatever_the_share_of_right_ones() -> None:
    rng = np.random.default_rng(0)
    rewards = rng.normal(-1.5, 2, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(rewards + 1.5)))
    thinned = right | (rng.random(20_000) < 0.2)  # four of five wrong ones are not seen
    for kept in (np.ones(20_000, dtype=np.bool_), thinned):
        shift = shift_of(rewards[kept], right[kept], np.ones(int(kept.sum())), LOGISTIC)
        assert shift == pytest.approx(1.5, abs=0.15)
    assert shift_of(rewards, np.ones(20_000, dtype=np.bool_), np.ones(20_000), LOGISTIC) == 0.0
