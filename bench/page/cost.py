"""Sections on cost: time per judgement, per review, and what the guard adds to an agent."""

from collections.abc import Sequence

from bench.page import html as html
from bench.page.html import count, plain
from bench.page.run_files import Json, Run, cautions, interval, mapping, number, rows


def cost(trbench: Sequence[Run], latency: Sequence[Run]) -> str:
    """Return the section on time: per pair as the benches saw it, per review as a guard does."""
    blocks = []
    pairs = [
        [
            str(report.get("scorer", run.name)),
            _ms(report.get("ms_per_pair")),
            count(report.get("pairs")),
            run.name,
        ]
        for run in trbench
        for report in run.reports
        if number(report.get("ms_per_pair")) is not None
    ]
    if pairs:
        blocks += [
            html.heading("A pair, features included"),
            html.table(["", "ms per pair", "pairs", "run"], pairs),
        ]
    reviews = [
        [
            str(report.get("scorer", run.name)),
            plain(report.get("candidates")),
            *(_ms(report.get(key)) for key in ("p50_ms", "p95_ms", "p99_ms", "scorer_p50_ms")),
            run.name,
        ]
        for run in latency
        for report in run.reports
    ]
    if reviews:
        head = ["", "candidates", "p50 ms", "p95 ms", "p99 ms", "scorer's share, p50", "run"]
        blocks += [
            html.heading("A review"),
            html.paragraph("Time of Guard.areview on one core, recording off.", quiet=True),
            html.table(head, reviews),
        ]
    return "".join(blocks)


def overhead(runs: Sequence[Run]) -> str:
    """Return the section on what guarding adds at a scorer that costs nothing."""
    blocks = [
        html.paragraph(
            "Milliseconds per turn with a scorer that answers at once: what is left is the guard's "
            "own work, or the framework's. Small numbers are 95% intervals."
        )
    ]
    for run in runs:
        found = rows(run.payload.get("rows"))
        blocks += [html.notes(cautions(run.payload))]
        for kind in dict.fromkeys(str(row.get("kind", "")) for row in found):
            same = [row for row in found if str(row.get("kind", "")) == kind]
            blocks += [html.heading(f"{kind}, {run.name}" if kind else run.name), _cells(same)]
        said = {str(row["name"]): str(row["note"]) for row in found if row.get("note")}
        if said:
            notes = html.table(["", "what it does"], [[*item] for item in said.items()], wrap=1)
            blocks.append(html.details("What each of them does", notes))
    return "".join(blocks)


def grid(runs: Sequence[Run]) -> str:
    """Return the section on the ways of scoring one decision with the same model."""
    blocks = [
        html.paragraph(
            "Milliseconds of one decision on one core, with token ids given. Large numbers are "
            "medians, small ones the smallest and the largest of n rounds. Processor time leaves "
            "out what other programs took of the core. Needed is what the unique tokens would take "
            "at the rate of matrix products that was measured in the same round."
        )
    ]
    for run in runs:
        body: list[list[str | html.Cell]] = [
            [
                str(row.get("way", "")),
                count(row.get("context")),
                count(row.get("candidates")),
                count(row.get("n")),
                *(
                    _ranged(row, name)
                    for name in ("ms", "cpu_ms", "times", "cpu_times", "of_first", "over_needed")
                ),
                _ranged(row, "cpu_over_needed"),
            ]
            for row in rows(run.payload.get("rows"))
        ]
        head = ["", "context", "N", "n", "ms", "processor ms", "one by one / this"]
        head += ["by processor time", "first turn / this", "this / needed", "by processor time"]
        blocks += [html.heading(run.name), html.table(head, body)]
    return "".join(blocks)


def _ranged(row: Json, name: str) -> html.Cell:
    value = number(row.get(name))
    ends = interval([row.get(f"{name}_low"), row.get(f"{name}_high")])
    if value is None:
        return html.Cell(text="-")
    below = f"{_ms(ends[0])}, {_ms(ends[1])}" if ends else ""
    return html.Cell(text=_ms(value), below=below)


def _cells(found: Sequence[Json]) -> str:
    body: list[list[str | html.Cell]] = [
        [
            str(row.get("name", "")),
            count(row.get("n")),
            count(row.get("concurrency")),
            _ms(row.get("p50_ms")),
            _ms(row.get("p95_ms")),
            count(row.get("per_s")),
            _spanned(row, "added_ms", "added_ci95", "+.2f"),
            _spanned(row, "peer_ratio", "peer_ratio_ci95", ".2f"),
        ]
        for row in found
    ]
    head = ["", "N", "at a time", "p50 ms", "p95 ms", "turns/s", "added ms", "ratio to its_hub"]
    return html.table(head, body)


def _spanned(row: Json, key: str, ends_key: str, form: str) -> html.Cell:
    value, ends = number(row.get(key)), interval(row.get(ends_key))
    if value is None:
        return html.Cell(text="-")
    below = f"{ends[0]:{form}}, {ends[1]:{form}}" if ends else ""
    return html.Cell(text=f"{value:{form}}", below=below)


def _ms(value: object) -> str:
    found = number(value)
    if found is None:
        return "-"
    return f"{found:,.0f}" if found >= 100 else f"{found:.2f}"


def other(runs: Sequence[Run]) -> str:
    """Return the section on benches that this page does not know: every plain number they state."""
    blocks = []
    for run in runs:
        facts = [
            [key.replace("_", " "), plain(value)]
            for key, value in run.payload.items()
            if key not in ("bench", "run") and isinstance(value, str | int | float)
        ]
        lists = [
            html.heading(f"{run.name}: {key.replace('_', ' ')}") + html.generic_table(found)
            for key, value in run.payload.items()
            if (found := rows(value))
        ]
        nested = [
            html.heading(f"{run.name}: {key.replace('_', ' ')}") + html.generic_table([value])
            for key, value in run.payload.items()
            if key != "run" and mapping(value)
        ]
        blocks += [html.heading(f"{run.name} ({run.bench})"), html.notes(cautions(run.payload))]
        blocks += [html.table(["", ""], facts) if facts else "", *nested, *lists]
    return "".join(blocks)
