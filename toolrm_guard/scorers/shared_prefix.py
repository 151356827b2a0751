"""A transformer's forward pass over unique tokens only: sequences share what they begin with.

Rows of many sequences are packed into one row without padding. Everything but attention works on
tokens one by one and does not notice; attention is ours, registered with transformers as an
implementation: each segment of the packed row attends to its own prefix and to itself.

What was measured for SmolLM2-135M on one core (docs/decisions/0008) is in the constants.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.scorers.token_tree import TokenTree

IMPLEMENTATION = "toolrm_guard_shared_prefix"

BLOCK_TOKENS = 128
"""Prompt tokens of a segment. Half of a segment's square is masked but computed."""

_PROBE = (tuple(range(10, 30)), ((31, 32, 33), (31, 34, 35, 36)))
"""A prompt and what continues it, in token ids; any will do."""

_ODD = "a {} cannot share prompts here; serve it with vLLM and use scorer 'vllm'"
_KNOWN_LAYERS = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """New tokens of one sequence, or of a tree of sequences, in a packed row.

    Attributes:
        tokens: Their ids.
        positions: Their positions; branches of a tree have the same.
        state: (layers, 2, kv_heads, slots, width), keys and values; shared with the segments before
            and after it, and written to.
        prefix: How many leading slots every token sees.
        slot: Where the keys and values of the new tokens are put.
        mask: (tokens, prefix + tokens), 0 where a token sees another, else -inf.
    """

    tokens: Sequence[int]
    positions: Sequence[int]
    state: Tensor
    prefix: int
    slot: int
    mask: Tensor


def prompt_segments(state: Tensor, tokens: Sequence[int], known: int) -> list[Segment]:
    """Return the segments that continue a sequence after its first `known` tokens."""
    segments = []
    for start in range(known, len(tokens), BLOCK_TOKENS):
        new = tokens[start : start + BLOCK_TOKENS]
        later = torch.ones(len(new), len(new), dtype=torch.bool).triu(1)
        segments.append(
            Segment(
                tokens=new,
                positions=range(start, start + len(new)),
                state=state,
                prefix=start,
                slot=start,
                mask=_mask(state, start, later),
            )
        )
    return segments


def tree_segment(state: Tensor, tree: TokenTree, prefix: int, slot: int) -> Segment:
    """Return the segment of a tree of sequences that all continue the first `prefix` slots."""
    return Segment(
        tokens=tree.tokens,
        positions=[prefix + depth for depth in tree.depths],
        state=state,
        prefix=prefix,
        slot=slot,
        mask=_mask(state, prefix, ~tree.sees()),
    )


