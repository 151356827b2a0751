"""The promise of conformal thresholds, checked on draws, and the refusals."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calibration import (
    JudgedTurn,
    TooFewGroups,
    conformal_threshold,
    fit,
    groups_needed,
    share_below,
)
from toolrm_guard.errors import ConfigurationError

probabilities = st.floats(0.0, 1.0).map(lambda value: round(value, 2))  # with many ties
groups = st.lists(
    st.dictionaries(probabilities, st.integers(1, 5).map(float), min_size=1, max_size=5),
    min_size=1,
    max_size=40,
)
rates = st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5, 0.9])


def turn(probability: float, *, group: str = "g", right: bool = True, count: int = 1) -> JudgedTurn:
    return JudgedTurn(
        group=group, kinds=("read",), probability=probability, right=right, count=count
    )


@given(groups, rates)
def test_the_expected_loss_over_every_left_out_group_is_within_the_rate(
    drawn: list[dict[float, float]], rate: float
) -> None:
    """Exchangeability made exact: the next group is each of n + 1 in turn, equally likely."""
    losses = []
    for index, held_out in enumerate(drawn):
        seen = drawn[:index] + drawn[index + 1 :]
        if len(seen) < groups_needed(rate):
            return
        losses.append(share_below(held_out, conformal_threshold(seen, rate)))
    assert sum(losses) / len(losses) <= rate + 1e-6


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_the_promise_holds_over_fresh_draws_and_is_not_wasteful(rate: float) -> None:
    rng = random.Random(1)

    def group() -> dict[float, float]:
        hard = rng.random() ** 2  # calls of one group are alike
        return {min(1.0, hard + 0.2 * rng.random()): 1.0 for _ in range(rng.randint(1, 6))}

    losses = []
    for _ in range(1500):
        threshold = conformal_threshold([group() for _ in range(40)], rate)
        losses.append(share_below(group(), threshold))
    mean = sum(losses) / len(losses)
    error = math.sqrt(rate * (1 - rate) / len(losses))
    assert rate - 2.5 / 41 - 3 * error <= mean <= rate + 3 * error


@given(groups, st.lists(rates, min_size=2, max_size=2))
def test_a_higher_rate_never_gives_a_lower_threshold(
    drawn: list[dict[float, float]], pair: list[float]
) -> None:
    low, high = sorted(pair)
    if len(drawn) >= groups_needed(low):
        assert conformal_threshold(drawn, low) <= conformal_threshold(drawn, high)


@given(st.lists(probabilities, min_size=1, max_size=60), rates)
def test_with_one_call_a_group_it_is_the_split_conformal_quantile(
    values: Sequence[float], rate: float
) -> None:
    rank = math.floor(rate * (len(values) + 1) + 1e-9)
    drawn = [{value: 1.0} for value in values]
    if rank:
        assert conformal_threshold(drawn, rate) == sorted(values)[rank - 1]
    else:
        with pytest.raises(TooFewGroups):
            conformal_threshold(drawn, rate)


@given(groups, rates)
def test_weights_within_a_group_only_count_as_shares(
    drawn: list[dict[float, float]], rate: float
) -> None:
    if len(drawn) >= groups_needed(rate):
        louder = [{p: 7 * weight for p, weight in group.items()} for group in drawn]
        assert conformal_threshold(louder, rate) == conformal_threshold(drawn, rate)


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.1, 9), (0.3, 3), (0.01, 99)])
def test_one_group_fewer_than_needed_is_refused_with_both_numbers(rate: float, needed: int) -> None:
    assert groups_needed(rate) == needed
    conformal_threshold([{0.5: 1.0}] * needed, rate)
    with pytest.raises(TooFewGroups, match=rf"^{needed - 1} groups .* needs {needed}$"):
        conformal_threshold([{0.5: 1.0}] * (needed - 1), rate)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        conformal_threshold([{0.5: 1.0}] * 100, rate)


def test_calls_of_one_dialog_do_not_pass_for_independent_evidence() -> None:
    turns = [turn(0.5, group="one dialog") for _ in range(1000)]
    with pytest.raises(TooFewGroups, match=r"read: 1 groups"):
        fit(turns, 0.05, ["read"])


def test_every_kind_that_lacks_evidence_is_named() -> None:
    turns = [turn(0.9, group=str(n)) for n in range(30)]
    with pytest.raises(TooFewGroups, match=r"write: 0 groups .*; answer: 0 groups"):
        fit(turns, 0.05, ["read", "write", "answer"])


def test_a_threshold_comes_with_what_it_blocks_and_passes() -> None:
    right = [turn((n + 1) / 20, group=str(n), count=3) for n in range(19)]
    wrong = [turn(0.05, right=False), turn(0.5, right=False, count=3)]
    found = fit([*right, *wrong], 0.1, ["read"])["read"]
    assert found.value == 0.1
    assert (found.groups, found.right_calls) == (19, 57)
    assert found.wrongly_blocked == pytest.approx(1 / 19)
    assert found.wrongly_passed == 0.75


def test_a_turn_counts_for_each_of_its_calls_kinds() -> None:
    turns = [
        JudgedTurn(group=str(n), kinds=("read", "write", "write"), probability=0.5, right=True)
        for n in range(9)
    ]
    found = fit(turns, 0.1, ["read", "write"])
    assert (found["read"].right_calls, found["write"].right_calls) == (9, 18)
