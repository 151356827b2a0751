"""The card's plots as PNG, drawn without a display and without a time stamp."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

_WIDTH = 7.0
_NATURAL, _EDIT = "#2f6f8f", "#d9a441"
_MOST_ERRORS = 25


def write_plots(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the plots and return their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = report["dataset"]["counts"]
    figures = {
        "sources.png": _sources(counts),
        "intensity.png": _intensity(counts, report["config"]["balance"]["bins"]),
        "complexity.png": _complexity(counts),
        "errors.png": _errors(counts),
        "funnel.png": _funnel(report["funnel"]),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110, metadata={"Software": None})
    return list(figures)


def _figure(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _sources(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    names = list(counts.get("source", {}))[::-1]
    figure, axes = _figure(0.35 * len(names) + 1.2)
    natural = [counts.get("natural_by_source", {}).get(name, 0) for name in names]
    edits = [counts.get("edit_by_source", {}).get(name, 0) for name in names]
    axes.barh(names, natural, color=_NATURAL, label="a model's own error")
    axes.barh(names, edits, left=natural, color=_EDIT, label="an edit of the reference")
    axes.set_xlabel("pairs, by what was rejected")
    axes.legend(frameon=False)
    return figure


def _intensity(counts: Mapping[str, Mapping[str, int]], bins: int) -> Figure:
    figure, axes = _figure(3.0)
    values = [counts.get("intensity", {}).get(str(number), 0) for number in range(bins)]
    axes.bar([(number + 0.5) / bins for number in range(bins)], values, 0.9 / bins, color=_NATURAL)
    axes.set_xlabel("preference intensity, s+ - s-")
    axes.set_ylabel("pairs")
    return figure


def _complexity(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    figure, axes = _figure(3.0)
    found = {int(size): count for size, count in counts.get("complexity", {}).items()}
    axes.bar(list(found), list(found.values()), color=_NATURAL)
    axes.set_xlabel("complexity, calls plus arguments of the chosen side")
    axes.set_ylabel("pairs")
    return figure


def _errors(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    errors = list(counts.get("error", {}).items())  # most frequent first
    found, hidden = errors[:_MOST_ERRORS][::-1], errors[_MOST_ERRORS:]
    figure, axes = _figure(0.26 * len(found) + 1.0)
    colours = [_NATURAL if name.startswith("natural") else _EDIT for name, _ in found]
    axes.barh([name for name, _ in found], [count for _, count in found], color=colours)
    axes.set_xlabel("pairs, by error of the rejected side" + _hidden_note(hidden))
    return figure


def _hidden_note(hidden: Sequence[tuple[str, int]]) -> str:
    if not hidden:
        return ""
    pairs = sum(count for _, count in hidden)
    return f"\n{len(hidden)} rarer errors, {pairs:,} pairs in all, are not shown"


def _funnel(stages: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw a panel for each unit: a pair is no smaller trajectory."""
    panels: dict[str, list[tuple[str, int]]] = {}
    for stage in stages:
        if stage["out"]:
            unit = stage["unit"].split(" -> ")[-1]
            panels.setdefault(unit, []).append((stage["stage"], stage["out"]))
    heights = [len(bars) + 1.5 for bars in panels.values()] or [1.0]
    figure = Figure(figsize=(_WIDTH, 0.3 * sum(heights) + 0.6), layout="constrained")
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)
    for axes, (unit, bars) in zip(grid[:, 0], panels.items(), strict=False):
        names, values = zip(*bars[::-1], strict=True)
        axes.barh(names, values, color=_UNIT_COLOURS.get(unit, _NATURAL))
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel(f"{unit} that leave the stage")
    return figure


_UNIT_COLOURS = {"trajectories": "#6b7a8f", "contexts": _NATURAL, "pairs": _EDIT}
