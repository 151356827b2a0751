"""How much arithmetic a decision needs, and how fast this machine multiplies matrices."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from toolrm_guard.disc_prompt import DiscInput
from toolrm_guard.scorers.token_tree import TokenTree

ROWS = 1024
"""Of the matrices whose product is timed; beyond it the rate rises no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Unique tokens of a decision, and the pairs of tokens of which one attends to the other."""

    tokens: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A duration: on the wall, and as processor time of this process."""

    wall_ms: float
    cpu_ms: float

    @classmethod
    def now(cls) -> "Clock":
        """Return both clocks."""
        return cls(time.perf_counter() * 1e3, time.process_time() * 1e3)

    @property
    def since(self) -> "Clock":
        """What has passed since."""
        now = Clock.now()
        return Clock(now.wall_ms - self.wall_ms, now.cpu_ms - self.cpu_ms)


def unique_work(one: DiscInput, known: int = 0) -> Work:
    """Return what a decision needs when what its candidates begin with is computed once.

    Args:
        one: The decision.
        known: Leading tokens of the prompt whose keys and values are there already.
    """
    tree = TokenTree()
    for suffix in one.suffixes:
        tree.add(suffix)
    prompt = len(one.prompt)
    read = prompt - known
    return Work(
        tokens=read + len(tree.tokens),
        pairs=read * known + read * (read + 1) // 2 + sum(prompt + d + 1 for d in tree.depths),
    )


class Arithmetic:
    """Floating-point operations of a model, and the rate of its own matrix products."""

    def __init__(self, model: Any) -> None:
        """Take a sequence-classification model."""
        layers = getattr(model, model.base_model_prefix).layers
        config = model.config
        heads: int = config.num_attention_heads
        width: int = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.parameters = sum(int(p.numel()) for layer in layers for p in layer.parameters())
        self._per_pair = 4 * len(layers) * heads * width
        linear = [part for part in layers[0].modules() if isinstance(part, torch.nn.Linear)]
        self._weights = [part.weight.t() for part in linear]
        self._inputs = {len(w): torch.randn(ROWS, len(w)) for w in self._weights}

    def flops(self, work: Work) -> float:
        """Return 2 a parameter (embeddings apart) and token, and those of attention."""
        return 2.0 * self.parameters * work.tokens + self._per_pair * work.pairs

    def ms_per_gflop(self) -> Clock:
        """Return the time of 10^9 operations in products of the shapes of one layer."""
        operations = 2 * ROWS * sum(weight.numel() for weight in self._weights)
        started = Clock.now()
        with torch.inference_mode():
            for weight in self._weights:
                torch.matmul(self._inputs[len(weight)], weight)
        took = started.since
        return Clock(took.wall_ms / operations * 1e9, took.cpu_ms / operations * 1e9)
