"""The dataset card: what is in it, where it came from, what was dropped, its licences."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.preferences.outputs import FORMATS
from training.preferences.plots import write_plots

_NONE_STATED = "none stated: do not redistribute"


def write_card(report: Mapping[str, Any], out: Path) -> None:
    """Write README.md and the plots below `out`."""
    plots = write_plots(report, out / "plots")
    text = "\n".join([*_front_matter(report), *_body(report, plots)]) + "\n"
    (out / "README.md").write_text(text, encoding="utf-8", newline="\n")


def _front_matter(report: Mapping[str, Any]) -> Iterator[str]:
    """The hub's YAML: one configuration a file pair, so that `load_dataset` finds them."""
    yield "---"
    yield "configs:"
    sides = sorted(report["dataset"]["counts"].get("side", {}))
    for shape in report["config"]["output"]["shapes"]:
        for name, schema in FORMATS[shape].schemas.items():
            ending = "jsonl.gz" if schema is None else "parquet"
            stem = f"data/{shape}/{name}/" if name else f"data/{shape}/"
            yield f"- config_name: {shape}{'_' + name if name else ''}"
            yield "  data_files:"
            for side in sides:
                yield f"  - {{split: {side}, path: {stem}{side}.{ending}}}"
    yield "---"


def _body(report: Mapping[str, Any], plots: list[str]) -> Iterator[str]:
    counts, config = report["dataset"]["counts"], report["config"]
    sides = counts.get("side", {})
    total = sum(sides.values())
    natural = counts.get("rejected", {}).get("natural", 0)
    yield f"# {config['output']['title']}"
    yield ""
    yield (
        f"{total:,} pairs of assistant turns that call tools ({sides.get('train', 0):,} train, "
        f"{sides.get('validation', 0):,} validation), one better than the other. The recipe is "
        "that of ToolRM (arXiv 2510.26167), not ours: rule score, pairs of any two scores, "
        "Balanced Multi-Dimensional Sampling. Ours are the labels, the edits and the split. "
        f"{natural / max(total, 1):.1%} of the rejected sides are errors that a model made by "
        "itself; the others are edits of a right answer, labelled with the error that they make."
    )
    yield from _labels(counts, total)
    for note in (*report["notes"], *report["problems"]):
        yield ""
        yield f"Note: {note}."
    yield from _sources(report, total)
    yield from _table("Preference intensity", "s+ - s-", _bins(report), total)
    complexity = sorted(counts.get("complexity", {}).items(), key=lambda item: int(item[0]))
    yield from _table("Complexity", "calls plus arguments", _ranges(complexity), total)
    yield from _table("Error of the rejected side", "error", counts.get("error", {}), total)
    yield from _table("Who wrote the rejected side", "by", counts.get("rejected_by", {}), total)
    yield from _table("Who wrote the chosen side", "by", counts.get("chosen_by", {}), total)
    yield from _funnel(report)
    yield from _split(report)
    yield from _inputs(report)
    yield ""
    yield "## Plots"
    for plot in plots:
        yield ""
        yield f"![{plot.removesuffix('.png')}](plots/{plot})"


def _labels(counts: Mapping[str, Mapping[str, int]], total: int) -> Iterator[str]:
    """Say how often the rule score is not what decides."""
    by_source = counts.get("label_by_source", {})
    decided = sum(by_source.values())
    against = counts.get("decided_by", {}).get("label, rule sees no such difference", 0)
    yield ""
    if not decided:
        yield "In every pair the rule score alone says which side is better."
        return
    where = ", ".join(f"{source} {count:,}" for source, count in by_source.items())
    yield (
        f"In {decided:,} pairs ({decided / max(total, 1):.1%}: {where}) a label of the source, not "
        "the rule score, makes the chosen side right. By the rule score alone "
        f"{against:,} of these would be level or the other way round."
    )


def _licence(found: Sequence[str | None]) -> str:
    """Return every licence of a source; a row without one speaks for the source."""
    stated = ", ".join(name for name in found if name)
    if None not in found:
        return stated
    return f"{stated}; for some rows {_NONE_STATED}" if stated else _NONE_STATED


