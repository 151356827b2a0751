"""Pairwise metrics on numbers small enough to check by hand."""

from typing import Any

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


def report(name: str, weighted: float | None, **changed: Any) -> Report:
    part = slice_of(np.array([True, False]))
    judged = weighted is not None
    fields: dict[str, Any] = {
        "scorer": name, "pairs": 2, "weighted": weighted, "average": weighted,
        "splits": {"s": part} if judged else {}, "by_error": {"e": part} if judged else {},
        "values_only": part if judged else slice_of(np.array([], dtype=bool)),
        "ci95": (0.0, 1.0) if judged else None, "ms_per_pair": 0.1,
        "judged": 2 if judged else 0, "weighted_judged": weighted,
    }  # fmt: skip
    return Report(**{**fields, **changed})


def test_the_report_has_the_documented_keys_and_a_table_row_per_slice() -> None:
    found = report("x", 0.5).as_json()
    assert list(found) == [
        "scorer", "pairs", "weighted", "average", "splits", "by_error", "values_only", "ci95",
        "ms_per_pair", "judged", "weighted_judged", "ties", "unparsed", "unjudged", "notes",
        "extra",
    ]  # fmt: skip
    assert found["splits"] == {"s": {"pairs": 2, "accuracy": 0.5}}
    assert found["ci95"] == [0.0, 1.0]
    table = markdown_table([report("x", 0.5)])
    assert "| split s | 2 | 0.500 |" in table
    assert "could not judge" not in table


def test_a_scorer_without_a_judgement_has_dashes_and_a_note_in_the_table() -> None:
    table = markdown_table([report("x", None, notes=("no pair was judged",)), report("y", 0.5)])
    assert "| weighted | 2 | - | 0.500 |" in table
    assert "| could not judge |  | 2 | 0 |" in table
    assert "| split s | 2 | - | 0.500 |" in table
    assert table.endswith("- x: no pair was judged")
