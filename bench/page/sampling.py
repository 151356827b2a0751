"""Sections on what a scorer is for: the best of N, and correcting itself."""

import math
from collections.abc import Sequence

from bench.page import html as html
from bench.page import plots as plots
from bench.page.html import plain, share
from bench.page.run_files import Json, Run, cautions, interval, mapping, number, numbers, spans

_BELOW, _ABOVE = ("random", "first", "vote"), ("oracle",)


def best_of_n(runs: Sequence[Run]) -> str:
    """Return the section on Best-of-N: one block per data, all its scorers over one another."""
    by_data: dict[str, list[tuple[str, Json]]] = {}
    titles: dict[str, str] = {}
    for run in runs:
        for report in run.reports:
            strong = number(report.get("strong"))
            key = f"{run.data} {report.get('n')} {strong}"
            by_data.setdefault(key, []).append((_scorer_name(report, run), report))
            names = [n.rpartition("/")[2] for n in mapping(run.facts.get("data"))]
            title = ", ".join(names) or run.name
            if strong is not None:
                title += f", only models that are right in {strong:.0%}"
            titles.setdefault(key, title)
    lead = (
        "Share of prompts whose chosen candidate is right, of N drawn from a pool of real outputs. "
        "The gap is what an oracle gains over a random choice; small numbers are 95% intervals "
        "over prompts."
    )
    blocks = [_best_of_block(titles[key], reports) for key, reports in by_data.items()]
    return "".join([html.paragraph(lead), *blocks])


def _scorer_name(report: Json, run: Run) -> str:
    found = report.get("scorer_name")
    name = found if isinstance(found, str) else run.name.removeprefix("best_of_n_")
    # The references are exact; a scorer that does the same is drawn, and has noise.
    return f"{name} (as scorer)" if name in (*_BELOW, *_ABOVE) else name


def _best_of_block(title: str, reports: Sequence[tuple[str, Json]]) -> str:
    first = reports[0][1]
    sizes = _sizes(first)
    prompts = number(first.get("prompts"))
    named = title if prompts is None else f"{title}: {prompts:,.0f} prompts"
    warned = [f"{name}: {line}" for name, report in reports for line in cautions(report)]
    curves = [
        *(_curve(sizes, report, "scorer", name, quiet=False) for name, report in reports),
        *(_curve(sizes, first, key, key, quiet=True) for key in (*_BELOW, *_ABOVE)),
    ]
    known = [curve for curve in curves if curve is not None]
    if not known:
        warned.append("the file holds no curve")
        return html.heading(named) + html.notes(warned)
    head = ["N", *_BELOW, *(name for name, _ in reports), *_ABOVE]
    columns = [numbers(first.get(key)) for key in _BELOW]
    columns += [numbers(report.get("scorer")) for _, report in reports]
    columns += [numbers(first.get(key)) for key in _ABOVE]
    body = [
        [f"{sizes[row]:g}", *(share(_at(column, row)) for column in columns)]
        for row in _shown(sizes)
    ]
    figure = plots.lines(known, xlabel="N candidates", ylabel="right", powers=True)
    return "".join(
        [
            html.heading(named),
            html.notes(warned),
            html.plots([figure, html.table(head, body) + _gaps(sizes, reports)]),
        ]
    )


def _sizes(report: Json) -> list[float]:
    """Return the values of N; none at all if one is no number, since rows would be shifted."""
    found = numbers(report.get("n"))
    known = [n for n in found if n is not None and n >= 1]
    return known if len(known) == len(found) else []


def _shown(sizes: Sequence[float]) -> list[int]:
    """Return the rows of the tables: N that are powers of two, and the last."""
    return [r for r, n in enumerate(sizes) if math.log2(n).is_integer() or r == len(sizes) - 1]


