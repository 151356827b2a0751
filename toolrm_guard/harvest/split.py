"""Train and validation without leaks: no conversation and no prompt stands on both sides.

Pairs that share either hang together; such a component goes to one side as a whole.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Literal

Side = Literal["train", "validation"]


def split(keys: Sequence[Sequence[Hashable]], share: float, seed: int) -> list[Side]:
    """Return the side of every item.

    Whole components are held out in the order of a hash, as long as they fit into the share; so
    fewer items may be held out than asked for, never more.

    Args:
        keys: Per item, what it must not share with an item of the other side.
        share: Of the items that may be held out, in [0, 1).
        seed: Of the order.
    """
    members = _components(keys)
    room = int(share * len(keys) + 1e-9)  # 0.1 * 30 is a little less than 3
    sides: list[Side] = ["train"] * len(keys)
    # Named by their least key, so that a component keeps its place while others come and go.
    name = {
        root: min((repr(key) for item in items for key in keys[item]), default=str(root))
        for root, items in members.items()
    }
    for root in sorted(members, key=lambda root: (_hash(seed, name[root]), root)):
        if len(members[root]) <= room:
            room -= len(members[root])
            for item in members[root]:
                sides[item] = "validation"
    return sides


def _components(keys: Sequence[Sequence[Hashable]]) -> dict[int, list[int]]:
    """Return the items of each component by its first item."""
    above = list(range(len(keys)))

    def top(item: int) -> int:
        while above[item] != item:
            above[item] = above[above[item]]
            item = above[item]
        return item

    owner: dict[Hashable, int] = {}
    for item, own in enumerate(keys):
        for key in own:
            a, b = top(owner.setdefault(key, item)), top(item)
            above[max(a, b)] = min(a, b)
    members: dict[int, list[int]] = defaultdict(list)
    for item in range(len(keys)):
        members[top(item)].append(item)
    return members


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
