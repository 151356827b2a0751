"""Best of N and the majority vote."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.selection import best, majority


def test_a_tie_leaves_the_models_first_proposal_in_place() -> None:
    assert best([0.5, 0.5, 0.5], blocked=[False] * 3) == 0


def test_a_blocked_candidate_loses_to_any_open_one() -> None:
    assert best([0.9, 0.1], blocked=[True, False]) == 1


def test_where_all_are_blocked_the_best_draft_is_kept_for_correction() -> None:
    assert best([0.1, 0.9], blocked=[True, True]) == 1


@pytest.mark.parametrize("rewards", [[], [0.1, math.nan], [math.inf, 0.0]])
def test_what_cannot_be_compared_is_refused(rewards: list[float]) -> None:
    with pytest.raises(ValueError, match="rewards"):
        best(rewards, blocked=[False] * len(rewards))


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1))
def test_the_winner_is_never_beaten_by_an_open_candidate(rated: list[tuple[float, bool]]) -> None:
    rewards, blocked = [r for r, _ in rated], [b for _, b in rated]
    winner = best(rewards, blocked=blocked)
    if not all(blocked):
        assert not blocked[winner]
        assert all(rewards[winner] >= r for r, shut in rated if not shut)


def test_the_vote_counts_calls_not_their_order() -> None:
    one, two = Call(name="f", arguments={"a": 1}), Call(name="g")
    drafts = [Candidate(text="no"), Candidate(calls=(one, two)), Candidate(calls=(two, one))]
    assert majority(drafts) == 1
    with pytest.raises(ValueError, match="no candidates"):
        majority([])
