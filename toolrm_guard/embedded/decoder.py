"""The forward pass of a small Llama on CPU, for many short continuations of one prompt.

Written by hand because of what was measured for SmolLM2-135M on 2 cores (2.8 GHz, AVX-512 VNNI):
the linear layers of one step of 8 rows take 59 ms in fp32 and 13 ms in int8, while the module
calls of transformers alone cost more than that. Three things make sampling cheap:

- The prompt's keys and values are computed once and never copied per row: all rows attend to the
  same tensor, then each to its own short suffix.
- Rows may advance by different numbers of tokens in one step, so text that a grammar forces costs
  almost nothing.
- The prompt is read in fp32 in chunks on a fixed grid, and a chunk is kept under the whole token
  prefix that it ends. A prompt that shares a prefix with an earlier one gets the same bits as if
  nothing had been kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_TOKENS = 64
"""Grid of the prompt cache. Smaller reuses more of a prompt, larger reads a new one faster."""

MAX_CHUNKS = 96
"""Chunks kept, 2.9 MB each."""

_TINY = 1e-9
_ROOM = 32

Linear = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of the network."""

    layers: int
    heads: int
    kv_heads: int
    head_width: int
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysValues:
    """Attention state, each (layers, rows or absent, kv_heads, tokens, head_width)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    norm: Tensor
    qkv: Linear
    out: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """One network at one precision."""

    layers: tuple[_Layer, ...]
    head: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt that was read: the state of its tokens and the logits (vocabulary,) after it."""

    state: KeysValues
    logits: Tensor
    tokens: int
    cached_tokens: int


