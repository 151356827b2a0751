"""The sampling budget: how many more candidates a turn is worth."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.budget import Allowance, Budget, more_samples
from toolrm_guard.errors import ConfigurationError


def more(*probabilities: float, passes: bool, left: int = 8, margin: float = 0.0) -> int:
    """Of different candidates, the best one chosen."""
    chosen = probabilities.index(max(probabilities)) if probabilities else 0
    return more_samples(
        probabilities,
        [f"form {index}" for index in range(len(probabilities))],
        chosen=chosen,
        passes=passes,
        allowance=Allowance(left=left, of=8, margin=margin),
    )


def test_a_candidate_that_passes_alone_suffices() -> None:
    assert more(0.9, passes=True) == 0


def test_a_candidate_that_does_not_pass_is_doubled() -> None:
    assert more(0.1, passes=False) == 1
    assert more(0.1, 0.2, passes=False) == 2
    assert more(0.1, 0.2, 0.3, 0.1, passes=False) == 4


def test_a_narrow_lead_asks_for_more_and_a_clear_one_does_not() -> None:
    assert more(0.9, 0.85, passes=True, margin=0.1) == 2
    assert more(0.9, 0.7, passes=True, margin=0.1) == 0


def test_equal_candidates_are_no_rivals() -> None:
    allowance = Allowance(left=4, of=8, margin=0.2)
    same = more_samples([0.9, 0.9], ["a", "a"], chosen=0, passes=True, allowance=allowance)
    other = more_samples([0.9, 0.9], ["a", "b"], chosen=0, passes=True, allowance=allowance)
    assert (same, other) == (0, 2)


def test_without_a_judgement_more_candidates_would_not_help() -> None:
    assert more(passes=False) == 0


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 8),
    st.floats(0, 1),
)
def test_no_more_are_drawn_than_are_left(
    probabilities: list[float], passes: bool, left: int, margin: float
) -> None:
    wanted = more(*probabilities, passes=passes, left=left, margin=margin)
    assert 0 <= wanted <= left
    assert passes or left == 0 or wanted > 0, "a candidate that does not pass is in doubt"


@pytest.mark.parametrize(
    ("spent", "left"),
    [
        ({"samples": 1, "elapsed_ms": 0.0, "tokens": 0}, 3),
        ({"samples": 4, "elapsed_ms": 0.0, "tokens": 0}, 0),
        ({"samples": 9, "elapsed_ms": 0.0, "tokens": 0}, 0),
        ({"samples": 1, "elapsed_ms": 100.0, "tokens": 0}, 0),
        ({"samples": 1, "elapsed_ms": 99.9, "tokens": 49}, 3),
        ({"samples": 1, "elapsed_ms": 0.0, "tokens": 50}, 0),
    ],
)
def test_each_limit_ends_the_sampling(spent: dict[str, Any], left: int) -> None:
    assert Budget(max_samples=4, max_ms=100, max_tokens=50).left(**spent) == left


def test_limits_left_out_do_not_limit() -> None:
    assert Budget(max_samples=4).left(samples=1, elapsed_ms=1e9, tokens=10**9) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_samples": 0}, "at least 1 candidate"),
        ({"max_samples": 2, "max_ms": 0}, "max_ms is 0"),
        ({"max_samples": 2, "max_ms": float("nan")}, "max_ms is nan"),
        ({"max_samples": 2, "max_tokens": -1}, "max_tokens is -1"),
        ({"max_samples": 2, "margin": 1.5}, "no probability"),
        ({"max_samples": 2, "margin": float("nan")}, "no probability"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Budget(**options)
