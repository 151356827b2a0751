"""The whole way from stored records to the pairs that are kept, with every loss counted."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from toolrm_guard.harvest.labels import (
    MIN_MARGIN,
    HarvestedPair,
    LabelSource,
    RejectedBy,
    labelled,
)
from toolrm_guard.harvest.near import SIMILAR, distinct, normal
from toolrm_guard.harvest.rows import Kept
from toolrm_guard.harvest.sampling import Select, balanced, effects_of, is_selected, stratum
from toolrm_guard.harvest.split import split
from toolrm_guard.records import (
    CandidateRecord,
    MessageRecord,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
    message_from_record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is kept of the pairs that a store holds.

    Attributes:
        select: `uncertain` and `disagreement` keep what teaches most; `all` keeps everything.
        min_margin: Least difference of probability where only scores say that a side is worse.
        similar: Jaccard similarity of prompts from which two equal decisions are near-duplicates.
        per_tool: Most pairs of one tool in one effect class.
        limit: Most pairs in all, filled evenly over effect classes and tools; None for no limit.
        validation: Share of the pairs that may be held out.
        seed: Of every choice that is left to chance.
    """

    select: Select = "all"
    min_margin: float = MIN_MARGIN
    similar: float = SIMILAR
    per_tool: int = 500
    limit: int | None = None
    validation: float = 0.1
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Funnel:
    """How many went in, how many came out, and why the others did not.

    Attributes:
        reviews: In the store.
        unused: Reviews that gave no pair, by reason.
        pairs: That the other reviews gave.
        dropped: Of these, by reason.
        kept: Pairs that are written.
        sides: Of these, by side of the split.
        labels: Of these, by what says that the chosen side is right.
        rejected_by: Of these, by what says that the rejected side is worse.
        strata: Of these, by effect class and tool.
    """

    reviews: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    sides: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    strata: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return plain data, counts by falling size."""
        return {
            name: value if isinstance(value, int) else dict(_by_size(value))
            for name in self.__slots__
            for value in [getattr(self, name)]
        }

    def render(self) -> str:
        """Return the funnel as text for a terminal."""
        lines = [f"{self.reviews:>7,}  reviews in the store"]
        lines += [f"{-count:>7,}  {reason}" for reason, count in _by_size(self.unused)]
        lines += [f"{self.pairs:>7,}  pairs"]
        lines += [f"{-count:>7,}  {reason}" for reason, count in _by_size(self.dropped)]
        lines += [f"{self.kept:>7,}  pairs kept: {_listed(self.sides)}"]
        if self.kept:
            lines += [
                f"{'':>9}chosen side by {_listed(self.labels)}",
                f"{'':>9}rejected side by {_listed(self.rejected_by)}",
                f"{'':>9}{_listed(self.strata, most=6)}",
            ]
        return "\n".join(lines)


def harvest(
    reviews: Iterable[ReviewRecord], outcomes: Iterable[OutcomeRecord], settings: Settings
) -> tuple[list[Kept], Funnel]:
    """Return the pairs to write, oldest decision first, and the funnel. Pure and deterministic.

    Args:
        reviews: Of a store, in any order.
        outcomes: Of the same store.
        settings: What is kept.
    """
    every = sorted(reviews, key=lambda review: (review.created_at, review.id))
    funnel = Funnel(reviews=len(every))
    found: dict[str, HarvestedPair] = {}
    numbers: Counter[str] = Counter()
    for item in labelled(every, outcomes, min_margin=settings.min_margin):
        if isinstance(item, HarvestedPair):
            found[f"{item.review.id}:{numbers[item.review.id]}"] = item
            numbers[item.review.id] += 1
        else:
            funnel.unused[item.reason] += 1
    funnel.pairs = len(found)
    chosen = _distinct(found, settings, funnel)
    effect_of = effects_of(every)
    strata = {key: stratum(pair, effect_of) for key, pair in chosen.items()}
    within = balanced(
        chosen, strata, per_tool=settings.per_tool, limit=settings.limit, seed=settings.seed
    )
    if len(within) < len(chosen):
        funnel.dropped["over the share of its tool"] = len(chosen) - len(within)
    keys = [key for key in chosen if key in within]
    rooted = {review.id: _root(review) for review in every}
    return _sided(keys, chosen, strata, rooted, settings, funnel)


def _distinct(
    found: Mapping[str, HarvestedPair], settings: Settings, funnel: Funnel
) -> dict[str, HarvestedPair]:
    """Return the selected pairs without near-duplicates; of these the best labelled one stays."""
    selected = {key: pair for key, pair in found.items() if is_selected(pair, settings.select)}
    if left := len(found) - len(selected):
        funnel.dropped[f"not of kind {settings.select!r}"] = left
    strongest = sorted(selected, key=lambda key: _weakness(selected[key]))
    words = {review.id: latest_text(review) for review in (p.review for p in selected.values())}
    kept = distinct(
        {key: (_sides(selected[key]), words[selected[key].review.id]) for key in strongest},
        settings.similar,
    )
    if left := len(selected) - len(kept):
        funnel.dropped["near-duplicate"] = left
    return {key: pair for key, pair in selected.items() if key in kept}


def _sided(
    keys: Sequence[str],
    pairs: Mapping[str, HarvestedPair],
    strata: Mapping[str, tuple[str, str]],
    rooted: Mapping[str, str],
    settings: Settings,
    funnel: Funnel,
) -> tuple[list[Kept], Funnel]:
    roots = [_root(pairs[key].review) for key in keys]
    linked = [
        # The rejected side may come from another conversation.
        [f"c{root}", f"c{rooted[pairs[key].rejected_in]}", f"p{_prompt_words(pairs[key].review)}"]
        for key, root in zip(keys, roots, strict=True)
    ]
    sides = split(linked, settings.validation, settings.seed)
    kept = [
        Kept(
            id=key,
            pair=pairs[key],
            side=side,
            effect=strata[key][0],
            tool=strata[key][1],
            root=root,
        )
        for key, side, root in zip(keys, sides, roots, strict=True)
    ]
    funnel.kept = len(kept)
    funnel.sides.update(item.side for item in kept)
    funnel.labels.update(item.pair.label for item in kept)
    funnel.rejected_by.update(item.pair.rejected_by for item in kept)
    funnel.strata.update(f"{item.effect} {item.tool}".strip() for item in kept)
    return kept, funnel


def prompt_text(review: ReviewRecord) -> str:
    """Return the conversation before the turn as plain text; the tools are left out."""
    return _as_text(review.messages)


def latest_text(review: ReviewRecord) -> str:
    """Return what the turn answers: the last words of the user, and what came since.

    What all prompts share, such as a long system message, would make any two of them alike.
    """
    last = [n for n, message in enumerate(review.messages) if message.role == "user"][-1:]
    return _as_text(review.messages[last[0] :] if last else review.messages)


def _as_text(messages: Sequence[MessageRecord]) -> str:
    lines = []
    for record in messages:
        message = message_from_record(record)
        lines.append(f"{message.role}: {message.text}")
        lines += [call.canonical for call in message.calls]
    return "\n".join(lines)


def _prompt_words(review: ReviewRecord) -> str:
    words = normal(prompt_text(review))
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def _sides(pair: HarvestedPair) -> tuple[str, str]:
    return _said(pair.chosen), _said(pair.rejected)


def _said(candidate: CandidateRecord) -> str:
    calls = candidate_from_record(candidate).canonical
    return normal(calls or f"text: {candidate.text}")


def _root(review: ReviewRecord) -> str:
    return review.conversation_id or review.id


def _weakness(pair: HarvestedPair) -> tuple[int, int, float]:
    """Return a key that sorts the best labelled and clearest pair first."""
    label, rejected = get_args(LabelSource), get_args(RejectedBy)
    return label.index(pair.label), rejected.index(pair.rejected_by), -(pair.margin or 0.0)


def _by_size(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _listed(counts: Counter[str], most: int | None = None) -> str:
    found = _by_size(counts)
    shown = ", ".join(f"{name} {count:,}" for name, count in found[:most])
    more = len(found) - len(found[:most])
    return (shown or "none") + (f" and {more} more" if more else "")
