"""How far probabilities can be trusted: calibration error, and what abstaining buys; pure.

Rows are turns with a probability of being right; a row counts as often as its weight says. Equal
probabilities are one block everywhere: no order within them is made up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Judged turns as columns, each (rows,).

    Attributes:
        probability: In [0, 1].
        right: 1 for a right turn, else 0.
        weight: How often it was given.
        group: Index of what is drawn together, from 0.
    """

    probability: Floats
    right: Floats
    weight: Floats
    group: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """Return some of the rows, with their groups numbered anew."""
        _, group = np.unique(self.group[mask], return_inverse=True)
        return Rows(
            probability=self.probability[mask],
            right=self.right[mask],
            weight=self.weight[mask],
            group=group.astype(np.int64),
        )

    def weighted(self, weight: Floats) -> "Rows":
        """Return the rows with other weights."""
        return Rows(probability=self.probability, right=self.right, weight=weight, group=self.group)


Figure = Callable[[Rows], float]


def brier(rows: Rows) -> float:
    """Return the mean squared distance between probability and outcome; 0 is best."""
    return float(np.average((rows.probability - rows.right) ** 2, weights=rows.weight))


def accuracy(rows: Rows) -> float:
    """Return the share of right turns."""
    return float(np.average(rows.right, weights=rows.weight))


def ece(rows: Rows, edges: Floats) -> float:
    """Return the expected calibration error over bins given by their inner edges.

    That is the mean over bins of |share right - mean probability|, weighted by the bins' weight
    (Naeini, Cooper and Hauskrecht, AAAI 2015).

    Args:
        rows: At least one.
        edges: (bins - 1,) rising; a probability on an edge belongs to the bin above.
    """
    total, gap = rows.weight.sum(), _gaps(rows, edges)
    return float(np.abs(gap).sum() / total)


def ece_width(rows: Rows) -> float:
    """Return the error over bins of equal width."""
    return ece(rows, width_edges())


def ece_mass(rows: Rows) -> float:
    """Return the error over bins of equal weight, as far as ties allow."""
    return ece(rows, mass_edges(rows))


def width_edges(bins: int = BINS) -> Floats:
    """Return the inner edges (bins - 1,) of bins of equal width."""
    return np.arange(1, bins) / bins


def mass_edges(rows: Rows, bins: int = BINS) -> Floats:
    """Return the inner edges of at most `bins` bins of about equal weight; ties stay together."""
    values, _, weight = _blocks(rows)
    # A block belongs to the bin that holds the middle of its weight.
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    which = np.minimum((middle * bins).astype(int), bins - 1)
    return np.asarray(values[1:][which[1:] > which[:-1]])


def _gaps(rows: Rows, edges: Floats) -> Floats:
    """Return right minus expected, by bin, in weight."""
    which = np.searchsorted(edges, rows.probability, side="right")
    return _sums(which, rows.weight * (rows.right - rows.probability), len(edges) + 1)


def _blocks(rows: Rows) -> tuple[Floats, Floats, Floats]:
    """Return distinct probabilities, rising, with the weight of right turns and of all."""
    values, which = np.unique(rows.probability, return_inverse=True)
    right, weight = rows.weight * rows.right, rows.weight
    return values, _sums(which, right, len(values)), _sums(which, weight, len(values))


def _sums(which: NDArray[np.intp], values: Floats, bins: int) -> Floats:
    """Return the sum of values (rows,) in each bin, (bins,)."""
    return np.bincount(which, values, bins).astype(np.float64)


def risk_coverage(rows: Rows) -> tuple[Floats, Floats]:
    """Return coverage and risk after each block of equal probability, the most certain first.

    Coverage is the share of turns that are let pass, risk the share of these that is wrong.
    """
    _, right, weight = _blocks(rows)
    covered, good = np.cumsum(weight[::-1]), np.cumsum(right[::-1])
    return covered / covered[-1], 1.0 - good / covered


