"""The decisions that a replay would change, as one page."""

from toolrm_guard import page
from toolrm_guard.records import ReviewRecord
from toolrm_guard.redaction import DEFAULT
from toolrm_guard.replay.cases import Judgement
from toolrm_guard.replay.comparison import Change, Comparison
from toolrm_guard.replay.gate import Verdict

MOST = 200
"""Changes that are shown in full; the page says how many it leaves out."""

_RIGHT = {True: ("ran, and was right", "good"), False: ("ran, and was wrong", "bad")}


def replay_page(
    found: Comparison, *, baseline: str, scorer: str, store: str, verdict: Verdict | None
) -> str:
    """Return the page; secrets leave what is shown.

    Args:
        found: Of the replay.
        baseline: Its name.
        scorer: Its name.
        store: Name of the store.
        verdict: Of the gate, if there was one.
    """
    shown = found.changes[:MOST]
    left = len(found.changes) - len(shown)
    more = f'<p class="quiet">{left:,} more changes are not shown.</p>' if left else ""
    title = f"{len(found.changes):,} of {found.judged:,} decisions would change"
    body = (
        f"<h1>{title}</h1>"
        f'<p class="quiet">{page.text(scorer, 200)} in place of {page.text(baseline, 200)}, on '
        f"{found.reviews:,} reviews of {page.text(store, 200)}.</p>"
        f"{_gate(verdict)}{_figures(found)}{_unjudged(found)}"
        f"{''.join(_change(change, baseline, scorer) for change in shown)}{more}"
    )
    return page.document(title, body)


def _gate(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    label = page.chip("gate passed", "good") if verdict.passed else page.chip("gate failed", "bad")
    lines = "".join(f"<li>{page.text(line)}</li>" for line in verdict.lines)
    return f"<p>{label}</p><ul>{lines}</ul>"


def _figures(found: Comparison) -> str:
    if not found.known:
        return "<p>No compared review has a known outcome, so nothing says which is better.</p>"
    rows = "".join(
        f"<tr><td>{page.text(said)}</td><td>{share(getattr(found.base, name))}</td>"
        f"<td>{share(getattr(found.new, name))}</td></tr>"
        for name, said in FIGURES.items()
    )
    return (
        "<table><tr><th>where the outcome is known</th><th>before</th><th>after</th></tr>"
        f"{rows}</table><p>{page.text(significance(found))}</p>"
    )


FIGURES = {
    "accuracy": "decided right",
    "false_block": "right, and withheld",
    "false_pass": "wrong, and let pass",
    "replaced": "right, and replaced by another candidate",
}
"""Names of `Figures`, in words."""


def share(value: float | None) -> str:
    """Return a share as per cent, a dash for one of nothing."""
    return "-" if value is None else f"{value:.1%}"


def significance(found: Comparison) -> str:
    """Return what the paired test and the interval say, with their numbers."""
    interval = (
        f", 95% interval {found.interval[0]:+.1%} to {found.interval[1]:+.1%} over conversations"
        if found.interval
        else ""
    )
    return (
        f"{found.right:,} right and {found.wrong:,} wrong turns are known. {found.gained} are "
        f"decided right only after, {found.lost} only before: exact McNemar p = "
        f"{found.p_value:.3g}; difference {found.difference:+.1%}{interval}."
    )


def _unjudged(found: Comparison) -> str:
    items = "".join(
        f"<li>{count:,} reviews: {page.text(reason, 300)}</li>"
        for reason, count in sorted(found.unjudged.items(), key=lambda item: (-item[1], item[0]))
    )
    head = f"<p>{found.reviews - found.judged:,} reviews could not be compared:</p>"
    return f"{head}<ul>{items}</ul>" if items else ""


def _change(change: Change, baseline: str, scorer: str) -> str:
    review = DEFAULT.redact_record(change.case.review)
    asked = [message.text for message in review.messages if message.role == "user"][-1:]
    said, kind = ("outcome unknown", "") if change.case.right is None else _RIGHT[change.case.right]
    return (
        f'<section class="card"><div class="head">{page.chip(said, kind)}'
        f'<span class="quiet">review {page.text(review.id[:10])}, conversation '
        f"{page.text(review.conversation_id or '-', 200)}</span></div>"
        f'<div class="message user">{page.said(asked[0] if asked else "")}</div>'
        f'<div class="two">{_side(baseline, change.before, review)}'
        f"{_side(scorer, change.after, review)}</div>{_table(change, review)}</section>"
    )


def _side(name: str, judgement: Judgement, review: ReviewRecord) -> str:
    chosen = review.candidates[judgement.chosen]
    return (
        f'<div><div class="row"><span class="quiet">{page.text(name, 60)}</span>'
        f"{page.chip(page.SAYS[judgement.decision], page.KINDS[judgement.decision])}"
        f"{page.bar(judgement.probabilities[judgement.chosen])}</div>"
        f"{page.said(chosen.text)}{page.calls(chosen.calls)}{page.findings(chosen.findings)}</div>"
    )


def _table(change: Change, review: ReviewRecord) -> str:
    rows = "".join(
        f"<tr><td>{page.calls(candidate.calls) or page.said(candidate.text)}</td>"
        f"<td>{_number(change.before, number)}</td><td>{_number(change.after, number)}</td></tr>"
        for number, candidate in enumerate(review.candidates)
    )
    return (
        f"<details><summary>{len(review.candidates)} candidates</summary><table>"
        f"<tr><th>candidate</th><th>before</th><th>after</th></tr>{rows}</table></details>"
    )


def _number(judgement: Judgement, candidate: int) -> str:
    value = judgement.probabilities[candidate]
    shown = "-" if value is None else f"{value:.2f}"
    return f"<b>{shown}</b>" if candidate == judgement.chosen else shown
