"""Pairwise accuracy with its slices and interval; pure, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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

    A pair that could not be judged counts as not ranked right, and apart in `unjudged`. Where no
    pair was judged there is no accuracy at all.

    Attributes:
        pairs: All of them, judged or not.
        weighted: Accuracy over all pairs; None if none was judged.
        average: Unweighted mean over the splits' accuracies; None likewise.
        ci95: Bootstrap interval of `weighted` over prompts; None likewise.
        ms_per_pair: Mean time to judge a pair, features included.
        judged: Pairs that were judged.
        weighted_judged: Accuracy over these alone; None if there are none.
        ties: Pairs with the same reward on both sides; a tie is wrong.
        unparsed: Pairs with an answer that names no choice; it is wrong.
        unjudged: How many pairs could not be judged, by reason.
        notes: What a reader must know before the numbers.
        extra: What only this kind of scorer has.
    """

    scorer: str
    pairs: int
    weighted: float | None
    average: float | None
    splits: Mapping[str, Slice]
    by_error: Mapping[str, Slice]
    values_only: Slice
    ci95: tuple[float, float] | None
    ms_per_pair: float
    judged: int
    weighted_judged: float | None
    ties: int = 0
    unparsed: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)

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
            "ci95": None if self.ci95 is None else list(self.ci95),
            "ms_per_pair": self.ms_per_pair,
            "judged": self.judged,
            "weighted_judged": self.weighted_judged,
            "ties": self.ties,
            "unparsed": self.unparsed,
            "unjudged": dict(self.unjudged),
            "notes": list(self.notes),
            "extra": dict(self.extra),
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
    """Return one table, a row a slice and a column a scorer, and the notes below it."""
    first = reports[0]
    rows = [
        ["weighted", str(first.pairs), *(_share(r.weighted) for r in reports)],
        ["95% interval", "", *(_interval(r.ci95) for r in reports)],
        ["average of splits", "", *(_share(r.average) for r in reports)],
    ]
    if any(r.judged < r.pairs for r in reports):
        rows += [
            ["could not judge", "", *(str(r.pairs - r.judged) for r in reports)],
            ["weighted, judged pairs", "", *(_share(r.weighted_judged) for r in reports)],
        ]
    rows += _slice_rows("split", [r.splits for r in reports])
    rows += _slice_rows("error", [r.by_error for r in reports])
    rows += _slice_rows("", [{"values only": r.values_only} for r in reports])
    rows += [["ms per pair", "", *(f"{r.ms_per_pair:.2f}" for r in reports)]]
    head = ["slice", "pairs", *(r.scorer for r in reports)]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    notes = [f"- {report.scorer}: {note}" for report in reports for note in report.notes]
    return "\n".join([*lines, "", *notes] if notes else lines)


def _slice_rows(kind: str, columns: Sequence[Mapping[str, Slice]]) -> list[list[str]]:
    """Return a row a name; a scorer that judged nothing has no slices."""
    pairs: dict[str, int] = {}
    for column in columns:
        for name, part in column.items():
            pairs[name] = max(part.pairs, pairs.get(name, 0))
    # By size, but splits in the order of their names.
    names = sorted(pairs, key=lambda name: (-pairs[name] if kind == "error" else 0, name))
    return [
        [
            f"{kind} {name}".strip(),
            str(pairs[name]),
            *(_share(c[name].accuracy if name in c and c[name].pairs else None) for c in columns),
        ]
        for name in names
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"
