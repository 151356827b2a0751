"""The section on calibration: honest probabilities, what abstaining buys, what thresholds keep."""

from collections.abc import Sequence

from bench.page import html as html
from bench.page import plots as plots
from bench.page.html import share
from bench.page.run_files import Json, Run, cautions, interval, mapping, number, rows, spans

_FIGURES = {
    "accuracy": "right",
    "brier": "Brier",
    "ece_mass": "ECE (mass)",
    "ece_width": "ECE (width)",
    "aurc": "AURC",
    "aurc_excess": "excess AURC",
}


def calibration(runs: Sequence[Run]) -> str:
    """Return the section: a block per run."""
    lead = html.paragraph(
        "Left: of the turns that get a probability, how many are right; on the dashed line the "
        "scorer is honest. Right: of the turns let pass, the most certain first, how many are "
        "wrong. Bars and small numbers are 95% intervals over prompts."
    )
    return "".join([lead, *(_block(run, report) for run in runs for report in run.reports)])


def _block(run: Run, report: Json) -> str:
    slices = rows(report.get("slices"))
    data = ", ".join(name.rpartition("/")[2] for name in mapping(run.facts.get("data")))
    each = number(report.get("candidates"))
    drawn = "each output by itself" if each == 1 else f"the best of {each or 0:.0f}"
    blocks = [
        html.heading(f"{report.get('scorer', run.name)} on {data or run.name}, {drawn}"),
        html.notes(cautions(report)),
        html.plots(_plots(slices)),
        _figures(slices),
        _promises(rows(report.get("conformal"))),
        _in_force(report),
    ]
    return "".join(blocks)


def _plots(slices: Sequence[Json]) -> list[str]:
    drawn = []
    whole = next((part for part in slices if part.get("name") == "all"), {})
    if bins := [row for row in rows(whole.get("reliability")) if _is_whole(row)]:
        drawn.append(plots.reliability(bins, title="Reliability"))
    curves = [
        plots.Line(
            label=str(part.get("name")).removeprefix("effect "),
            x=[point[0] for point in points],
            y=[point[1] for point in points],
            quiet=part.get("name") == "all",
        )
        for part in slices
        if not str(part.get("name")).startswith("split ")
        and (points := [p for p in spans(part.get("risk_coverage")) if p])
    ]
    if curves:
        drawn.append(
            plots.lines(curves, xlabel="let pass", ylabel="wrong of these", title="Risk, coverage")
        )
    return drawn


def _is_whole(row: Json) -> bool:
    values = [number(row.get(key)) for key in ("probability", "right", "turns")]
    return None not in values and interval(row.get("ci95")) is not None


def _figures(slices: Sequence[Json]) -> str:
    body: list[list[str | html.Cell]] = []
    for part in slices:
        figures = mapping(part.get("figures"))
        cells = [_figure(mapping(figures.get(key))) for key in _FIGURES]
        body.append([str(part.get("name")), _count(part, "turns"), _count(part, "groups"), *cells])
    head = ["", "turns", "prompts", *_FIGURES.values()]
    return html.table(head, body, strong=1) if body else ""


def _figure(found: Json) -> html.Cell:
    value, ends = number(found.get("value")), interval(found.get("ci95"))
    if value is None:
        return html.Cell(text="-")
    return html.Cell(text=f"{value:.3f}", below=f"{ends[0]:.3f}, {ends[1]:.3f}" if ends else "")


def _promises(found: Sequence[Json]) -> str:
    """Return what conformal thresholds promise, and do on prompts that they did not see."""
    if not found:
        return ""
    body = [
        [
            str(row.get("kind")),
            share(row.get("rate")),
            _count(row, "groups"),
            _short(row.get("threshold")),
            share(row.get("wrongly_blocked")),
            share(row.get("wrongly_blocked_p95")),
            share(row.get("wrongly_passed")),
        ]
        for row in found
    ]
    head = ["", "promised", "prompts", "threshold", "blocked", "in 95% of halves", "wrong passed"]
    table = html.table(head, body)
    said = (
        "Thresholds were fitted on a random half of the prompts and applied to the other half, "
        "a hundred times or more. Promised: at most this share of right calls falls below the "
        "threshold, on average. Blocked: the share that did. Wrong passed: calls of wrong turns "
        "that stay above."
    )
    return html.details("Conformal thresholds, checked on held-out prompts", _said(said) + table)


def _in_force(report: Json) -> str:
    """Return what thresholds from elsewhere do here: the scorer's own, and a saved file's."""
    saved = mapping(report.get("saved"))
    parts = [("the scorer's own", mapping(report.get("own_thresholds")))]
    evidence = ", ".join(mapping(saved.get("evidence")))
    rate = share(saved.get("rate"))
    parts.append((f"calibrated for {rate} on {evidence}", mapping(saved.get("thresholds"))))
    body = [
        [
            name,
            kind,
            _short(row.get("value")),
            _count(row, "groups"),
            share(row.get("wrongly_blocked")),
            share(row.get("wrongly_passed")),
        ]
        for name, found in parts
        for kind, row in ((kind, mapping(row)) for kind, row in found.items())
    ]
    if not body:
        return ""
    head = ["thresholds", "kind", "value", "prompts", "right blocked", "wrong passed"]
    said = "No promise covers data of another kind than a threshold was calibrated on."
    return html.details(
        "Thresholds from elsewhere, on this data", _said(said) + html.table(head, body)
    )


def _said(value: str) -> str:
    return html.paragraph(value, quiet=True)


def _short(value: object) -> str:
    found = number(value)
    return "-" if found is None else f"{found:.3f}"


def _count(row: Json, key: str) -> str:
    return html.count(row.get(key))
