"""Decisions packed into one row of tokens, so that a prompt is computed once for its candidates.

    row       prompt A | suffix A1 | suffix A2 | prompt B | suffix B1 | suffix B2
    decision  0 ...... | 0 ....... | 0 ....... | 1 ...... | 1 ....... | 1 .......
    branch    0 ...... | 1 ....... | 2 ....... | 0 ...... | 1 ....... | 2 .......
    position  0 1 2 .. | P P+1 ... | P P+1 ... | 0 1 2 .. | Q Q+1 ... | Q Q+1 ...

A token sees the earlier tokens of its own decision that are of the prompt or of its own branch:
what it would see if its candidate stood behind the prompt alone. No padding, no copy of a prompt,
and gradients reach the prompt from every candidate at once.
"""

from collections.abc import Mapping, Sequence
from types import MethodType
from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput


class EncodedDecision(TypedDict):
    """A row of the training set: the ids of one decision and the pairs inside it."""

    prompt_ids: list[int]
    suffix_ids: list[list[int]]
    better: list[int]
    worse: list[int]


def pack(decisions: Sequence[EncodedDecision]) -> dict[str, Tensor]:
    """Return one packed row.

    Example, a prompt of two tokens with suffixes of two and one:

        {"input_ids": [[5, 6, 7, 2, 2]], "position_ids": [[0, 1, 2, 3, 2]],
         "decision": [[0, 0, 0, 0, 0]], "branch": [[0, 0, 1, 1, 2]],
         "ends": [3, 4], "better": [0], "worse": [1]}

    Args:
        decisions: One or more; `better` and `worse` number the suffixes of each.

    Returns:
        input_ids, position_ids, decision, branch (1, tokens); ends (candidates,) where each
        candidate's last token stands; better, worse (pairs,) numbers of candidates.
    """
    ids: list[int] = []
    positions: list[int] = []
    number: list[int] = []
    branch: list[int] = []
    ends: list[int] = []
    better: list[int] = []
    worse: list[int] = []
    for index, decision in enumerate(decisions):
        start = len(decision["prompt_ids"])
        better += [len(ends) + side for side in decision["better"]]
        worse += [len(ends) + side for side in decision["worse"]]
        parts = [decision["prompt_ids"], *decision["suffix_ids"]]
        for part, tokens in enumerate(parts):
            first = start if part else 0
            ids += tokens
            positions += range(first, first + len(tokens))
            number += [index] * len(tokens)
            branch += [part] * len(tokens)
            if part:
                ends.append(len(ids) - 1)
    row = {"input_ids": ids, "position_ids": positions, "decision": number, "branch": branch}
    flat = {"ends": ends, "better": better, "worse": worse}
    return {
        **{name: torch.tensor([values]) for name, values in row.items()},
        **{name: torch.tensor(values, dtype=torch.long) for name, values in flat.items()},
    }


def visible(decision: Tensor, branch: Tensor) -> Tensor:
    """Return which token sees which, (1, 1, tokens, tokens) bool, from (1, tokens) each."""
    same = decision[0, :, None] == decision[0, None, :]
    shared = (branch[0, None, :] == 0) | (branch[0, :, None] == branch[0, None, :])
    return (same & shared).tril()[None, None]


def read_packed(model: Any) -> Any:
    """Make a sequence classifier read packed rows and return it.

    Its `forward` then takes what `pack` returns and gives logits (candidates, 1). The class's own
    forward pools one token a row, the last that is no padding; nothing else changes.
    """

    def forward(
        self: Any,
        input_ids: Tensor,
        position_ids: Tensor,
        decision: Tensor,
        branch: Tensor,
        ends: Tensor,
        **_: Any,  # what PEFT passes on for every classifier: labels, output_attentions, ...
    ) -> SequenceClassifierOutput:
        backbone = getattr(self, self.base_model_prefix)
        hidden = backbone(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=visible(decision, branch),
            use_cache=False,
        ).last_hidden_state  # (1, tokens, width)
        pooled = hidden[0, ends].to(next(self.score.parameters()).dtype)
        # Outside autocast: with bf16's 8 bits the rewards of near-ties would be equal.
        with torch.autocast(pooled.device.type, enabled=False):
            return SequenceClassifierOutput(logits=self.score(pooled))

    model.forward = MethodType(forward, model)
    return model


def token_counts(decisions: Sequence[EncodedDecision]) -> Mapping[str, int]:
    """Return how many tokens are computed: packed, and as pairs of whole sequences."""
    packed = sum(len(d["prompt_ids"]) + sum(map(len, d["suffix_ids"])) for d in decisions)
    apart = sum(
        2 * len(d["prompt_ids"]) + len(d["suffix_ids"][a]) + len(d["suffix_ids"][b])
        for d in decisions
        for a, b in zip(d["better"], d["worse"], strict=True)
    )
    return {"packed": packed, "pairs": apart}
