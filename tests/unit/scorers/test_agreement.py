"""Agreement among candidates: what it says, and what it must never do."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.scorers.agreement import Agreement, evidence

WEIGHTS = Agreement(calls=2.0, values=3.0, trust=0.5, whole=0.5)


def call(**arguments: Any) -> Candidate:
    return Candidate(calls=(Call(name="weather", arguments=arguments),))


def test_one_and_two_candidates_cannot_vote() -> None:
    for candidates in ((call(a=1),), (call(a=1), call(a=2))):
        assert not evidence(candidates).any()
        rewards = np.zeros(len(candidates))
        assert WEIGHTS.to_choose(rewards, candidates).tolist() == rewards.tolist()
        assert WEIGHTS.to_judge(rewards, candidates).tolist() == rewards.tolist()


def test_full_agreement_is_zero_so_that_the_reward_by_itself_decides() -> None:
    assert not evidence([call(a=1)] * 5).any()
    assert WEIGHTS.to_judge(np.full(5, -2.0), [call(a=1)] * 5).tolist() == [-1.5] * 5
    assert WEIGHTS.to_choose(np.full(5, -2.0), [call(a=1)] * 5).tolist() == [-1.0] * 5


def test_calls_count_by_their_share_and_values_by_what_two_have_in_common() -> None:
    one, near, silent = call(a=1, b=2), call(a=1, b=3), Candidate(text="no")
    found = evidence([one, one, near, silent])
    assert found[:, 0] == pytest.approx([math.log(1 / 2)] * 2 + [math.log(1 / 4)] * 2)
    # One of three others is the same, one shares a=1 of three values, one shares nothing.
    assert found[0, 1] == pytest.approx((1 + 1 / 3 + 0) / 3 - 1)
    assert found[2, 1] == pytest.approx((1 / 3 + 1 / 3 + 0) / 3 - 1)
    assert found[3, 1] == -1  # nobody else is silent
    assert evidence([silent, Candidate(text="other words"), one])[0, 1] == pytest.approx(0.5 - 1)


def test_leaving_out_a_call_is_not_agreeing_more() -> None:
    """Everyone gives the values of the short turn, but most ask for two cities."""
    lima, oslo = call(city="Lima").calls[0], call(city="Oslo").calls[0]
    short, both = Candidate(calls=(lima,)), Candidate(calls=(lima, oslo))
    found = evidence([short, both, both, both])
    assert found[0, 1] < found[1, 1]


def test_calls_without_arguments_agree_by_their_tool() -> None:
    start, stop = (Candidate(calls=(Call(name=name, arguments={}),)) for name in ("start", "stop"))
    assert evidence([start, start, stop])[:, 1] == pytest.approx([0.5 - 1, 0.5 - 1, -1])


def test_near_misses_share_values_where_a_vote_on_calls_is_split() -> None:
    """Three answers, each alone; the middle one shares a value with either side."""
    left, middle, right = call(a=1, b=1), call(a=1, b=2), call(a=9, b=2)
    rewards = WEIGHTS.to_choose(np.zeros(3), [left, middle, right])
    assert int(np.argmax(rewards)) == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=9))
def test_agreement_is_never_positive_and_the_same_for_equal_candidates(drawn: list[int]) -> None:
    found = evidence([call(a=value) for value in drawn])
    assert (found <= 1e-12).all()
    assert np.isfinite(found).all()
    for value in set(drawn):
        same = found[[index for index, other in enumerate(drawn) if other == value]]
        assert np.allclose(same, same[0])


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8))
def test_of_equal_rewards_the_more_frequent_calls_win(often: int, seldom: int) -> None:
    candidates = [call(a=1)] * (often + seldom) + [call(a=2)] * seldom
    rewards = WEIGHTS.to_choose(np.zeros(len(candidates)), candidates)
    assert int(np.argmax(rewards)) == 0 or len(candidates) < 3


def test_weights_that_reward_dissent_are_refused() -> None:
    for bad in (
        {"calls": -1.0},
        {"values": -0.1},
        {"whole": math.nan},
        {"calls": math.inf},
        {"trust": 0.0},
    ):
        with pytest.raises(ValueError, match=r"greater than|finite"):
            Agreement.model_validate(bad)
