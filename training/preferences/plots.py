"""The card's plots as PNG, drawn without a display and without a time stamp."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

_WIDTH = 7.0
_NATURAL, _EDIT = "#2f6f8f", "#d9a441"


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
    found = list(counts.get("error", {}).items())[:25][::-1]
    figure, axes = _figure(0.26 * len(found) + 1.0)
    colours = [_NATURAL if name.startswith("natural") else _EDIT for name, _ in found]
    axes.barh([name for name, _ in found], [count for _, count in found], color=colours)
    axes.set_xlabel("pairs, by error of the rejected side")
    return figure


def _funnel(stages: Sequence[Mapping[str, Any]]) -> Figure:
    shown = [stage for stage in stages if stage["out"]][::-1]
    figure, axes = _figure(0.3 * len(shown) + 1.0)
    names = [f"{stage['stage']} ({stage['unit'].split(' -> ')[-1]})" for stage in shown]
    axes.barh(names, [stage["out"] for stage in shown], color=_NATURAL)
    axes.set_xlabel("rows that leave the stage")
    return figure
