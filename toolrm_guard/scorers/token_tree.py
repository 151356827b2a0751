"""Token sequences as a tree: what several begin with is one path, and is computed once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Ids = tuple[int, ...]


@dataclass(slots=True)
class TokenTree:
    """Sequences merged where they begin alike; a node's parent stands before it.

    Attributes:
        tokens: The id of each node.
        parents: Index of the node before it in its sequences; -1 for a first token.
        depths: How many nodes stand before it.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, sequence: Ids) -> int:
        """Merge a sequence of one token or more; return the node of its last token."""
        node = -1
        for depth, token in enumerate(sequence):
            key = (node, token)
            found = self._children.get(key)
            if found is None:
                found = self._children[key] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(node)
                self.depths.append(depth)
            node = found
        return node

    def path(self, node: int) -> list[int]:
        """Return the nodes from a first token to `node`."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = self.parents[node]
        return nodes[::-1]

    def sees(self) -> Tensor:
        """Return (nodes, nodes) booleans: row sees column, itself and what stands before it."""
        seen = torch.zeros(len(self.tokens), len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] = seen[parent]
            seen[node, node] = True
        return seen


def grouped(sequences: Sequence[Ids], limit: int) -> list[list[Ids]]:
    """Return the distinct sequences in groups whose trees hold about `limit` tokens at most.

    In sorted order, so that what begins alike stands together. A single sequence may be longer.
    """
    groups: list[list[Ids]] = []
    room = 0
    for sequence in sorted(set(sequences)):
        new = len(sequence) - common(groups[-1][-1], sequence) if groups else 0
        if not groups or new > room:
            groups.append([])
            new, room = len(sequence), limit
        groups[-1].append(sequence)
        room -= new
    return groups


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many items two sequences begin with in common."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
