"""Pairwise accuracy with its slices and interval; pure, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Accuracy over some pairs; both None-free: an empty slice has accuracy 0 and 0 pairs."""

    pairs: int
    accuracy: float

    def as_json(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"pairs": self.pairs, "accuracy": self.accuracy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One scorer's result.

    Attributes:
        weighted: Accuracy over all pairs.
        average: Unweighted mean over the splits' accuracies.
        ci95: Bootstrap interval of `weighted` over prompts.
        ms_per_pair: Mean time to score a pair, features included.
    """

    scorer: str
    pairs: int
    weighted: float
    average: float
    splits: Mapping[str, Slice]
    by_error: Mapping[str, Slice]
    values_only: Slice
    ci95: tuple[float, float]
    ms_per_pair: float

    def as_json(self) -> dict[str, object]:
        """Return the JSON form, keys as documented."""
        return {
            "scorer": self.scorer,
            "pairs": self.pairs,
            "weighted": self.weighted,
            "average": self.average,
            "splits": {name: part.as_json() for name, part in self.splits.items()},
            "by_error": {name: part.as_json() for name, part in self.by_error.items()},
            "values_only": self.values_only.as_json(),
            "ci95": list(self.ci95),
            "ms_per_pair": self.ms_per_pair,
        }


def pairwise_wins(chosen: Floats, rejected: Floats) -> NDArray[np.bool_]:
    """Return which pairs are ranked right; a tie is wrong.

    Args:
        chosen: (pairs,) raw rewards; row i shares its prompt with `rejected[i]`.
        rejected: (pairs,) raw rewards.

    Raises:
        ValueError: If shapes differ, there are no pairs, or a reward is not finite.
    """
    if chosen.shape != rejected.shape or chosen.ndim != 1:
        raise ValueError(f"rewards have shapes {chosen.shape} and {rejected.shape}; one per pair")
    if not len(chosen):
        raise ValueError("no pairs")
    for name, rewards in (("chosen", chosen), ("rejected", rejected)):
        bad = np.flatnonzero(~np.isfinite(rewards))
        if len(bad):
            raise ValueError(f"the reward of {name}[{bad[0]}] is {rewards[bad[0]]}, not finite")
    return np.asarray(chosen > rejected)


def accuracy_by(wins: NDArray[np.bool_], labels: Sequence[str]) -> dict[str, Slice]:
    """Return the accuracy of each label, by name."""
    names = np.array(labels)
    return {str(name): slice_of(wins[names == name]) for name in np.unique(names)}


def slice_of(wins: NDArray[np.bool_]) -> Slice:
    """Return the accuracy of some pairs."""
    return Slice(pairs=len(wins), accuracy=float(wins.mean()) if len(wins) else 0.0)


def bootstrap(
    wins: NDArray[np.bool_], prompts: Sequence[str], seed: int = 0, rounds: int = 1000
) -> tuple[float, float]:
    """Return the 95% interval of the accuracy, drawing prompts with all their pairs.

    Pairs of one prompt rise and fall together, so drawing pairs would make the interval too small.
    """
    _, index = np.unique(np.array(prompts), return_inverse=True)
    pairs = np.bincount(index)
    won = np.bincount(index, wins)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(pairs), size=(rounds, len(pairs)))
    shares = won[drawn].sum(axis=1) / pairs[drawn].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


def error_head(error: str | None) -> str:
    """Return the group of an error type: `a_checker:wrong_count` is `wrong_count`.

    A parallel checker's `cannot_find_match/value_error:string` carries the closest call's own type
    after the slash; that one counts.
    """
    if not error:
        return "unknown"
    closest = error.partition("cannot_find_match/")[2] or error
    head, _, tail = closest.partition(":")
    return tail if head.endswith("_checker") or head.endswith("_no_order") else closest


def markdown_table(reports: Sequence[Report]) -> str:
    """Return one table: a row a slice, a column a scorer."""
    head = ["slice", "pairs", *(r.scorer for r in reports)]
    rows = [["weighted", str(reports[0].pairs), *(f"{r.weighted:.3f}" for r in reports)]]
    rows += [["95% interval", "", *(f"{r.ci95[0]:.3f}-{r.ci95[1]:.3f}" for r in reports)]]
    rows += [["average of splits", "", *(f"{r.average:.3f}" for r in reports)]]
    first = reports[0]
    by_size = sorted(first.by_error.items(), key=lambda item: -item[1].pairs)
    rows += [
        [f"split {n}", str(s.pairs), *(f"{r.splits[n].accuracy:.3f}" for r in reports)]
        for n, s in first.splits.items()
    ]
    rows += [
        [f"error {n}", str(s.pairs), *(f"{r.by_error[n].accuracy:.3f}" for r in reports)]
        for n, s in by_size
    ]
    values = [f"{r.values_only.accuracy:.3f}" for r in reports]
    rows += [["values only", str(first.values_only.pairs), *values]]
    rows += [["ms per pair", "", *(f"{r.ms_per_pair:.2f}" for r in reports)]]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)