class Rows:
    """Continuations of one prompt, each with its own suffix of keys and values."""

    def __init__(self, prompt: Prompt, rows: int = 1) -> None:
        """Begin with empty suffixes."""
        layers, kv_heads, _, width = prompt.state.keys.shape
        self.prompt = prompt
        self.keys = torch.zeros(layers, rows, kv_heads, _ROOM, width)
        self.values = torch.zeros_like(self.keys)
        self.lengths = [0] * rows

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows: one that is left out ends, one that is named twice splits."""
        kept = torch.tensor(rows, dtype=torch.long)
        self.keys, self.values = self.keys[:, kept], self.values[:, kept]
        self.lengths = [self.lengths[row] for row in rows]

    def reserve(self, tokens: int) -> None:
        """Make room for suffixes of so many tokens.

        With zeros: what lies beyond a row's end is masked, but a NaN there would still spread.
        """
        while self.keys.shape[3] < tokens:
            more = self.keys.new_zeros(*self.keys.shape[:3], _ROOM, self.keys.shape[4])
            self.keys = torch.cat((self.keys, more), dim=3)
            self.values = torch.cat((self.values, more), dim=3)


class Decoder:
    """A Llama's weights, twice: fp32 to read prompts, int8 to decode."""

    def __init__(self, model: Any) -> None:
        """Take the weights of a transformers `LlamaForCausalLM` in fp32.

        Args:
            model: Its tensors are shared, not copied; int8 copies add a quarter of their size.
        """
        config = model.config
        self.shape = Shape(
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_width=config.hidden_size // config.num_attention_heads,
            eps=config.rms_norm_eps,
        )
        self.max_positions: int = config.max_position_embeddings
        tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self._embedding = tensors["model.embed_tokens.weight"]
        self._final_norm = tensors["model.norm.weight"]
        self._exact = _weights(tensors, self.shape, _exact_linear)
        self._quick = _weights(tensors, self.shape, int8_linear)
        width = self.shape.head_width
        theta = float(config.rope_parameters["rope_theta"])
        self._frequencies = theta ** -(torch.arange(0, width, 2, dtype=torch.float32) / width)
        self._chunks: OrderedDict[tuple[int, ...], KeysValues] = OrderedDict()

    def read(self, tokens: Sequence[int]) -> Prompt:
        """Return the state after a prompt, reusing every leading chunk that is known.

        Args:
            tokens: At least one token id.
        """
        whole = (len(tokens) - 1) // CHUNK_TOKENS  # at least one token is left to give logits
        parts: list[KeysValues] = []
        cached, hidden = 0, torch.empty(0)
        for start in range(0, len(tokens), CHUNK_TOKENS):
            key = tuple(tokens[: start + CHUNK_TOKENS])
            known = self._chunks.get(key) if start < whole * CHUNK_TOKENS else None
            if known is None:
                hidden, known = self._read_chunk(tokens[start : start + CHUNK_TOKENS], parts)
            else:
                cached += CHUNK_TOKENS
            parts.append(known)
        self._remember(tokens, parts[:whole])
        logits = self._exact.head(self._norm(hidden[-1:], self._final_norm))[0]
        return Prompt(state=_joined(parts), logits=logits, tokens=len(tokens), cached_tokens=cached)

    def forget(self) -> None:
        """Empty the prompt cache."""
        self._chunks.clear()

    def step(self, rows: Rows, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Append tokens to each row and return the logits after the last one, (rows, vocabulary).

        Args:
            rows: Advanced in place.
            tokens: One or more token ids for each row; the counts may differ.
        """
        counts = [len(row) for row in tokens]
        flat = [token for row in tokens for token in row]
        row_of = [row for row, count in enumerate(counts) for _ in range(count)]
        column = [index for count in counts for index in range(count)]
        slot = [rows.lengths[row] + index for row, index in zip(row_of, column, strict=True)]
        rows.reserve(max(slot) + 1)
        hidden = self._forward(
            self._quick,
            torch.tensor(flat),
            (torch.tensor(row_of), torch.tensor(column), torch.tensor(slot)),
            rows.prompt.state,
            KeysValues(keys=rows.keys, values=rows.values),
        )
        rows.lengths = [length + count for length, count in zip(rows.lengths, counts, strict=True)]
        ends = torch.tensor(counts).cumsum(0) - 1
        return self._quick.head(self._norm(hidden[ends], self._final_norm))

    def _read_chunk(
        self, tokens: Sequence[int], before: Sequence[KeysValues]
    ) -> tuple[Tensor, KeysValues]:
        shape, count = self.shape, len(tokens)
        keys = torch.zeros(shape.layers, 1, shape.kv_heads, count, shape.head_width)
        own = KeysValues(keys=keys, values=torch.zeros_like(keys))
        index = torch.arange(count)
        where = (torch.zeros(count, dtype=torch.long), index, index)
        prefix = _joined(before) if before else _nothing(shape)
        hidden = self._forward(self._exact, torch.tensor(tokens), where, prefix, own)
        return hidden, KeysValues(keys=own.keys[:, 0], values=own.values[:, 0])

    def _remember(self, tokens: Sequence[int], parts: Sequence[KeysValues]) -> None:
        # The shortest prefix last: it serves the most prompts, so it must be forgotten last.
        for index in range(len(parts), 0, -1):
            key = tuple(tokens[: index * CHUNK_TOKENS])
            self._chunks[key] = parts[index - 1]
            self._chunks.move_to_end(key)
        while len(self._chunks) > MAX_CHUNKS:
            self._chunks.popitem(last=False)

    def _forward(
        self,
        weights: _Weights,
        tokens: Tensor,
        where: tuple[Tensor, Tensor, Tensor],
        prefix: KeysValues,
        own: KeysValues,
    ) -> Tensor:
        """Return the hidden states (tokens, width) before the final norm; write into `own`.

        Args:
            weights: At which precision.
            tokens: (tokens,) ids of all rows, one row after the other.
            where: (tokens,) each: row, index among the row's new tokens, slot in the row's suffix.
            prefix: State shared by all rows.
            own: Suffixes of the rows.
        """
        shape = self.shape
        row, _, slot = where
        shared = prefix.keys.shape[2]
        longest = int(slot.max()) + 1
        rotation = self._rotation(slot + shared)
        mask = _mask(where, own.keys.shape[1], longest)
        hidden = self._embedding[tokens]
        cuts = [shape.heads, shape.kv_heads, shape.kv_heads]
        for index, layer in enumerate(weights.layers):
            qkv = layer.qkv(self._norm(hidden, layer.norm))
            qkv = qkv.view(len(tokens), -1, shape.head_width)
            query, key, value = qkv.split(cuts, dim=1)
            own.keys[index, row, :, slot] = _rotated(key, rotation)
            own.values[index, row, :, slot] = value
            mixed = _attend(
                _rotated(query, rotation),
                where,
                mask,
                (prefix.keys[index], prefix.values[index]),
                (own.keys[index, :, :, :longest], own.values[index, :, :, :longest]),
            )
            hidden = hidden + layer.out(mixed)
            gate, up = layer.gate_up(self._norm(hidden, layer.mlp_norm)).chunk(2, dim=1)
            hidden = hidden + layer.down(functional.silu(gate) * up)
        return hidden

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(hidden, (hidden.shape[-1],), weight, self.shape.eps)

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each (tokens, 1, head_width)."""
        angles = positions[:, None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=1)[:, None]
        return angles.cos(), angles.sin()


def int8_linear(weight: Tensor) -> Linear:
    """Return x @ weight.T in int8, with a scale for each output and each row of x.

    Sums of int8 products are exact, so a row's result does not hang on the rows beside it. (The
    dynamic linear of torch.ao takes one scale for all rows and is deprecated.)
    """
    scales = weight.abs().amax(dim=1).clamp(min=_TINY) / 127
    quantized = (weight / scales[:, None]).round().to(torch.int8).t()

    def apply(inputs: Tensor) -> Tensor:
        steps = inputs.abs().amax(dim=1, keepdim=True).clamp_(min=_TINY).mul_(1 / 127)
        rounded = (inputs / steps).round_().to(torch.int8)
        return torch._int_mm(rounded, quantized) * steps * scales

    return apply


def _exact_linear(weight: Tensor) -> Linear:
    def apply(inputs: Tensor) -> Tensor:
        return functional.linear(inputs, weight)

    return apply


def _weights(
    tensors: dict[str, Tensor], shape: Shape, linear: Callable[[Tensor], Linear]
) -> _Weights:
    def layer(index: int) -> _Layer:
        def weight(name: str) -> Tensor:
            return tensors[f"model.layers.{index}.{name}.weight"]

        return _Layer(
            norm=weight("input_layernorm"),
            qkv=linear(torch.cat([weight(f"self_attn.{part}_proj") for part in "qkv"])),
            out=linear(weight("self_attn.o_proj")),
            mlp_norm=weight("post_attention_layernorm"),
            gate_up=linear(torch.cat([weight("mlp.gate_proj"), weight("mlp.up_proj")])),
            down=linear(weight("mlp.down_proj")),
        )

    return _Weights(
        layers=tuple(layer(index) for index in range(shape.layers)),
        head=linear(tensors["lm_head.weight"]),
    )


def _nothing(shape: Shape) -> KeysValues:
    empty = torch.zeros(shape.layers, shape.kv_heads, 0, shape.head_width)
    return KeysValues(keys=empty, values=empty)


def _joined(parts: Sequence[KeysValues]) -> KeysValues:
    return KeysValues(
        keys=torch.cat([part.keys for part in parts], dim=2),
        values=torch.cat([part.values for part in parts], dim=2),
    )


def _mask(where: tuple[Tensor, Tensor, Tensor], rows: int, longest: int) -> Tensor:
    """Return 0 where a new token sees a slot of its row, else -inf: (rows, 1, new, 1, slots)."""
    row, column, slot = where
    last_seen = torch.zeros(rows, int(column.max()) + 1, dtype=torch.long)
    last_seen[row, column] = slot
    hidden = torch.arange(longest) > last_seen[..., None]
    return torch.zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, :, None]


