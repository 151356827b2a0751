"""Plots of the report as SVG that takes its colours from the page, light or dark.

Each function returns one `<svg>` element. Text stays text; ink and lines are CSS variables of the
page, written in place of the marker colours that matplotlib is given here.
"""

import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK, _FAINT, _GRID = "#010203", "#040506", "#070809"
_PAGE_COLOURS = {_INK: "var(--ink)", _FAINT: "var(--faint)", _GRID: "var(--line)"}
_PALETTE = ("#d9772b", "#2aa37a", "#b565a7", "#c9a227", "#7c6fd0", "#c8504f", "#4fb0c6")
_FIXED = {
    "lite": "#3b82c4",
    "longer": "#d9772b",
    "schema": "#2aa37a",
    "vote": "#b565a7",
    "logprob": "#7c6fd0",
    "random": "#8a8f98",
    "random (as scorer)": "#8a8f98",
}
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _GRID,
    "xtick.color": _FAINT,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A labelled value with its interval; `published` ones were measured by others."""

    label: str
    value: float
    ci95: tuple[float, float] | None = None
    published: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve; a quiet one is a reference, not a contender."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[tuple[float, float]] | None = None
    quiet: bool = False


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour per name; a scorer keeps its colour from plot to plot where it can."""
    free = iter(_PALETTE * (len(names) // len(_PALETTE) + 1))
    return {name: _FIXED.get(name) or next(free) for name in dict.fromkeys(names)}


def dots(points: Sequence[Point], *, xlabel: str) -> str:
    """Return one row per point, ours filled with interval, published ones hollow."""

    def draw(axes: Axes) -> None:
        ours = colours([point.label for point in points if not point.published])
        for row, point in enumerate(reversed(points)):
            colour = ours.get(point.label, _FAINT)
            if point.ci95:
                axes.plot(
                    point.ci95,
                    (row, row),
                    color=colour,
                    lw=2.2,
                    solid_capstyle="round",
                    clip_on=False,
                )
            face = "none" if point.published else colour
            axes.plot(point.value, row, "o", ms=7, mfc=face, mec=colour, mew=1.6, clip_on=False)
            axes.annotate(
                f"{point.value:.1%}",
                (max(point.value, point.ci95[1] if point.ci95 else 0.0), row),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                color=_FAINT if point.published else _INK,
            )
        labels = [f"{p.label} (published)" if p.published else p.label for p in reversed(points)]
        axes.set_yticks(range(len(points)), labels)
        axes.set_ylim(-0.6, len(points) - 0.4)
        axes.set_xlim(0.0, 1.0)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(xlabel)

    return _svg(draw, (8.6, 0.36 * len(points) + 0.8))


def lines(
    curves: Sequence[Line], *, xlabel: str, ylabel: str, title: str = "", powers: bool = False
) -> str:
    """Return the curves over one another, named at their right ends.

    Args:
        curves: Values are shares.
        xlabel: Of the axis.
        ylabel: Of the axis.
        title: Above the plot.
        powers: Whether x doubles from tick to tick; else it is a share, too.
    """

    def draw(axes: Axes) -> None:
        ours = colours([curve.label for curve in curves if not curve.quiet])
        for curve in curves:
            colour = ours.get(curve.label, _FAINT)
            style = "--" if curve.quiet else "-"
            axes.plot(curve.x, curve.y, style, color=colour, lw=1.3 if curve.quiet else 2.0)
            if curve.band:
                low, high = zip(*curve.band, strict=True)
                axes.fill_between(curve.x, low, high, color=colour, alpha=0.14, lw=0)
        if powers:
            axes.set_xscale("log", base=2)
            ticks = sorted({x for curve in curves for x in curve.x})
            kept = [tick for tick in ticks if math.log2(tick).is_integer()]
            axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
            axes.minorticks_off()
        else:
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_formatter("{x:.0%}")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_title(title)
        _name_ends(axes, curves, ours)

    return _svg(draw, (5.6, 3.7))


def reliability(bins: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Return share right against probability with intervals; the diagonal is honest."""

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), "--", color=_FAINT, lw=1.2)
        most = max(float(row["turns"]) for row in bins)
        for row in bins:
            x, y = float(row["probability"]), float(row["right"])
            low, high = row["ci95"]
            axes.plot((x, x), (low, high), color=_FIXED["lite"], lw=2, alpha=0.45)
            size = 25 + 70 * float(row["turns"]) / most
            axes.scatter([x], [y], s=size, color=_FIXED["lite"], zorder=3, linewidths=0)
        axes.annotate("says too little", (0.06, 0.93), color=_FAINT)
        axes.annotate("says too much", (0.94, 0.05), color=_FAINT, ha="right")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_xlabel("probability of being right, as the scorer says")
        axes.set_ylabel("share that is right")
        axes.set_title(title)

    return _svg(draw, (4.4, 3.7))


def _name_ends(axes: Axes, curves: Sequence[Line], ours: Mapping[str, str]) -> None:
    """Write each name beside the end of its curve, moved apart where two ends are close."""
    low, high = axes.get_ylim()
    gap = 0.058 * (high - low)
    at = low
    for curve in sorted((c for c in curves if c.y), key=lambda curve: curve.y[-1]):
        at = max(curve.y[-1], at + gap)
        axes.annotate(
            curve.label,
            xy=(1.015, at),
            xycoords=("axes fraction", "data"),
            color=ours.get(curve.label, _FAINT),
            va="center",
            annotation_clip=False,
        )


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.add_subplot())
        drawn = _saved(figure, "0")
        # Ids must differ between the plots of a page, and must not between runs of this program.
        drawn = _saved(figure, hashlib.sha256(drawn.encode()).hexdigest())
    for marker, variable in _PAGE_COLOURS.items():
        drawn = drawn.replace(marker, variable)
    return drawn


def _saved(figure: Figure, salt: str) -> str:
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    found = text.getvalue()
    return found[found.index("<svg") :]
