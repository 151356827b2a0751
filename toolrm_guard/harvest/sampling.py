"""Which pairs are worth their place: the doubtful ones, and of every tool its share."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar, get_args

from toolrm_guard.effects import effect_by_name
from toolrm_guard.harvest.labels import HarvestedPair, LabelSource
from toolrm_guard.records import (
    CandidateRecord,
    ReviewRecord,
    candidate_from_record,
    effects_by_tool,
)
from toolrm_guard.tools import Effect

Select = Literal["uncertain", "disagreement", "all"]
_K = TypeVar("_K")

UNCERTAIN = (0.35, 0.65)
"""Probabilities in which the scorer hardly says more than a coin."""

_STRENGTH: Mapping[LabelSource, int] = {
    label: rank for rank, label in enumerate(get_args(LabelSource))
}
_SEVERITY: Sequence[Effect] = ("destructive", "write", "read")


def is_selected(pair: HarvestedPair, select: Select) -> bool:
    """Tell whether a pair is one of those asked for.

    `uncertain`: a side has a probability near 1/2. `disagreement`: no turn has the majority of the
    review's candidates, or the scorer stood against what became known: it gave the right side less
    than 1/2, or the wrong one at least as much as the right one.
    """
    if select == "all":
        return True
    chosen, rejected = pair.chosen.probability, pair.rejected.probability
    if select == "uncertain":
        low, high = UNCERTAIN
        return any(p is not None and low <= p <= high for p in (chosen, rejected))
    if pair.label != "score" and chosen is not None and chosen < 0.5:
        return True
    if pair.rejected_by in ("outcome", "human") and rejected is not None:
        return rejected >= 0.5 or (chosen is not None and rejected >= chosen)
    return not _agree(pair.review.candidates)


def _agree(candidates: Sequence[CandidateRecord]) -> bool:
    votes = Counter(candidate_from_record(candidate).canonical for candidate in candidates)
    return votes.most_common(1)[0][1] * 2 > len(candidates)


def effects_of(reviews: Sequence[ReviewRecord]) -> Callable[[str], Effect]:
    """Return effect classes as the application's policy gave them, else by the tool's name."""
    recorded = effects_by_tool(reviews)
    return lambda name: recorded.get(name) or effect_by_name(name)


def stratum(pair: HarvestedPair, effect_of: Callable[[str], Effect]) -> tuple[str, str]:
    """Return effect class and tool of what may do most harm on the chosen side.

    A chosen side without a call is an `answer`, and its tool is the one that was not to be called.
    """
    calls = pair.chosen.calls
    if not calls:
        return "answer", pair.rejected.calls[0].name if pair.rejected.calls else ""
    name = min((call.name for call in calls), key=lambda name: _SEVERITY.index(effect_of(name)))
    return effect_of(name), name


def balanced(
    pairs: Mapping[str, HarvestedPair],
    strata: Mapping[str, tuple[str, str]],
    *,
    per_tool: int,
    limit: int | None,
    seed: int,
) -> set[str]:
    """Return the ids to keep: at most `per_tool` a tool, and `limit` in all.

    The limit is filled as evenly as sizes allow, first over effect classes, then over the tools of
    each. Inside a tool stronger labels go first, then a hash.

    Args:
        pairs: By id.
        strata: (effect class, tool) by id.
        per_tool: Most pairs of one tool in one effect class.
        limit: Most pairs in all; None for no limit.
        seed: Of the hash.
    """
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    ordered = sorted(pairs, key=lambda key: (_STRENGTH[pairs[key].label], _hash(seed, key)))
    for key in ordered:
        effect, tool = strata[key]
        if len(groups[effect][tool]) < per_tool:
            groups[effect][tool].append(key)
    sizes = {effect: sum(map(len, tools.values())) for effect, tools in sorted(groups.items())}
    quotas = water_fill(sizes, sum(sizes.values()) if limit is None else limit)
    kept: set[str] = set()
    for effect, quota in quotas.items():
        tools = groups[effect]
        shares = water_fill({tool: len(tools[tool]) for tool in sorted(tools)}, quota)
        for tool, share in shares.items():
            kept.update(tools[tool][:share])
    return kept


def water_fill(sizes: Mapping[_K, int], total: int) -> dict[_K, int]:
    """Return how much of each group to take: as equal as sizes allow, at most `total` in all."""
    left, open_groups = total, len(sizes)
    quotas: dict[_K, int] = {}
    for key in sorted(sizes, key=lambda key: sizes[key]):
        quotas[key] = min(sizes[key], left // open_groups)
        left -= quotas[key]
        open_groups -= 1
    return quotas


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
