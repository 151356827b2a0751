"""Agreement among candidates: what it says, and what it must never do."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.scorers.agreement import Agreement, evidence

WEIGHTS = Agreement(calls=2.0, trust=0.5, whole=0.5)


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


def test_calls_count_by_the_share_that_makes_them() -> None:
    one, near, silent = call(a=1, b=2), call(a=1, b=3), Candidate(text="no")
    assert evidence([one, one, near, silent]) == pytest.approx(
        [math.log(1 / 2)] * 2 + [math.log(1 / 4)] * 2
    )


def test_all_turns_without_a_call_agree_whatever_they_say() -> None:
    found = evidence([Candidate(text="no"), Candidate(text="other words"), call(a=1)])
    assert found == pytest.approx([math.log(2 / 3)] * 2 + [math.log(1 / 3)])


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
        {"whole": math.nan},
        {"calls": math.inf},
        {"trust": 0.0},
    ):
        with pytest.raises(ValueError, match=r"greater than|finite"):
            Agreement.model_validate(bad)
