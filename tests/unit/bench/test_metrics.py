"""Pairwise metrics on numbers small enough to check by hand."""

import numpy as np
import pytest

from bench.metrics import (
    Report,
    accuracy_by,
    bootstrap,
    error_head,
    markdown_table,
    pairwise_wins,
    slice_of,
)


def test_a_tie_is_wrong() -> None:
    wins = pairwise_wins(np.array([2.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0]))
    assert wins.tolist() == [True, False, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match=r"rejected\[1\]"):
        pairwise_wins(np.array([1.0, 1.0]), np.array([0.0, bad]))


def test_other_shapes_and_no_pairs_are_errors() -> None:
    with pytest.raises(ValueError, match="shapes"):
        pairwise_wins(np.array([1.0]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="no pairs"):
        pairwise_wins(np.array([]), np.array([]))


def test_accuracy_is_taken_by_label() -> None:
    found = accuracy_by(np.array([True, False, True]), ["a", "a", "b"])
    assert (found["a"].pairs, found["a"].accuracy) == (2, 0.5)
    assert (found["b"].pairs, found["b"].accuracy) == (1, 1.0)
    assert slice_of(np.array([], dtype=bool)).accuracy == 0.0


def test_the_interval_is_over_prompts_not_over_pairs() -> None:
    wins = np.array([True] * 50 + [False] * 50)
    two_prompts = bootstrap(wins, ["a"] * 50 + ["b"] * 50)
    many = bootstrap(wins, [str(i) for i in range(100)])
    assert two_prompts == (0.0, 1.0)
    assert many[0] > 0.35
    assert many[1] < 0.65
    assert bootstrap(wins, ["a"] * 100) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("error", "head"),
    [
        ("simple_function_checker:wrong_count", "wrong_count"),
        ("parallel_function_checker_no_order:wrong_count", "wrong_count"),
        ("parallel_function_checker_no_order:cannot_find_match/value_error:string",
         "value_error:string"),
        ("value_error:list/tuple", "value_error:list/tuple"),
        ("type_error:simple", "type_error:simple"),
        (None, "unknown"),
    ],
)  # fmt: skip
def test_error_types_are_grouped_by_their_head(error: str | None, head: str) -> None:
    assert error_head(error) == head


def test_the_report_has_the_documented_keys_and_a_table_row_per_slice() -> None:
    part = slice_of(np.array([True, False]))
    report = Report(
        scorer="x", pairs=2, weighted=0.5, average=0.5, splits={"s": part},
        by_error={"e": part}, values_only=part, ci95=(0.0, 1.0), ms_per_pair=0.1,
    )  # fmt: skip
    found = report.as_json()
    assert list(found) == [
        "scorer", "pairs", "weighted", "average", "splits", "by_error", "values_only", "ci95",
        "ms_per_pair",
    ]  # fmt: skip
    assert found["splits"] == {"s": {"pairs": 2, "accuracy": 0.5}}
    assert found["ci95"] == [0.0, 1.0]
    assert "| split s | 2 | 0.500 |" in markdown_table([report])