def _gaps(sizes: Sequence[float], reports: Sequence[tuple[str, Json]]) -> str:
    """Return the share of the gap that each scorer closes, with its interval."""
    shown = [row for row in _shown(sizes) if sizes[row] > 1]
    head = ["gap closed at N =", *(f"{sizes[row]:g}" for row in shown)]
    closed = [("vote", reports[0][1], "vote_gap_closed")]
    closed += [(name, report, "gap_closed") for name, report in reports]
    body: list[list[str | html.Cell]] = []
    for name, report, key in closed:
        values = numbers(report.get(key))
        ends = spans(mapping(report.get("intervals")).get(key))
        cells = []
        for row in shown:
            low_high = ends[row] if row < len(ends) else None
            below = f"{low_high[0]:.0%}, {low_high[1]:.0%}" if low_high else ""
            cells.append(html.Cell(text=share(_at(values, row)), below=below))
        if any(value is not None for value in values):
            body.append([name, *cells])
    return html.table(head, body) if body else ""


def _at(values: Sequence[float | None], row: int) -> float | None:
    return values[row] if row < len(values) else None


def _curve(
    sizes: Sequence[float], report: Json, key: str, label: str, *, quiet: bool
) -> plots.Line | None:
    """Return a curve through the sizes that have a number, or None if none has."""
    known = [
        (n, value)
        for row, n in enumerate(sizes)
        if (value := _at(numbers(report.get(key)), row)) is not None
    ]
    if not known:
        return None
    ends = spans(mapping(report.get("intervals")).get(key))
    band = [pair for pair in ends if pair is not None]
    return plots.Line(
        label=label,
        x=[n for n, _ in known],
        y=[value for _, value in known],
        band=band if len(band) == len(known) and not quiet else None,
        quiet=quiet,
    )


_SHARES = ("before", "after")
_SAID = {
    "tasks": "tasks",
    "before": "right before",
    "after": "right after",
    "fixed": "fixed answers",
    "broken": "broken answers",
    "rejected_wrong": "wrong first answers sent back",
    "rejected_right": "right first answers sent back",
    "policy_tokens": "output tokens of the policy",
    "first_tokens": "of these, for first answers",
    "critic_tokens": "output tokens of the critic",
    "ms_per_task": "ms per task",
}


def self_correction(runs: Sequence[Run]) -> str:
    """Return the section on self-correction: a column per policy and critic."""
    reports = [(_pair_name(report, run), report) for run in runs for report in run.reports]
    head = ["", *(name for name, _ in reports)]
    body: list[list[str | html.Cell]] = []
    for key, said in _SAID.items():
        form = share if key in _SHARES else plain
        if any(key in report for _, report in reports):
            body.append([said, *(form(report.get(key)) for _, report in reports)])
        if key == "after":
            body.append(["gain", *(_gain(report) for _, report in reports)])
    warned = [f"{name}: {line}" for name, report in reports for line in cautions(report)]
    lead = html.paragraph(
        "A critic reads the policy's answer, and the policy answers again. Fixed and broken "
        "answers are counted apart: a critic that changes everything does both."
    )
    splits = [_split_table(name, report) for name, report in reports]
    return "".join([lead, html.notes(warned), html.table(head, body), *splits])


def _gain(report: Json) -> html.Cell:
    """Return after - before in percentage points, with its interval."""
    before, after = number(report.get("before")), number(report.get("after"))
    if before is None or after is None:
        return html.Cell(text="-")
    ends = interval(report.get("ci95"))
    below = f"{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}" if ends else ""
    return html.Cell(text=f"{100 * (after - before):+.1f} points", below=below)


def _split_table(name: str, report: Json) -> str:
    parts = [(split, mapping(part)) for split, part in mapping(report.get("by_split")).items()]
    if not parts:
        return ""
    body = [
        [
            split,
            plain(part.get("tasks")),
            *(share(part.get(key)) for key in _SHARES),
            plain(part.get("fixed")),
            plain(part.get("broken")),
        ]
        for split, part in parts
    ]
    table = html.table(["", "tasks", "before", "after", "fixed", "broken"], body)
    return html.details(f"{name}, by split", table)


def _pair_name(report: Json, run: Run) -> str:
    parts = [report.get(key) for key in ("policy", "critic")]
    return " / ".join(part for part in parts if isinstance(part, str)) or run.name