def _sources(report: Mapping[str, Any], total: int) -> Iterator[str]:
    counts, licences = report["dataset"]["counts"], report["dataset"]["licences"]
    yield ""
    yield "## Sources"
    yield ""
    yield "| source | licence | pairs | share | natural errors | validation |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for source, count in counts.get("source", {}).items():
        licence = _licence(licences[source])
        natural = counts.get("natural_by_source", {}).get(source, 0)
        held = counts.get("validation_by_source", {}).get(source, 0)
        yield (
            f"| {source} | {licence} | {count:,} | {count / total:.1%} | {natural / count:.1%} "
            f"| {held:,} |"
        )
    yield ""
    yield (
        "The strictest licence of what a subset holds is that of the subset. The column `licence` "
        "says it for every pair."
    )
    if any(None in found for found in licences.values()):
        yield ""
        yield "As a whole this dataset must not be redistributed: sources without a licence are in."


def _bins(report: Mapping[str, Any]) -> dict[str, int]:
    bins = report["config"]["balance"]["bins"]
    found = report["dataset"]["counts"].get("intensity", {})
    return {
        f"({number / bins:g}, {(number + 1) / bins:g}]": found.get(str(number), 0)
        for number in range(bins)
    }


def _ranges(sizes: list[tuple[str, int]]) -> dict[str, int]:
    """Return the counts in steps of five."""
    found: dict[str, int] = {}
    for size, count in sizes:
        start = int(size) // 5 * 5
        name = f"{start} to {start + 4}"
        found[name] = found.get(name, 0) + count
    return found


def _table(title: str, head: str, counts: Mapping[str, int], total: int) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {head} | pairs | share |"
    yield "| --- | ---: | ---: |"
    for name, count in counts.items():
        yield f"| {name} | {count:,} | {count / max(total, 1):.1%} |"


def _funnel(report: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "## Funnel"
    yield ""
    yield "| stage | unit | in | out | dropped, by reason |"
    yield "| --- | --- | ---: | ---: | --- |"
    for stage in report["funnel"]:
        dropped = ", ".join(f"{r} {d['count']:,}" for r, d in stage["dropped"].items())
        yield (
            f"| {stage['stage']} | {stage['unit']} | {stage['in']:,} | {stage['out']:,} "
            f"| {dropped} |"
        )


def _split(report: Mapping[str, Any]) -> Iterator[str]:
    made, tools = report["split"], report["dataset"]["tools"]
    held = report["dataset"]["counts"].get("side", {}).get("validation", 0)
    yield ""
    yield "## Split"
    yield ""
    yield (
        "No prompt (its messages), no whole set of tools and no group of a source stands on both "
        f"sides: pairs that share one hang together. {made['components']:,} components; the "
        f"largest holds {made['largest']['pairs']:,} pairs "
        f"({', '.join(made['largest']['sources'])})."
    )
    yield ""
    shared = tools["validation_pairs_with_a_tool_of_train"]
    yield (
        f"Single tools do stand on both sides, in different sets: {tools['in_both']:,} of the "
        f"{tools['validation']:,} tools of validation, by name, are offered in train, too "
        f"({shared:,} of {held:,} pairs for validation offer at least one). Validation does not "
        "measure how a model does on tools that it never saw."
        if tools["in_both"]
        else "No tool of validation, by name, is offered in train."
    )


def _inputs(report: Mapping[str, Any]) -> Iterator[str]:
    samplers = ", ".join(sampler["name"] for sampler in report["config"]["samplers"])
    yield ""
    yield "## Made of"
    yield ""
    yield (
        "`python -m training.preferences build`, seed "
        f"{report['config']['seed']}, samplers {samplers}; all settings are in `report.json`. The "
        "same inputs give the same bytes, with either engine and any number of workers."
    )
    yield ""
    yield "| input | sha256 |"
    yield "| --- | --- |"
    for entry in report["inputs"]:
        yield f"| {entry['path']} | {entry['sha256'] or 'not checked'} |"
