"""What the guard did, or in shadow would have done, from its records: a pure summary and its text.

In shadow every call ran, so outcomes say whether blocking it would have been right.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from toolrm_guard.records import CallRecord, OutcomeRecord, ReviewRecord, outcomes_of

Fate = Literal["passed", "corrected", "escalated", "blocked"]
FATES: tuple[Fate, ...] = ("passed", "corrected", "escalated", "blocked")


@dataclass(slots=True, kw_only=True)
class ToolFigures:
    """What happened to the calls of one tool.

    Attributes:
        fates: Calls by fate.
        failed: Of each fate, calls that ran and are known to have gone wrong.
        succeeded: Of each fate, calls that ran and are known to have gone well.
    """

    fates: Counter[Fate] = field(default_factory=Counter)
    failed: Counter[Fate] = field(default_factory=Counter)
    succeeded: Counter[Fate] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class ModeFigures:
    """The figures of one mode: `enforce`, or `shadow`, where they are what would have been.

    Attributes:
        decisions: Reviews by decision.
        unjudged: Reviews in which the guard could not judge, by reason.
        tools: Figures by tool.
        findings: Findings on calls that did not pass, by code.
        effects: Calls that did not pass, by effect class.
        total_ms: Wall time of each review.
        samples: Candidates drawn under a budget.
        samples_allowed: What a fixed N would have drawn for the same turns.
    """

    decisions: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    tools: dict[str, ToolFigures] = field(default_factory=dict)
    findings: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    total_ms: list[float] = field(default_factory=list)
    samples: int = 0
    samples_allowed: int = 0

    @property
    def reviews(self) -> int:
        """How many reviews there were."""
        return sum(self.decisions.values())


def summarise(
    reviews: Iterable[ReviewRecord], outcomes: Iterable[OutcomeRecord]
) -> dict[str, ModeFigures]:
    """Return the figures by mode.

    Args:
        reviews: Of any time and mode, in any order.
        outcomes: Joined by call id and digest within a conversation.
    """
    results: dict[tuple[str, str | None], list[OutcomeRecord]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.kind in ("execution", "task"):
            results[outcome.call_id, outcome.conversation_id].append(outcome)
    # A long conversation is in each of its reviews, and they are held all at once.
    held = [review.model_copy(update={"messages": [], "tools": []}) for review in reviews]
    replaced = _replaced(held)
    figures: dict[str, ModeFigures] = defaultdict(ModeFigures)
    for review in held:
        _count(review, figures[review.mode], results, replaced)
    return dict(figures)


def render(figures: Mapping[str, ModeFigures]) -> str:
    """Return the report as text for a terminal."""
    if not figures:
        return "The store holds no reviews."
    return "\n\n".join(_render_mode(mode, figures[mode]) for mode in sorted(figures))


def to_json(figures: Mapping[str, ModeFigures]) -> dict[str, Any]:
    """Return the figures as plain data; times as their median and 95th percentile, in ms."""
    return {mode: _plain(found) for mode, found in figures.items()}


def _plain(found: ModeFigures) -> dict[str, Any]:
    # `asdict` would take a Counter apart.
    return {
        "reviews": found.reviews,
        "decisions": dict(found.decisions),
        "unjudged": dict(found.unjudged),
        "findings": dict(found.findings),
        "effects": dict(found.effects),
        "review_ms": _percentiles(found.total_ms),
        "samples": found.samples,
        "samples_allowed": found.samples_allowed,
        "tools": {
            name: {
                "fates": dict(tool.fates),
                "failed": dict(tool.failed),
                "succeeded": dict(tool.succeeded),
            }
            for name, tool in found.tools.items()
        },
    }


def _count(
    review: ReviewRecord,
    figures: ModeFigures,
    results: Mapping[tuple[str, str | None], Sequence[OutcomeRecord]],
    replaced: Container[tuple[str, int]],
) -> None:
    figures.decisions[review.decision] += 1
    figures.total_ms.append(review.total_ms)
    if not review.judged:
        figures.unjudged[(review.unjudged_reason or "unknown").split(":")[0]] += 1
    if review.samples_allowed is not None:
        # A correction lists its draft again, and its budget is the one of its first round.
        figures.samples += len(review.candidates) - (review.round > 0)
        figures.samples_allowed += 0 if review.round else review.samples_allowed
    chosen = review.candidates[review.chosen]
    for index, call in enumerate(chosen.calls):
        if (review.id, index) in replaced:
            continue
        fate = _fate(call, review)
        tool = figures.tools.setdefault(call.name or "(no name)", ToolFigures())
        tool.fates[fate] += 1
        known = outcomes_of(call, results.get((call.id or "", review.conversation_id), ()))
        if known:
            side = tool.succeeded if all(o.ok for o in known) else tool.failed
            side[fate] += 1
        if fate != "passed":
            figures.effects[call.effect or "unknown"] += 1
            figures.findings.update({f.code for f in chosen.findings if f.call in (index, None)})


def _replaced(reviews: Sequence[ReviewRecord]) -> set[tuple[str, int]]:
    """Return the calls that were edited and reviewed again, by review id and index.

    A review of an edit has the edited calls alone, under their old ids; what else the turn held
    keeps its fate. A draft that was sent back is no edit: it counts as corrected.
    """
    by_id = {review.id: review for review in reviews}
    latest: dict[tuple[str, str | None], tuple[str, int]] = {}
    replaced: set[tuple[str, int]] = set()
    for review in sorted(reviews, key=lambda review: review.created_at):
        parent = by_id.get(review.parent_id or "")
        if parent is None or parent.decision == "correct":
            continue
        edited, before = _calls(review), _calls(parent)
        ids = {call.id for call in edited if call.id} & {call.id for call in before}
        replaced.update(
            (parent.id, index)
            for index, call in enumerate(before)
            if call.id in ids or not ids  # without ids in common it stands in for the whole turn
        )
        for index, call in enumerate(edited):
            earlier = latest.get((parent.id, call.id))
            if earlier is not None and earlier[0] != review.id:  # edited, and edited once more
                replaced.add(earlier)
            latest[parent.id, call.id] = (review.id, index)
    return replaced


def _calls(review: ReviewRecord) -> Sequence[CallRecord]:
    return review.candidates[review.chosen].calls


def _fate(call: CallRecord, review: ReviewRecord) -> Fate:
    if call.verdict == "approve" and review.decision != "correct":
        return "passed"
    if review.decision == "correct":
        return "corrected"
    return "escalated" if call.verdict == "escalate" else "blocked"


def _render_mode(mode: str, figures: ModeFigures) -> str:
    would = mode == "shadow"
    times = _percentiles(figures.total_ms)
    lines = [
        f"{mode}: {figures.reviews} reviews"
        + (", nothing was changed; this is what would have been" if would else ""),
        "  decisions   " + _listed(figures.decisions),
        f"  review      {times['p50']:.1f} ms p50, {times['p95']:.1f} ms p95",
    ]
    if figures.unjudged:
        lines.append("  not judged  " + _listed(figures.unjudged))
    if figures.samples_allowed:
        saved = 1 - figures.samples / figures.samples_allowed
        lines.append(
            f"  samples     {figures.samples} of the {figures.samples_allowed} that a fixed N "
            f"draws: {saved:.0%} saved"
        )
    if figures.effects:
        lines.append("  stopped     " + _listed(figures.effects))
    if figures.findings:
        lines.append("  because of  " + _listed(figures.findings, most=6))
    return "\n".join([*lines, "", *_tool_table(figures, would)])


def _tool_table(figures: ModeFigures, would: bool) -> list[str]:
    prefix = "would be " if would else ""
    header = ["tool", "calls", "passed", *(f"{prefix}{fate}" for fate in FATES[1:])]
    if would:
        header.append("of these ran well")
    rows = [header]
    ordered = sorted(figures.tools.items(), key=lambda item: (-item[1].fates.total(), item[0]))
    for name, tool in ordered:
        row = [name[:40], str(tool.fates.total()), *(str(tool.fates[fate]) for fate in FATES)]
        if would:
            stopped = sum(tool.succeeded[fate] for fate in FATES[1:])
            known = stopped + sum(tool.failed[fate] for fate in FATES[1:])
            row.append(f"{stopped} of {known}" if known else "-")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _listed(counts: Counter[str], most: int | None = None) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(most)) or "none"


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        only = values[0] if values else 0.0
        return {"p50": only, "p95": only}
    return {
        "p50": statistics.median(values),
        "p95": statistics.quantiles(values, n=20, method="inclusive")[-1],
    }
