"""The section on pairs: accuracy by split and by error, beside what was published."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.page import html as html
from bench.page import plots as plots
from bench.page.html import count, share
from bench.page.run_files import (
    Json,
    Run,
    cautions,
    interval,
    mapping,
    number,
    proportion,
    proportions,
)

PUBLISHED = {
    "ToolRM-Disc-Qwen3-4B": 0.7761,
    "Skywork-Reward-V2-Qwen3-4B": 0.7325,
    "ToolRM-Gen-Qwen3-4B-Thinking": 0.7187,
    "Claude-4-Sonnet": 0.6423,
    "Llama-3.2-3B": 0.2809,
}
"""Weighted accuracy over the 2,983 pairs of the official TRBench-BFCL (arXiv:2510.26167)."""

_NOT_OFFICIAL = (
    "Published numbers are weighted accuracies over the 2,983 pairs and 9 splits of the official "
    "TRBench-BFCL (ToolRM, arXiv:2510.26167). Pairs of our own are not the official ones: they "
    "come from public result dumps of other models. Read the two as an orientation, not a ranking."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One scorer of a table, by a name that is unique there."""

    name: str
    report: Json


def trbench(runs: Sequence[Run]) -> str:
    """Return the section on pairs: one block for each set of pairs, since others do not compare."""
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(run.data, []).append(run)
    blocks = [
        html.paragraph(
            "Share of pairs in which the right answer gets the higher reward; a tie is wrong."
        )
    ]
    for same in by_data.values():
        columns = _columns(same)
        blocks.append(html.heading(_data_title(same[0])))
        blocks.append(_trbench_block(columns))
    return "".join(blocks)


def _trbench_block(columns: Sequence[Column]) -> str:
    points = [
        plots.Point(label=column.name, value=value, ci95=proportions(column.report.get("ci95")))
        for column in columns
        if (value := proportion(column.report.get("weighted"))) is not None
    ]
    reference = [
        plots.Point(label=name, value=value, published=True) for name, value in PUBLISHED.items()
    ]
    every = sorted([*points, *reference], key=lambda point: -point.value)
    warned = [f"{column.name}: {line}" for column in columns for line in cautions(column.report)]
    return "".join(
        [
            html.notes(warned),
            html.plots([plots.dots(every, xlabel="weighted accuracy, 95% interval over prompts")]),
            html.paragraph(_NOT_OFFICIAL, quiet=True),
            html.heading("By split"),
            _overall_table(columns),
            html.heading("By error type of the rejected answer"),
            _slice_table(columns, "by_error", by_size=True),
        ]
    )


def _columns(runs: Sequence[Run]) -> list[Column]:
    """Return all scorers; those of one name are told apart by their file."""
    found = [(str(r.get("scorer", run.name)), run.name, r) for run in runs for r in run.reports]
    names = [name for name, _, _ in found]
    return [
        Column(name=name if names.count(name) == 1 else f"{name} ({file})", report=report)
        for name, file, report in found
    ]


def _data_title(run: Run) -> str:
    data = mapping(run.facts.get("data"))
    names = ", ".join(name.rpartition("/")[2] for name in data) or run.name
    sampled = mapping(run.payload.get("sampled"))
    return (
        f"{names}: {sampled['pairs']} of {sampled['of']} pairs"
        if {"pairs", "of"} <= sampled.keys()
        else names
    )


def _overall_table(columns: Sequence[Column]) -> str:
    head = ["", "pairs", *(column.name for column in columns)]
    body: list[list[str | html.Cell]] = [
        ["weighted", _most_pairs(columns), *(share(c.report.get("weighted")) for c in columns)],
        ["95% interval", "", *(_span(c.report.get("ci95")) for c in columns)],
        ["average of splits", "", *(share(c.report.get("average")) for c in columns)],
    ]
    if any(
        number(c.report.get("judged")) not in (None, number(c.report.get("pairs"))) for c in columns
    ):
        body.append(["pairs judged", "", *(count(c.report.get("judged")) for c in columns)])
        of_judged = [share(c.report.get("weighted_judged")) for c in columns]
        body.append(["weighted, of those judged", "", *of_judged])
    body += _slice_rows(columns, "splits", by_size=False)
    values = [mapping(c.report.get("values_only")) for c in columns]
    body.append(["only values differ", _largest(values), *(_tinted(v) for v in values)])
    return html.table(head, body, strong=1)


def _slice_table(columns: Sequence[Column], key: str, *, by_size: bool) -> str:
    head = ["", "pairs", *(column.name for column in columns)]
    return html.table(head, _slice_rows(columns, key, by_size=by_size))


def _slice_rows(
    columns: Sequence[Column], key: str, *, by_size: bool
) -> list[list[str | html.Cell]]:
    parts = [mapping(column.report.get(key)) for column in columns]
    names = sorted({name for part in parts for name in part})
    if by_size:
        names.sort(key=lambda n: -max(_pairs(mapping(part.get(n))) for part in parts))
    return [
        [
            name,
            _largest([mapping(part.get(name)) for part in parts]),
            *(_tinted(mapping(part.get(name))) for part in parts),
        ]
        for name in names
    ]


def _pairs(part: Json) -> float:
    return number(part.get("pairs")) or 0.0


def _largest(parts: Sequence[Json]) -> str:
    return f"{max((_pairs(part) for part in parts), default=0):,.0f}"


def _most_pairs(columns: Sequence[Column]) -> str:
    return _largest([column.report for column in columns])


def _tinted(part: Json) -> html.Cell:
    value = number(part.get("accuracy")) if _pairs(part) else None
    return html.Cell(text=share(value), tint=value)


def _span(value: object) -> str:
    ends = interval(value)
    return "-" if ends is None else f"{ends[0]:.1%}, {ends[1]:.1%}"
