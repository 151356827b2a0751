"""One conversation as a page: what was said, proposed, found and decided, in order."""

import json
from collections import Counter
from collections.abc import Sequence

from toolrm_guard import page
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.page import shortened
from toolrm_guard.records import (
    CallRecord,
    CandidateRecord,
    MessageRecord,
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
)
from toolrm_guard.traces.listing import outcomes_of_review


def conversation_page(reviews: Sequence[ReviewRecord], index: OutcomeIndex, *, store: str) -> str:
    """Return the page.

    Args:
        reviews: Of one conversation, oldest first.
        index: Outcomes of the store.
        store: Its name.

    Raises:
        ConfigurationError: If there is no review.
    """
    if not reviews:
        raise ConfigurationError("this conversation has no review in the store")
    name = reviews[0].conversation_id or reviews[0].id
    body, shown = [_head(reviews, name, store)], list[MessageRecord]()
    for review in reviews:
        fresh = _fresh(review.messages, shown)
        body.append(page.messages(fresh))
        shown = list(review.messages)
        body.append(_review(review, outcomes_of_review(review, index)))
    body.append(_tools(reviews[-1]))
    return page.document(f"Conversation {name}", "".join(body))


def _head(reviews: Sequence[ReviewRecord], name: str, store: str) -> str:
    counts = Counter(review.decision for review in reviews)
    chips = " ".join(
        page.chip(f"{count} {page.SAYS[decision]}", page.KINDS[decision])
        for decision, count in counts.most_common()
    )
    first, last = reviews[0].created_at, reviews[-1].created_at
    shadow = sum(review.mode == "shadow" for review in reviews)
    watched = f" In {shadow} of them the guard only watched." if shadow else ""
    return (
        f"<h1>Conversation {page.text(name, 200)}</h1>"
        f'<p class="quiet">{len(reviews)} reviews, {first:%Y-%m-%d %H:%M:%S} to '
        f"{last:%H:%M:%S} UTC, from {page.text(store, 200)}.{watched}</p><p>{chips}</p>"
    )


def _fresh(
    messages: Sequence[MessageRecord], shown: Sequence[MessageRecord]
) -> Sequence[MessageRecord]:
    """Return the messages after those that the page has shown already."""
    same = 0
    for new, old in zip(messages, shown, strict=False):
        if _content(new) != _content(old):
            break
        same += 1
    return messages[same:]


def _content(record: MessageRecord) -> object:
    return record.role, record.text, [(call.name, call.arguments) for call in record.calls]


def _review(review: ReviewRecord, outcomes: Sequence[OutcomeRecord]) -> str:
    says = page.SAYS[review.decision]
    if review.mode == "shadow":
        says = f"shadow: would be {says}; the model's own proposal ran"
    again = f"correction {review.round}" if review.round else ""
    if review.parent_id and not review.round:
        again = "edited and reviewed again"
    facts = [
        f"{review.created_at:%H:%M:%S}",
        f"{review.scorer} {(review.scorer_fingerprint or '')[:8]}".rstrip(),
        f"{review.total_ms:.1f} ms",
        f"review {review.id[:10]}",
    ]
    unjudged = (
        ""
        if review.judged
        else f'<p class="bad">The guard could not judge: {page.text(review.unjudged_reason)}</p>'
    )
    critique = (
        f"<details><summary>What the model was told</summary>{page.said(review.critique)}</details>"
        if review.critique
        else ""
    )
    return (
        f'<section class="card"><div class="head">{page.chip(says, page.KINDS[review.decision])}'
        f"{page.chip(again) if again else ''}"
        f'<span class="quiet">{page.text("  ·  ".join(facts))}</span></div>{unjudged}'
        f"{_candidates(review)}{critique}{_outcomes(outcomes)}</section>"
    )


def _candidates(review: ReviewRecord) -> str:
    """Return the distinct candidates: the chosen one first, then by falling probability."""
    counts = Counter(_key(candidate) for candidate in review.candidates)
    first: dict[str, int] = {}
    for number, candidate in enumerate(review.candidates):
        first.setdefault(_key(candidate), number)
    first[_key(review.candidates[review.chosen])] = review.chosen
    order = sorted(
        first.items(),
        key=lambda item: (
            item[1] != review.chosen,
            -(review.candidates[item[1]].probability or 0.0),
            item[1],
        ),
    )
    parts = [
        candidate_block(
            review.candidates[number],
            label="chosen" if number == review.chosen else "",
            count=counts[key],
            chosen=number == review.chosen,
        )
        for key, number in order
    ]
    most = 3
    if len(parts) <= most:
        return "".join(parts)
    rest = f"{len(parts) - most} more distinct candidates"
    return (
        "".join(parts[:most])
        + f"<details><summary>{rest}</summary>{''.join(parts[most:])}</details>"
    )


def candidate_block(
    candidate: CandidateRecord, *, label: str = "", count: int = 1, chosen: bool = False
) -> str:
    """Return one candidate with score, calls, verdicts and findings."""
    verdicts = "".join(
        f'<p><small class="{"good" if call.verdict == "approve" else "bad"}">'
        f"{page.text(call.name, 80)}: {call.verdict}</small> "
        f'<small class="quiet">{page.text(_reason(call))}</small></p>'
        for call in candidate.calls
        if call.verdict
    )
    drawn = f'<span class="quiet">drawn {count} times</span>' if count > 1 else ""
    return (
        f'<div class="candidate{" chosen" if chosen else ""}"><div class="row">'
        f"{page.bar(candidate.probability)}{page.chip(label) if label else ''}{drawn}</div>"
        f"{page.said(candidate.text)}{page.calls(candidate.calls)}{verdicts}"
        f"{page.findings(candidate.findings)}</div>"
    )


def _reason(call: CallRecord) -> str:
    return " · ".join(part for part in (call.effect, shortened(call.reason, 600)) if part)


def _outcomes(outcomes: Sequence[OutcomeRecord]) -> str:
    items = "".join(
        f"<li>{page.chip(f'{o.kind}: ' + ('ok' if o.ok else 'not ok'), 'good' if o.ok else 'bad')} "
        f"{page.text(o.label, 80)} {page.text(o.content, 600)}</li>"
        for o in outcomes
    )
    return f"<h2>What became of it</h2><ul>{items}</ul>" if items else ""


def _tools(review: ReviewRecord) -> str:
    shown = "".join(
        f"<pre><b>{page.text(tool.get('name'), 200)}</b> "
        f"{page.text(json.dumps(tool, ensure_ascii=False, indent=1))}</pre>"
        for tool in review.tools
    )
    return f"<details><summary>{len(review.tools)} tools on offer</summary>{shown}</details>"


def _key(candidate: CandidateRecord) -> str:
    return json.dumps([candidate.text, [(c.name, c.arguments) for c in candidate.calls]])
