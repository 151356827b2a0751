"""Attention state of prompts that were read, by token prefix, up to a budget of tokens.

A radix tree, as in SGLang's RadixAttention (Zheng et al. 2023, arXiv 2312.07104): prompts that
begin alike share a node, so a tool list that many conversations have in common is held once, and
the next turn of a conversation finds the turn before it. A node's tensor is never changed, only
replaced, so whoever read it keeps what was read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

import torch
from torch import Tensor

from toolrm_guard.scorers.token_tree import Ids, common


@dataclass(slots=True)
class _Node:
    """A run of tokens after its parent's.

    `state` is (layers, 2, kv_heads, tokens, width): keys and values.
    """

    tokens: Ids
    state: Tensor
    parent: Optional["_Node"]
    used: int
    children: dict[int, "_Node"] = field(default_factory=dict)


class PrefixCache:
    """Longest known prefixes of token sequences. Not thread-safe."""

    def __init__(self, room: int, nothing: Tensor) -> None:
        """Begin empty.

        Args:
            room: Tokens kept at most; what was used least lately goes first.
            nothing: State of no tokens, (layers, 2, kv_heads, 0, width).
        """
        self.room = room
        self.held = 0
        self._root = _Node(tokens=(), state=nothing, parent=None, used=0)
        self._clock = 0

    def find(self, tokens: Ids) -> list[Tensor]:
        """Return the state of the longest known prefix, in pieces (layers, 2, heads, n, width)."""
        pieces = []
        node, at = self._root, 0
        self._clock += 1
        while at < len(tokens) and (child := node.children.get(tokens[at])) is not None:
            shared = common(child.tokens, tokens[at : at + len(child.tokens)])
            pieces.append(child.state[:, :, :, :shared])
            child.used = self._clock
            at += shared
            if shared < len(child.tokens):
                break
            node = child
        return pieces

    def add(self, tokens: Ids, state: Tensor, slots: Sequence[int]) -> None:
        """Keep the state of a sequence; only what is not known yet is copied.

        Args:
            tokens: The sequence; what does not fit into the room is left out.
            state: (layers, 2, kv_heads, slots, width).
            slots: Where in `state` each token's keys and values stand.
        """
        tokens = tokens[: self.room]
        self._clock += 1
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                where = state.new_tensor(slots[at : len(tokens)], dtype=torch.long)
                rest = _Node(tokens[at:], state.index_select(3, where), node, self._clock)
                node.children[tokens[at]] = rest
                self.held += len(rest.tokens)
                break
            shared = common(child.tokens, tokens[at : at + len(child.tokens)])
            if shared < len(child.tokens) and at + shared < len(tokens):
                child = self._split(child, shared)
            child.used = self._clock
            node = child
            at += shared
        while self.held > self.room:
            self._drop_oldest()

    def clear(self) -> None:
        """Forget everything."""
        self._root.children.clear()
        self.held = 0

    def _split(self, node: _Node, at: int) -> _Node:
        """Divide a node before token `at` and return the upper part."""
        parent = node.parent
        assert parent is not None  # the root has no tokens to divide
        upper = _Node(node.tokens[:at], node.state[:, :, :, :at].clone(), parent, node.used)
        lower = _Node(
            node.tokens[at:], node.state[:, :, :, at:].clone(), upper, node.used, node.children
        )
        for child in lower.children.values():
            child.parent = lower
        upper.children[lower.tokens[0]] = lower
        parent.children[upper.tokens[0]] = upper
        return upper

    def _drop_oldest(self) -> None:
        stack, leaves = [self._root], []
        while stack:
            node = stack.pop()
            stack.extend(node.children.values())
            if not node.children and node.parent is not None:
                leaves.append(node)
        oldest = min(leaves, key=lambda leaf: leaf.used)
        assert oldest.parent is not None  # the root is no leaf here
        del oldest.parent.children[oldest.tokens[0]]
        self.held -= len(oldest.tokens)