def _rotated(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Apply rotary positions (Su et al. 2021, arXiv 2104.09864) to (tokens, heads, width)."""
    cosine, sine = rotation
    left, right = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((-right, left), dim=-1) * sine


def _attend(
    query: Tensor,
    where: tuple[Tensor, Tensor, Tensor],
    mask: Tensor,
    prefix: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
) -> Tensor:
    """Return (tokens, heads * width): softmax over the shared prefix and the row's suffix at once.

    Args:
        query: (tokens, heads, width), rotated.
        where: As in `Decoder._forward`.
        mask: (rows, 1, new, 1, slots).
        prefix: Keys and values (kv_heads, shared, width).
        own: Keys and values (rows, kv_heads, slots, width).
    """
    row, column, _ = where
    rows, kv_heads, slots, width = own[0].shape
    new, group = mask.shape[2], query.shape[1] // kv_heads
    padded = query.new_zeros(rows, new, kv_heads, group, width)
    padded[row, column] = query.view(-1, kv_heads, group, width) * width**-0.5
    by_head = padded.permute(2, 0, 1, 3, 4)  # (kv_heads, rows, new, group, width)
    flat = by_head.reshape(kv_heads, -1, width)
    shared_scores = torch.bmm(flat, prefix[0].transpose(1, 2))  # (kv_heads, rows*new*group, P)
    by_row = by_head.transpose(0, 1).reshape(rows, kv_heads, new * group, width)
    own_scores = (by_row @ own[0].transpose(2, 3)).view(rows, kv_heads, new, group, slots) + mask
    own_scores = own_scores.transpose(0, 1).reshape(kv_heads, -1, slots)
    shares = torch.cat((shared_scores, own_scores), dim=2).softmax(dim=2)
    shared_share, own_share = shares.split((shared_scores.shape[2], slots), dim=2)
    mixed = torch.bmm(shared_share, prefix[1]).view(kv_heads, rows, new, group, width)
    own_share = own_share.view(kv_heads, rows, new * group, slots).transpose(0, 1)
    mixed = mixed + (own_share @ own[1]).view(rows, kv_heads, new, group, width).transpose(0, 1)
    return mixed[:, row, column].transpose(0, 1).reshape(len(query), -1)