class SharedPrefixModel:
    """A sequence-classification model with our attention."""

    def __init__(self, model: Any, max_tokens: int) -> None:
        """Take a model over; its own `forward` cannot be used any more.

        Args:
            model: With one label, in eval mode.
            max_tokens: The longest sequence.

        Raises:
            ConfigurationError: If its architecture cannot be computed this way.
        """
        config = model.config
        _check_layers(config, max_tokens)
        self._transformer = getattr(model, model.base_model_prefix)
        self._head = model.score
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        self._shape = (config.num_hidden_layers, 2, config.num_key_value_heads)
        self._width = width
        self._like = next(model.parameters())
        with torch.inference_mode():
            self._take_over(model)

    def _take_over(self, model: Any) -> None:
        """Set our attention, and make sure that it changes no reward."""
        device, (prompt, suffixes) = self._like.device, _PROBE
        rows = [torch.tensor([prompt + suffix], device=device) for suffix in suffixes]
        expected = [float(model(row).logits) for row in rows]
        tree, state = TokenTree(), self.state(64)
        ends = [tree.add(suffix) for suffix in suffixes]
        segments = prompt_segments(state, prompt, 0)
        try:
            model.set_attn_implementation(IMPLEMENTATION)
            hidden = self.forward(
                [*segments, tree_segment(state, tree, len(prompt), len(prompt))], lambda: None
            )
        except (ValueError, TypeError) as exc:
            raise ConfigurationError(f"{_ODD.format(model.config.model_type)}: {exc}") from exc
        found = self.rewards(hidden[[len(prompt) + end for end in ends]])
        rough = 1e-3 if self._like.dtype == torch.float32 else 0.1
        if not all(map(partial(math.isclose, rel_tol=rough, abs_tol=rough), found, expected)):
            raise ConfigurationError(
                f"{_ODD.format(model.config.model_type)}: rewards {found} in place of {expected}"
            )

    def state(self, slots: int) -> Tensor:
        """Return room for the keys and values of so many tokens; not initialised."""
        return self._like.new_empty(*self._shape, slots, self._width)

    def forward(self, segments: Sequence[Segment], check: Callable[[], None]) -> Tensor:
        """Return the final hidden states (tokens of all segments, width); fill their slots.

        Args:
            segments: In order: one that continues another stands after it.
            check: Called in every layer; what it raises ends the pass, whose slots then hold
                nothing of use.
        """
        device = self._like.device
        ids = torch.tensor([[token for one in segments for token in one.tokens]], device=device)
        positions = torch.tensor([[at for one in segments for at in one.positions]], device=device)
        output = self._transformer(
            input_ids=ids,
            position_ids=positions,
            use_cache=False,
            segments=segments,
            check=check,
        )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def rewards(self, hidden: Tensor) -> list[float]:
        """Return the rewards of hidden states (sequences, width) at the ends of sequences."""
        return [float(value) for value in self._head(hidden)[:, 0].float()]


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    *,
    segments: Sequence[Segment],
    check: Callable[[], None],
    **_: object,
) -> tuple[Tensor, None]:
    """Return (1, tokens, heads, width): each segment over its prefix and itself.

    Args:
        module: The attention layer, which knows its index.
        query: (1, heads, tokens, width), rotated.
        key: (1, kv_heads, tokens, width), rotated.
        value: (1, kv_heads, tokens, width).
        attention_mask: None; transformers makes none for an implementation it does not know.
        scaling: Of the scores.
        segments: What the packed row consists of.
        check: As in `SharedPrefixModel.forward`.
    """
    check()
    _, heads, tokens, width = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    mixed = query.new_empty(tokens, kv_heads, group, width)
    at = 0
    for segment in segments:
        end = at + len(segment.tokens)
        state = segment.state[module.layer_idx]
        own = state[:, :, segment.slot : segment.slot + end - at]
        own[0], own[1] = key[0, :, at:end], value[0, :, at:end]
        if segment.slot == segment.prefix:
            seen = state[:, :, : segment.prefix + end - at]
        else:
            seen = torch.cat((state[:, :, : segment.prefix], own), dim=2)
        # Query heads of one group share keys: expanded by a stride of 0, nothing is copied.
        keys, values = seen[:, :, None].expand(-1, -1, group, -1, -1)
        found = functional.scaled_dot_product_attention(
            query[0, :, at:end].unflatten(0, (kv_heads, group)),
            keys,
            values,
            attn_mask=segment.mask,
            scale=scaling,
        )  # (kv_heads, group, new, width)
        mixed[at:end] = found.permute(2, 0, 1, 3)
        at = end
    return mixed.view(1, tokens, heads, width), None


AttentionInterface.register(IMPLEMENTATION, _attend)


def _mask(state: Tensor, prefix: int, hidden: Tensor) -> Tensor:
    """Return 0 for the prefix, and -inf where a new token is `hidden` (new, new) from another."""
    mask = torch.zeros(len(hidden), prefix + len(hidden), dtype=state.dtype)
    mask[:, prefix:].masked_fill_(hidden, -torch.inf)
    return mask.to(state.device)


def _check_layers(config: Any, max_tokens: int) -> None:
    kinds = set(getattr(config, "layer_types", None) or ("sliding_attention",))
    window = getattr(config, "sliding_window", None)
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    short = "sliding_attention" in kinds and window is not None and window < max_tokens
    if capped or short or not kinds <= set(_KNOWN_LAYERS):
        raise ConfigurationError(
            f"{_ODD.format(config.model_type)}: its layers are {', '.join(sorted(kinds))} with a "
            f"window of {window}, more than plain attention to {max_tokens:,} tokens"
        )
