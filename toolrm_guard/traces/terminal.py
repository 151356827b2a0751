"""Reviews in a terminal. Every text of a record is shown as text: no markup, no escape codes."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from toolrm_guard.page import shortened, visible
from toolrm_guard.records import (
    CallRecord,
    CandidateRecord,
    MessageRecord,
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
)
from toolrm_guard.traces.listing import outcomes_of_review, result

_STYLE = {
    "execute": "green", "correct": "yellow", "escalate": "magenta", "reject": "red",
    "right": "green", "wrong": "red", "unknown": "dim",
}  # fmt: skip
_MOST = 2_000


def print_list(console: Console, reviews: Sequence[ReviewRecord], index: OutcomeIndex) -> None:
    """Print one line a review."""
    if not reviews:
        console.print("no review fits")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, width in (("UTC", 11), ("review", 8), ("conversation", 14)):
        table.add_column(name, no_wrap=True, min_width=min(width, 11), max_width=width)
    for name in ("decision", "p", "outcome"):
        table.add_column(name, no_wrap=True)
    table.add_column("calls", overflow="fold", min_width=16)
    for review in reviews:
        chosen = review.candidates[review.chosen]
        known = result(outcomes_of_review(review, index))
        shadow = " (shadow)" if review.mode == "shadow" else ""
        table.add_row(
            f"{review.created_at:%m-%d %H:%M}",
            _text(review.id[:8]),
            _text(review.conversation_id or "-"),
            Text(review.decision + shadow, _STYLE[review.decision]),
            "-" if chosen.probability is None else f"{chosen.probability:.2f}",
            Text(known, _STYLE[known]),
            _text(", ".join(_call(call, 120) for call in chosen.calls) or "(text)"),
        )
    console.print(table)


def print_review(console: Console, review: ReviewRecord, index: OutcomeIndex) -> None:
    """Print one review: context, candidates, scores, findings, verdicts, outcome."""
    console.print(_head(review))
    for message in review.messages:
        console.print(_message(message))
    counts = Counter(_key(candidate) for candidate in review.candidates)
    shown: set[str] = set()
    order = sorted(
        range(len(review.candidates)),
        key=lambda n: (n != review.chosen, -(review.candidates[n].probability or 0.0), n),
    )
    for number in order:
        candidate = review.candidates[number]
        key = _key(candidate)
        if key not in shown:
            shown.add(key)
            console.print(_candidate(candidate, number, review, counts[key]))
    if review.critique:
        console.print(Panel(_text(review.critique), title="critique", title_align="left"))
    for outcome in outcomes_of_review(review, index):
        console.print(_outcome(outcome))


def _head(review: ReviewRecord) -> RenderableType:
    line = Text()
    line.append(review.decision, f"bold {_STYLE[review.decision]}")
    if review.mode == "shadow":
        line.append(" (shadow: the model's own proposal ran)")
    line.append(f"  {visible(review.id)}  {review.created_at:%Y-%m-%d %H:%M:%S} UTC\n", "dim")
    facts = [
        f"conversation {review.conversation_id or '-'}",
        f"scorer {review.scorer} {(review.scorer_fingerprint or '')[:12]}".rstrip(),
        f"{review.total_ms:.1f} ms, {review.scorer_ms:.1f} of them the scorer",
    ]
    if review.parent_id:
        facts.append(f"follows review {review.parent_id}")
    line.append(visible("  ".join(facts)), "dim")
    if not review.judged:
        line.append(f"\nnot judged: {visible(review.unjudged_reason or '')}", "red")
    return line


def _message(record: MessageRecord) -> RenderableType:
    line = Text()
    line.append(visible(f"{record.role} {record.name or ''}".strip() + ": "), "bold")
    line.append(visible(shortened(record.text, _MOST)))
    for call in record.calls:
        line.append(f"\n  {_call(call, _MOST)}", "cyan")
    return line


def _candidate(
    candidate: CandidateRecord, number: int, review: ReviewRecord, count: int
) -> RenderableType:
    parts: list[RenderableType] = []
    if candidate.text.strip():
        parts.append(_text(shortened(candidate.text, _MOST)))
    for call in candidate.calls:
        line = Text(_call(call, _MOST), "cyan")
        if call.verdict:
            style = "green" if call.verdict == "approve" else "red"
            line.append(f"\n  {call.verdict}", style)
            line.append(visible(f" {call.effect or ''} {call.reason}"), "dim")
        parts.append(line)
    for found in candidate.findings:
        style = "red" if found.severity == "error" else "yellow"
        parts.append(Text(visible(f"{found.code}: {shortened(found.message, 400)}"), style))
    score = "no score" if candidate.probability is None else f"p {candidate.probability:.3f}"
    reward = "" if candidate.reward is None else f", reward {candidate.reward:.3f}"
    title = f"candidate {number}{f', drawn {count} times' if count > 1 else ''}: {score}{reward}"
    chosen = number == review.chosen
    return Panel(
        Group(*parts),
        title=Text(f"{title}{', chosen' if chosen else ''}", "bold" if chosen else ""),
        title_align="left",
        border_style=_STYLE[review.decision] if chosen else "dim",
    )


def _outcome(outcome: OutcomeRecord) -> RenderableType:
    line = Text("outcome: ", "bold")
    line.append(f"{outcome.kind} ", "green" if outcome.ok else "red")
    line.append("ok" if outcome.ok else "not ok", "green" if outcome.ok else "red")
    line.append(visible(f"  {outcome.label} {shortened(outcome.content, 500)}"), "dim")
    return line


def _call(call: CallRecord, most: int) -> str:
    if call.defect:
        return visible(f"{call.name}(unreadable: {shortened(call.defect, most)})")
    arguments = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items()
    )
    return visible(shortened(f"{call.name}({arguments})", most))


def _key(candidate: CandidateRecord) -> str:
    return json.dumps([candidate.text, [(c.name, c.arguments) for c in candidate.calls]])


def _text(value: str) -> Text:
    return Text(visible(value))
