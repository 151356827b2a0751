"""Rollouts of the embedded policy under its grammar, for GRPO: every call fits its tool's schema.

Left to itself the embedded model writes no parseable call (0 of 50), so that no reward would ever
tell two rollouts apart.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from toolrm_guard.calls import Candidate
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.prompt import END_OF_TURN, render_candidate
from toolrm_guard.scorers.base import ScoreRequest


class ConstrainedRollouts:
    """A `rollout_func` of TRL: draws from the weights as they are at this step."""

    def __init__(
        self, requests: Mapping[str, ScoreRequest], tokenizer: Any, *, seed: int, max_tokens: int
    ) -> None:
        """Take the contexts.

        Args:
            requests: By the text of their prompts, which is all that TRL passes on.
            tokenizer: The policy's.
            seed: Every draw has its own: seed, step and place.
            max_tokens: Of a response.
        """
        self._requests = requests
        self._tokenizer = tokenizer
        self._seed = seed
        self._max_tokens = max_tokens

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Return the ids of prompts and completions, one completion a prompt given."""
        sampler = sampler_of(trainer.model, self._tokenizer)
        prompt_ids, completion_ids = [], []
        step = trainer.state.global_step
        for place, (prompt, same) in enumerate(groupby(prompts)):
            request = self._requests[prompt]
            seed = hash((self._seed, step, place)) % 2**31  # of integers: the same in any process
            drawn = draw(sampler, request, len(list(same)), seed, self._max_tokens)
            for candidate in drawn:
                prompt_ids.append(self._ids(prompt))
                completion_ids.append(self._written(candidate))
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

    def _written(self, candidate: Candidate) -> list[int]:
        """Return a turn as its policy writes it; one that was cut off does not end."""
        ids = self._ids(render_candidate(candidate))
        cut = len(ids) >= self._max_tokens or any(call.defect for call in candidate.calls)
        return ids if cut else ids + self._ids(END_OF_TURN)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def draw(
    sampler: EmbeddedSampler, request: ScoreRequest, count: int, seed: int, max_tokens: int
) -> Sequence[Candidate]:
    """Return candidates of a context."""
    found = sampler.sample(
        request.messages, request.tools, n=count, seed=seed, max_tokens=max_tokens
    )
    return found.candidates


def sampler_of(model: Any, tokenizer: Any) -> EmbeddedSampler:
    """Return a sampler over a snapshot of a model's weights in fp32, adapters added to them.

    Added in the copy: merging them into a bf16 base and taking them out again, as PEFT does, would
    round the base a little more at every step.
    """
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    with torch.no_grad():
        state = {
            name.replace(".base_layer", ""): tensor.detach().float()
            for name, tensor in whole.state_dict().items()
            if "lora_" not in name
        }
        for name, module in whole.named_modules():
            if isinstance(module, LoraLayer):
                delta = module.get_delta_weight("default").float()
                state[f"{name}.weight"] = state[f"{name}.weight"] + delta
    return EmbeddedSampler(_Snapshot(model.config, state), tokenizer)


class _Snapshot:
    """What the sampler reads of a model: its config and its weights."""

    def __init__(self, config: Any, state: dict[str, torch.Tensor]) -> None:
        self.config = config
        self._state = state

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self._state
