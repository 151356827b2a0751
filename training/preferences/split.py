"""Split without leaks: no prompt, no set of tools and no group of a source on both sides.

A prompt is its messages, whatever tools stand beside it. A single tool may stand on both sides in
different sets; the card counts how many do.

Pairs that share any of the three hang together; such a component goes to one side as a whole.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from training.preferences.codec import digest
from training.preferences.pairs import Link

Side = Literal["train", "validation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where each pair goes.

    Attributes:
        sides: One per link, in order.
        components: How many components there are.
        largest: Pairs in the largest component, and its sources.
        without_validation: Sources none of which is held out, with the size of their smallest
            component: it did not fit.
    """

    sides: tuple[Side, ...]
    components: int
    largest: tuple[int, tuple[str, ...]]
    without_validation: Mapping[str, int]


def split(links: Sequence[Link], validation: int, seed: int) -> Split:
    """Hold out up to `validation` pairs, each source for its share where its components allow.

    Whole components in the order of their hash: first within each source's share, then whatever
    still fits. Fewer pairs are held out, never a component in part.
    """
    members = _components(links)
    order = sorted(members, key=lambda root: digest(f"{seed}\n{links[root].id}"))
    sizes = {root: Counter(links[i].source for i in members[root]) for root in members}
    totals = Counter(link.source for link in links)
    share = {s: round(validation * count / max(len(links), 1)) for s, count in totals.items()}
    held: set[int] = set()
    taken: Counter[str] = Counter()
    for strict in (True, False):
        for root in order:
            size = sizes[root]
            if root in held or taken.total() + size.total() > validation:
                continue
            if strict and any(taken[s] + count > share[s] for s, count in size.items()):
                continue
            held.add(root)
            taken += size
    sides: list[Side] = ["train"] * len(links)
    for root in held:
        for index in members[root]:
            sides[index] = "validation"
    largest = max(members, key=lambda root: (len(members[root]), -root)) if members else None
    return Split(
        sides=tuple(sides),
        components=len(members),
        largest=(0, ()) if largest is None
        else (len(members[largest]), tuple(sorted(sizes[largest]))),
        without_validation={
            source: min(size.total() for size in sizes.values() if source in size)
            for source in sorted(totals)
            if validation and not taken[source]
        },
    )  # fmt: skip


def _components(links: Sequence[Link]) -> dict[int, list[int]]:
    """Return the members of each component, by its first member."""
    parent = list(range(len(links)))

    def find(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, link in enumerate(links):
        keys = [f"p{link.prompt}", f"g{link.group}"]
        if link.toolset:  # offering nothing is nothing to leak
            keys.append(f"t{link.toolset}")
        for key in keys:
            left, right = find(first.setdefault(key, index)), find(index)
            parent[max(left, right)] = min(left, right)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(links)):
        members[find(index)].append(index)
    return dict(members)
