"""The objective of `lite`: sets of candidates, pairs inside them, and the isotonic map.

Free of files, and of what the features mean.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray

from toolrm_guard.scorers.features import INPUTS, MONOTONE, compare

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SETTINGS: Mapping[str, object] = {
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 60,
    "min_sum_hessian_in_leaf": 2.0,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # two are hardly faster, and stall when another process holds a core
    "verbosity": -1,
    "monotone_constraints_method": "basic",  # `intermediate` takes 5 times as long
}
ROUNDS = 300
POINTWISE = 0.1
"""Weight of the pointwise loss, which gives rewards of different prompts a common scale."""

PAIRS, ALONE = 8, 4
"""Sets of two, and single candidates, drawn per group."""

TEXT_LOSES, TEXT_WINS = 4.0, 0.4
"""Weights of pairs whose wrong, or right, side makes no call. Packs of dialogues hold so many right
text turns that without these a call that is due loses to silence; chosen so that both kinds are
ranked about equally well out of source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of all groups.

    Attributes:
        features: (rows, features) float32.
        right: (rows,) bool.
        calls: (rows,) how many calls the candidate makes.
        errors: (rows,) error name, empty for right rows.
        group: (rows,) index of the row's group, rising.
        source: (groups,) source name; for folds and weights only.
        kinds: (groups,) how the group was made.
        pool: (groups,) the candidates are a pool whose agreement means something.
        agreement: (rows,) that agreement, as in `scorers.agreement`; 0 outside pools.
        copies: (rows,) how many candidates of the group make the row's calls.
    """

    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    calls: Ints
    errors: NDArray[np.str_]
    group: Ints
    source: NDArray[np.str_]
    kinds: NDArray[np.str_]
    pool: NDArray[np.bool_]
    agreement: Floats
    copies: Ints

    @property
    def text(self) -> NDArray[np.bool_]:
        """(rows,) the candidate makes no call."""
        return np.asarray(self.calls == 0)

    def select(self, groups: NDArray[np.bool_]) -> "Table":
        """Return the rows of some groups (groups,) bool, renumbered."""
        rows = groups[self.group]
        number = np.cumsum(groups) - 1
        return Table(
            features=self.features[rows],
            right=self.right[rows],
            calls=self.calls[rows],
            errors=self.errors[rows],
            group=number[self.group[rows]],
            source=self.source[groups],
            kinds=self.kinds[groups],
            pool=self.pool[groups],
            agreement=self.agreement[rows],
            copies=self.copies[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """Candidate sets as a review would see them, drawn from the groups.

    Attributes:
        row: (members,) row of the table.
        number: (members,) index of the set.
        right: (pairs,) member on the right side of a pair.
        wrong: (pairs,) member on the wrong side.
        weight: (pairs,) how much the pair counts.
        size: (members,) how many members the set has.
    """

    row: Ints
    number: Ints
    right: Ints
    wrong: Ints
    weight: Floats
    size: Ints

    def inputs(self, table: Table) -> NDArray[np.float32]:
        """Return the model's inputs (members, len(INPUTS))."""
        features = table.features[self.row]
        return np.hstack([features, compare(features, self.number)])


def make_sets(table: Table, seed: int) -> Sets:
    """Return pairs, one larger set, and single candidates of every group that is no pool.

    A group weighs the same however many pairs it has, but for the square root of their number; a
    source weighs the square root of its number of groups.
    """
    rng = np.random.default_rng(seed)
    names, counts = np.unique(table.source, return_counts=True)
    by_source = dict(zip(names.tolist(), np.sqrt(1000.0 / counts).tolist(), strict=True))
    starts = np.searchsorted(table.group, np.arange(len(table.source) + 1))
    drawn = _Drawn()
    for index, (start, end) in enumerate(itertools.pairwise(starts)):
        own = table.right[start:end]
        good, bad = np.flatnonzero(own) + start, np.flatnonzero(~own) + start
        if table.pool[index] or not len(good) or not len(bad):
            continue
        weight = by_source[str(table.source[index])]
        _draw_pairs(drawn, good, bad, weight, rng)
        for row in rng.permutation(np.concatenate([good[:1], bad]))[:ALONE]:
            drawn.add([row], [])
        others = rng.permutation(np.concatenate([good[1:], bad[1:]]))
        size = int(rng.integers(1, len(others) + 1)) if len(others) else 0
        if size:
            members = np.concatenate([good[:1], bad[:1], others[:size]])
            drawn.add_all(members, table.right, weight)
    return drawn.sets(table)


