"""Labelled packs as decisions short enough to train a small model on one CPU core.

Cost grows with every token, so a context keeps the tools that its candidates call and a few others,
and a few candidates: right ones, and of the wrong ones those first that differ from a right one in
values alone, since everything else is caught by cheaper means.

A small model that is shown many contexts where text is right learns to tell text from calls and
little else (training/LOG.md), so their share can be bounded.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from toolrm_guard.calls import Candidate
from toolrm_guard.tools import ToolSet
from training.decisions import Decision, from_groups
from training.lite_data import Group

_LATIN = 0x24F
"""The last letter of Unicode's Latin Extended-B."""


def short_decisions(
    groups: Sequence[Group], *, seed: int, tools: int, candidates: int,
    texts: float = 1.0, latin: bool = False,
) -> list[Decision]:  # fmt: skip
    """Return shortened decisions in a random order.

    Args:
        groups: From `lite_data.make_groups`; pools repeat others and are left out.
        seed: Of every draw.
        tools: Most tools that are offered.
        candidates: Most candidates of a decision, one or two of them right.
        texts: Largest share of decisions in which a text turn is right.
        latin: Leave out contexts in another script, for a base that cannot read it.
    """
    rng = random.Random(seed)
    own = [group for group in groups if not group.pool and not (latin and _foreign(group))]
    rng.shuffle(own)
    shortened = (_shortened(group, rng, tools, candidates) for group in own)
    decisions = from_groups([group for group in shortened if group is not None])
    return _fewer_texts(decisions, texts)


def _fewer_texts(decisions: Sequence[Decision], share: float) -> list[Decision]:
    """Return the decisions, those where text is right only up to a share, the last left out."""
    text = [any(not d.request.candidates[a].calls for a, _ in d.pairs) for d in decisions]
    room = int(share * (len(text) - sum(text)) / (1 - share)) if share < 1 else len(text)
    kept = []
    for decision, is_text in zip(decisions, text, strict=True):
        room -= is_text
        if not is_text or room >= 0:
            kept.append(decision)
    return kept


def _foreign(group: Group) -> bool:
    """Tell whether a fifth or more of what was said is in another script than Latin."""
    said = "".join(message.text for message in group.request.messages)
    return sum(ord(char) > _LATIN for char in said) * 5 >= len(said) > 0


def _shortened(group: Group, rng: random.Random, tools: int, candidates: int) -> Group | None:
    """Return the group with fewer tools and candidates; None if more tools are called."""
    request = group.request
    good = [i for i, right in enumerate(group.right) if right]
    bad = [i for i, right in enumerate(group.right) if not right]
    if not good or not bad or len(request.messages) > 6:
        return None
    rng.shuffle(good)
    rng.shuffle(bad)
    kept = good[: 2 if rng.random() < 0.3 else 1]
    answers = [request.candidates[i] for i in kept]
    bad.sort(key=lambda i: not any(_same_calls(request.candidates[i], a) for a in answers))
    # Two of three wrong ones differ in values alone; the rest is drawn from all.
    room = candidates - len(kept)
    values_first = bad[: max(1, 2 * room // 3)]
    others = [i for i in bad if i not in values_first]
    rng.shuffle(others)
    kept += (values_first + others)[:room]
    shown = [request.candidates[i] for i in kept]
    used = {call.name for c in shown for call in c.calls if call.name in request.tools}
    used |= {call.name for m in request.messages for call in m.calls if call.name in request.tools}
    if len(used) > tools:
        return None
    spare = [name for name in request.tools if name not in used]
    rng.shuffle(spare)
    offered = used | set(spare[: rng.randint(0, tools - len(used))])
    toolset = ToolSet(tool for name, tool in request.tools.items() if name in offered)
    return replace(
        group,
        request=replace(request, tools=toolset, candidates=tuple(shown)),
        right=tuple(group.right[i] for i in kept),
        errors=tuple(group.errors[i] for i in kept),
    )


def _same_calls(one: Candidate, other: Candidate) -> bool:
    """Tell whether two turns call the same functions and so differ in values alone."""
    return [c.name for c in one.calls] == [c.name for c in other.calls]
