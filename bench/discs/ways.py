"""The ways of scoring a decision that are compared. All but `lite` get the same token ids."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import torch

from toolrm_guard.disc_prompt import DiscInput
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.cascade import CascadeScorer
from toolrm_guard.scorers.local import Engine

Rewards = list[float]


def one_by_one(model: Any, ids: Sequence[int]) -> float:
    """Return the reward of one whole sequence, as the paper's evaluation script computes it."""
    with torch.inference_mode():
        return float(model(torch.tensor([ids])).logits)


def padded(model: Any, one: DiscInput) -> Rewards:
    """Return the rewards of a batch of whole sequences, filled up on the right."""
    longest = max(map(len, one.suffixes))
    pad = model.config.pad_token_id
    rows = [(*one.prompt, *s, *[pad] * (longest - len(s))) for s in one.suffixes]
    ids = torch.tensor(rows)
    ends = torch.tensor([[len(one.prompt) + len(suffix)] for suffix in one.suffixes])
    seen = (torch.arange(ids.shape[1]) < ends).long()
    with torch.inference_mode():
        return [float(logit) for logit in model(ids, attention_mask=seen).logits[:, 0]]


def local(engine: Engine, one: DiscInput) -> Rewards:
    """Return the rewards from `local`, with what it remembers."""
    [rewards] = engine.rewards_of([one], lambda: None)
    return rewards


class Vllm:
    """One request to `/classify` with all candidates of a decision."""

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            httpx.HTTPError: If there is no server.
        """
        self._client = httpx.Client(base_url=url.rstrip("/").removesuffix("/v1"), timeout=300)
        found = self._client.get("/v1/models").raise_for_status().json()
        self._model = found["data"][0]["id"]

    def __call__(self, one: DiscInput) -> Rewards:
        """Return the raw logits."""
        asked = {
            "model": self._model,
            "input": [[*one.prompt, *suffix] for suffix in one.suffixes],
            "use_activation": False,
        }
        reply = self._client.post("/classify", json=asked).raise_for_status().json()
        rows = sorted(reply["data"], key=lambda row: row["index"])
        return [float(row["probs"][0]) for row in rows]


def cascade(scorer: CascadeScorer, request: ScoreRequest) -> bool:
    """Score a decision; tell whether it was escalated."""
    before = scorer.stats.escalated
    asyncio.run(scorer.score([request], None))
    return scorer.stats.escalated > before