def pool_sets(table: Table) -> Sets:
    """Return every pool as one set of its distinct candidates, without pairs."""
    row = np.flatnonzero(table.pool[table.group])
    none = np.zeros(0, dtype=np.int64)
    _, number = np.unique(table.group[row], return_inverse=True)
    return Sets(
        row=row, number=number, right=none, wrong=none, weight=np.zeros(0),
        size=np.bincount(number)[number] if len(row) else none,
    )  # fmt: skip


def equally_long(calls: Ints, number: Ints) -> NDArray[np.bool_]:
    """Tell of each member whether the turns of its set that call at all make equally many calls.

    Args:
        calls: (members,) how many each makes.
        number: (members,) index of its set.
    """
    sets = int(number.max(initial=-1)) + 1
    least, most = np.full(sets, np.iinfo(np.int64).max), np.zeros(sets, dtype=np.int64)
    called = calls > 0
    np.minimum.at(least, number[called], calls[called])
    np.maximum.at(most, number[called], calls[called])
    return np.asarray((most <= least)[number])


class _Drawn:
    """Sets under construction."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._number: list[int] = []
        self._pairs: list[tuple[int, int, float]] = []
        self._count = 0

    def add(self, rows: list[int], pairs: list[tuple[int, int, float]]) -> None:
        """Add a set; pairs are (right, wrong, weight) by position in the set."""
        start = len(self._rows)
        self._rows += rows
        self._number += [self._count] * len(rows)
        self._pairs += [(start + r, start + w, weight) for r, w, weight in pairs]
        self._count += 1

    def add_all(self, members: Ints, right: NDArray[np.bool_], weight: float) -> None:
        """Add a set with all its right-wrong pairs."""
        good = [i for i, m in enumerate(members) if right[m]]
        bad = [i for i, m in enumerate(members) if not right[m]]
        each = weight / np.sqrt(len(good) * len(bad))
        self.add(members.tolist(), [(g, b, each) for g in good for b in bad])

    def sets(self, table: Table) -> Sets:
        """Return the arrays."""
        row = np.array(self._rows, dtype=np.int64)
        number = np.array(self._number, dtype=np.int64)
        right, wrong, weight = (np.array(part) for part in zip(*self._pairs, strict=True))
        # Contexts under way are made in balance, one stop for each go on.
        begun = table.kinds[table.group[row[right]]] != "continued"
        weight[begun & table.text[row[wrong]]] *= TEXT_LOSES
        weight[begun & table.text[row[right]]] *= TEXT_WINS
        return Sets(
            row=row, number=number, right=right, wrong=wrong, weight=weight,
            size=np.bincount(number)[number],
        )  # fmt: skip


def _draw_pairs(
    drawn: _Drawn, good: Ints, bad: Ints, weight: float, rng: np.random.Generator
) -> None:
    count = len(good) * len(bad)
    chosen = rng.permutation(count)[:PAIRS]
    for pair in chosen:
        rows = [int(good[pair // len(bad)]), int(bad[pair % len(bad)])]
        drawn.add(rows, [(0, 1, weight / np.sqrt(len(chosen)))])


def fit(
    table: Table,
    seed: int,
    rounds: int = ROUNDS,
    *,
    start: lightgbm.Booster | None = None,
    settings: Mapping[str, object] | None = None,
) -> lightgbm.Booster:
    """Return trees that minimise the pairwise logistic loss (RankNet, Burges et al. 2005).

    LightGBM's own LambdaMART weighs pairs by their rank in a list; here every pair counts, as in
    the benchmark, and a small pointwise term is added.

    Args:
        table: Rows of all groups.
        seed: Of the sets that are drawn, and of the trees.
        rounds: New trees.
        start: Trees to go on from; the new ones are added to them.
        settings: In place of those in `SETTINGS`.
    """
    sets = make_sets(table, seed)
    members = len(sets.row)
    sign = np.where(table.right[sets.row], 1.0, -1.0)
    point = POINTWISE * balanced(table, sets)

    def total(members_of: Ints, amount: Floats) -> Floats:
        return np.bincount(members_of, amount, members).astype(np.float64)

    def loss(scores: Floats, _: lightgbm.Dataset) -> tuple[Floats, Floats]:
        miss = 1.0 / (1.0 + np.exp(scores[sets.right] - scores[sets.wrong]))
        push, curve = sets.weight * miss, sets.weight * miss * (1.0 - miss)
        alone = 1.0 / (1.0 + np.exp(sign * scores))
        gradient = total(sets.wrong, push) - total(sets.right, push) - sign * alone * point
        hessian = total(sets.right, curve) + total(sets.wrong, curve)
        hessian += alone * (1.0 - alone) * point
        return gradient, np.maximum(hessian, 1e-6)

    chosen = {
        **SETTINGS, **(settings or {}), "objective": loss, "seed": seed,
        "monotone_constraints": list(MONOTONE),
    }  # fmt: skip
    data = lightgbm.Dataset(sets.inputs(table), np.zeros(members), feature_name=list(INPUTS))
    return lightgbm.train(chosen, data, rounds, init_model=start)


def balanced(table: Table, sets: Sets) -> Floats:
    """Return weights (members,): right and wrong members weigh the same in all, by set size."""
    right = table.right[sets.row]
    weight = np.ones(len(sets.row))
    for size in (sets.size == 1, sets.size == 2, sets.size > 2):
        for side in (right, ~right):
            chosen = size & side
            weight[chosen] = len(sets.row) / 6 / max(int(chosen.sum()), 1)
    return weight


def rewards(booster: lightgbm.Booster, table: Table, sets: Sets) -> Floats:
    """Return the reward of every member (members,)."""
    return np.asarray(booster.predict(sets.inputs(table), raw_score=True), dtype=np.float64)


def pair_accuracy(table: Table, sets: Sets, scores: Floats) -> dict[str, tuple[int, float]]:
    """Return (pairs, accuracy) over sets of two, in all and by error; a tie is wrong."""
    two = sets.size[sets.right] == 2
    won = scores[sets.right[two]] > scores[sets.wrong[two]]
    errors = table.errors[sets.row[sets.wrong[two]]]
    found = {"all": (len(won), float(won.mean()) if len(won) else 0.0)}
    for error in np.unique(errors):
        chosen = errors == error
        found[str(error)] = (int(chosen.sum()), float(won[chosen].mean()))
    return found


def isotonic(
    scores: Floats, right: NDArray[np.bool_], weight: Floats, bins: int = 160
) -> tuple[Floats, Floats]:
    """Return (rewards, probabilities) knots of the isotonic map, by pool-adjacent-violators."""
    blocks: list[list[float]] = []  # reward * weight, right weight, weight
    for part in np.array_split(np.argsort(scores, kind="stable"), bins):
        w = weight[part]
        if not w.sum():
            continue
        blocks.append([float(scores[part] @ w), float(right[part] @ w), float(w.sum())])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    x = np.array([block[0] / block[2] for block in blocks])
    p = np.clip([block[1] / block[2] for block in blocks], 0.002, 0.998)  # no reward is proof
    return x, np.maximum.accumulate(p)
