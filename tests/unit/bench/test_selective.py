"""Calibration figures against cases worked out by hand, and their invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import selective
from bench.selective import Rows

turns = st.lists(
    st.tuples(st.floats(0, 1).map(lambda p: round(p, 2)), st.booleans(), st.integers(1, 4)),
    min_size=2,
    max_size=50,
)


def rows(probability: list[float], right: list[bool], weight: list[int] | None = None) -> Rows:
    return Rows(
        probability=np.array(probability),
        right=np.array(right, dtype=np.float64),
        weight=np.array(weight or [1] * len(right), dtype=np.float64),
        group=np.arange(len(right)),
    )


def made(drawn: list[tuple[float, bool, int]]) -> Rows:
    return rows([d[0] for d in drawn], [d[1] for d in drawn], [d[2] for d in drawn])


def test_certain_and_right_is_perfect() -> None:
    perfect = rows([0.0, 1.0, 1.0], [False, True, True])
    assert selective.brier(perfect) == 0.0
    assert selective.ece_mass(perfect) == 0.0
    assert selective.ece_width(perfect) == 0.0
    assert selective.aurc_excess(perfect) == pytest.approx(0.0, abs=1e-9)


def test_a_constant_is_off_by_its_distance_to_the_share_and_orders_nothing() -> None:
    constant = rows([0.9] * 4, [True, False, False, False])
    assert selective.ece_mass(constant) == pytest.approx(0.65)
    assert selective.ece_width(constant) == pytest.approx(0.65)
    assert selective.aurc(constant) == pytest.approx(0.75)  # the risk is the same at any coverage


def test_area_under_risk_and_coverage_by_hand() -> None:
    ordered = rows([0.9, 0.1], [True, False])
    # No error up to one half; then errors rise from 0: integral of (c - 1/2) / c over [1/2, 1].
    assert selective.aurc(ordered) == pytest.approx(0.5 - 0.5 * np.log(2))
    coverage, risk = selective.risk_coverage(ordered)
    assert coverage.tolist() == [0.5, 1.0]
    assert risk.tolist() == [0.0, 0.5]


@given(turns)
def test_the_area_lies_between_the_best_and_the_worst_order(
    drawn: list[tuple[float, bool, int]],
) -> None:
    found = made(drawn)
    assert -1e-9 <= selective.aurc_excess(found)
    assert selective.aurc(found) <= 1.0 + 1e-9


@given(turns, st.randoms(use_true_random=False))
def test_no_figure_depends_on_the_order_of_the_rows(
    drawn: list[tuple[float, bool, int]], rng: object
) -> None:
    shuffled = list(drawn)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    for figure in selective.FIGURES.values():
        assert figure(made(drawn)) == pytest.approx(figure(made(shuffled)), abs=1e-9)


@given(turns)
def test_a_weight_is_the_same_as_that_many_rows(drawn: list[tuple[float, bool, int]]) -> None:
    repeated = [(p, right, 1) for p, right, weight in drawn for _ in range(weight)]
    for figure in selective.FIGURES.values():
        assert figure(made(drawn)) == pytest.approx(figure(made(repeated)), abs=1e-9)


def test_bins_of_equal_mass_hold_about_the_same_and_never_split_ties() -> None:
    rng = np.random.default_rng(0)
    values: NDArray[np.float64] = np.round(rng.random(3000) ** 3, 3)
    found = rows(values.tolist(), (rng.random(3000) < values).tolist())
    bins = selective.reliability(found, rounds=20, seed=0)
    sizes = [int(str(row["turns"])) for row in bins]
    assert len(bins) == selective.BINS
    assert sum(sizes) == 3000
    assert selective.ece_mass(found) < 0.05  # honest by construction
    tied = selective.reliability(rows([0.5] * 50, [True, False] * 25), rounds=5, seed=0)
    assert [row["turns"] for row in tied] == [50]


def test_intervals_hold_the_value_and_widen_when_turns_come_in_groups() -> None:
    rng = np.random.default_rng(1)
    base = Rows(
        probability=rng.random(400),
        right=np.repeat(rng.random(40) < 0.5, 10).astype(float),
        weight=np.ones(400),
        group=np.arange(400),
    )
    grouped = Rows(
        probability=base.probability, right=base.right, weight=base.weight,
        group=np.repeat(np.arange(40), 10),
    )  # fmt: skip
    alone = selective.with_intervals(base, 200, 0)["accuracy"]["ci95"]
    together = selective.with_intervals(grouped, 200, 0)["accuracy"]["ci95"]
    assert isinstance(alone, list)
    assert isinstance(together, list)
    assert together[0] <= selective.accuracy(base) <= together[1]
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