def aurc(rows: Rows) -> float:
    """Return the area under the risk-coverage curve; the mean risk over all coverages.

    Within a block of equal probabilities the turns come in random order, in expectation: errors
    rise linearly with coverage there, and the area under errors / coverage has a closed form.
    """
    coverage, risk = risk_coverage(rows)
    errors = coverage * risk
    start, first = np.r_[0.0, coverage[:-1]], np.r_[0.0, errors[:-1]]
    slope = (errors - first) / (coverage - start)
    level = first - slope * start  # errors(c) = level + slope * c
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = np.where(start > 0, level * np.log(coverage / start), 0.0)
    return float((bent + slope * (coverage - start)).sum())


def aurc_excess(rows: Rows) -> float:
    """Return what the area exceeds that of an order which puts every right turn first.

    The best area at error share e is e + (1 - e) ln(1 - e) (Geifman, Uziel and El-Yaniv, ICLR
    2019).
    """
    wrong = 1.0 - accuracy(rows)
    best = wrong + (1 - wrong) * np.log1p(-wrong) if wrong < 1 else 1.0
    return aurc(rows) - float(best)


FIGURES: dict[str, Figure] = {
    "accuracy": accuracy,
    "brier": brier,
    "ece_mass": ece_mass,
    "ece_width": ece_width,
    "aurc": aurc,
    "aurc_excess": aurc_excess,
}


def with_intervals(rows: Rows, rounds: int, seed: int) -> dict[str, dict[str, object]]:
    """Return every figure with its 95% bootstrap interval; groups are drawn, not turns."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in FIGURES}
    for again in _resamples(rows, rounds, rng):
        for name, figure in FIGURES.items():
            drawn[name].append(figure(again))
    return {
        name: {"value": figure(rows), "ci95": _interval(drawn[name])}
        for name, figure in FIGURES.items()
    }


def reliability(rows: Rows, rounds: int, seed: int) -> list[dict[str, object]]:
    """Return the bins of equal weight: mean probability, share right with interval, weight."""
    edges = mass_edges(rows)
    rng = np.random.default_rng(seed)
    shares = [_shares(again, edges)[0] for again in _resamples(rows, rounds, rng)]
    share, mean, weight = _shares(rows, edges)
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(np.array(shares), (0.025, 0.975), axis=0)
    return [
        {
            "probability": float(mean[b]),
            "right": float(share[b]),
            "ci95": [float(low[b]), float(high[b])],
            "turns": round(float(weight[b])),
        }
        for b in range(len(weight))
    ]


def curve(rows: Rows, points: int = 100) -> list[list[float]]:
    """Return about that many [coverage, risk] points of the risk-coverage curve."""
    coverage, risk = risk_coverage(rows)
    wanted = np.searchsorted(coverage, np.linspace(0.0, 1.0, points + 1)[1:] - 1e-12)
    kept = np.unique(np.r_[0, np.minimum(wanted, len(coverage) - 1)])
    return [[float(coverage[k]), float(risk[k])] for k in kept]


def _shares(rows: Rows, edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Return share right, mean probability and weight by bin; NaN for a bin without weight."""
    which = np.searchsorted(edges, rows.probability, side="right")
    bins = len(edges) + 1
    weight = _sums(which, rows.weight, bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = _sums(which, rows.weight * rows.right, bins) / weight
        mean = _sums(which, rows.weight * rows.probability, bins) / weight
    return share, mean, weight


def _resamples(rows: Rows, rounds: int, rng: np.random.Generator) -> list[Rows]:
    groups = int(rows.group.max()) + 1
    again = []
    for _ in range(rounds):
        times = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        weight = rows.weight * times[rows.group]
        again.append(rows.weighted(weight).where(weight > 0))
    return again


def _interval(values: Sequence[float]) -> list[float]:
    low, high = np.quantile(np.array(values), (0.025, 0.975))
    return [float(low), float(high)]
