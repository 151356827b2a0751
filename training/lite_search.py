"""Hyper-parameters and groups of features of `lite`, chosen by cross-validation over sources.

A fold leaves whole sources out, and with them all their prompts: what is tested shares neither
prompt nor tools nor style with what was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from toolrm_guard.scorers.features import FEATURES, GROUPS
from training.ranker import Floats, Table, fit, make_sets, pair_accuracy, rewards

FOLDS = 4
ABLATION_ROUNDS = 40
"""Trees per fold without a group: what a group is worth shows early, and 15 groups take a while."""

GRID: Sequence[Mapping[str, object]] = (
    {},
    {"num_leaves": 15},
    {"num_leaves": 63},
    {"min_data_in_leaf": 200},
    {"feature_fraction": 0.2},
    {"lambda_l2": 20.0},
    {"learning_rate": 0.05},
)
"""Changes to the settings, one at a time; the first is none."""

console = Console(stderr=True)


def search(
    table: Table, seed: int, rounds: int, grid: Sequence[Mapping[str, object]] = GRID
) -> str:
    """Return the accuracy of each point of the grid as a markdown table, the best one last."""
    found: list[tuple[float, str, Floats]] = []
    for change in track(grid, "searching", console=console):
        accuracy = cross_validate(table, seed, rounds, change)
        name = ", ".join(f"{key} {value}" for key, value in change.items()) or "as it is"
        found.append((float(accuracy.mean()), name, accuracy))
    base = found[0][2]
    lines = ["| settings | out of source | minus the first | sources better |"]
    lines += ["| --- | --- | --- | --- |"]
    for mean, name, accuracy in sorted(found, key=lambda row: row[0]):
        better = f"{int((accuracy > base).sum())} of {len(base)}"
        lines.append(f"| {name} | {mean:.4f} | {mean - float(base.mean()):+.4f} | {better} |")
    return "\n".join(lines)


def ablate(table: Table, seed: int, rounds: int = ABLATION_ROUNDS) -> dict[str, float]:
    """Return what the accuracy out of source loses or gains without each group of features.

    A column that never changes is never split on, so a group is left out by setting it to 0.
    """
    whole = cross_validate(table, seed, rounds).mean()
    changes = {}
    for group in track(GROUPS, "leaving groups of features out", console=console):
        features = table.features.copy()
        features[:, [spec.group == group for spec in FEATURES]] = 0.0
        less = cross_validate(replace(table, features=features), seed, rounds).mean()
        changes[group] = float(less - whole)
    return changes


def cross_validate(
    table: Table, seed: int, rounds: int, settings: Mapping[str, object] | None = None
) -> Floats:
    """Return (sources,) the pair accuracy of each source in the fold that leaves it out.

    `settings` are those that differ from the usual ones.
    """
    found = {}
    for fold in source_folds(table):
        out = np.isin(table.source, fold)
        booster = fit(table.select(~out), seed, rounds, settings=settings)
        for source in fold:
            test = table.select(table.source == source)
            sets = make_sets(test, seed)
            found[source] = pair_accuracy(test, sets, rewards(booster, test, sets))["all"][1]
    return np.array([found[source] for source in sorted(found)])


def source_folds(table: Table, folds: int = FOLDS) -> list[list[str]]:
    """Return the sources in folds of similar size, the largest source first into the emptiest."""
    names, counts = np.unique(table.source, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    filled: list[list[str]] = [[] for _ in range(min(folds, len(names)))]
    size: NDArray[np.int64] = np.zeros(len(filled), dtype=np.int64)
    for index in order:
        emptiest = int(np.argmin(size))
        filled[emptiest].append(str(names[index]))
        size[emptiest] += counts[index]
    return filled
