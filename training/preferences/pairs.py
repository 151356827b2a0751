"""Permute a context's responses to pairs with s+ > s-, held as links: who against whom.

A link carries what sampling and splitting need to know of a pair. The context itself stays in the
stage before and is joined again at the end, so a pair costs bytes and not pages.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import permutations

from training.preferences.codec import digest, prompt_key, shown_key, toolset_key, turn_key
from training.preferences.rows import Context, Dropped, Response
from training.preferences.scoring import is_edit

STAGE = "pairs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One pair, its context left out.

    Attributes:
        id: The context's id and the numbers of the two responses.
        chosen: Number of the response that scored higher.
        rejected: Number of the other.
        intensity: s+ - s-, in (0, 1].
        complexity: Calls plus arguments of the chosen side.
        natural: Whether a model wrote the rejected side by itself.
        prompt: Hash of the messages; no prompt may stand on both sides of a split.
        toolset: Hash of the tools' names; likewise. Empty where no tool is offered.
        group: The source and its own unit; likewise.
        content: Hash of messages, tools and both sides; equal links teach the same.
    """

    id: str
    source: str
    chosen: int
    rejected: int
    intensity: float
    complexity: int
    natural: bool
    prompt: str
    toolset: str
    group: str
    content: str

    def to_json(self) -> str:
        """Return compact JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Link":
        """Read back a link."""
        return cls(**json.loads(text))


def pairs(
    context: Context,
    *,
    edits_chosen: bool = False,
    max_complexity: int = 50,
    max_per_context: int | None = None,
    seed: int = 0,
) -> Iterator[Link | Dropped]:
    """Yield the links of a context, and what is too complex or too many.

    See `PairsConfig` for the settings.
    """
    prompt, shown, toolset = prompt_key(context), shown_key(context), toolset_key(context)
    links: list[Link] = []
    numbered = list(enumerate(context.responses))
    keys = [turn_key(response) for response in context.responses]
    for (first, chosen), (second, rejected) in permutations(numbered, 2):
        intensity = round((chosen.score or 0.0) - (rejected.score or 0.0), 9)
        if intensity <= 0 or (is_edit(chosen) and not edits_chosen):
            continue
        link = Link(
            id=f"{context.id}:{first}>{second}",
            source=context.source,
            chosen=first,
            rejected=second,
            intensity=intensity,
            complexity=complexity(chosen),
            natural=not is_edit(rejected),
            prompt=prompt,
            toolset=toolset,
            group=digest(f"{context.source}\n{context.group}"),
            content=digest(f"{shown}\n{keys[first]}\n{keys[second]}"),
        )
        if link.complexity > max_complexity:
            detail = f"{link.complexity} calls and arguments; {max_complexity} are allowed"
            yield Dropped(stage=STAGE, reason="too_complex", id=link.id, detail=detail)
        else:
            links.append(link)
    yield from _capped(links, max_per_context, seed)


def complexity(response: Response) -> int:
    """Return the number of calls plus the number of their arguments."""
    return len(response.calls) + sum(len(call["arguments"]) for call in response.calls)


def _capped(links: list[Link], limit: int | None, seed: int) -> Iterator[Link | Dropped]:
    if limit is None or len(links) <= limit:
        yield from links
        return
    drawn = sorted(links, key=lambda link: digest(f"{seed}\n{link.id}"))
    kept = {link.id for link in drawn[:limit]}
    for link in links:
        if link.id in kept:
            yield link
        else:
            detail = f"the context has {len(links)} pairs; {limit} are kept"
            yield Dropped(stage=STAGE, reason="context_full", id=link.id, detail=detail)
