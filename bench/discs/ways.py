"""The ways of scoring a decision that are compared. All but `lite` get the same token ids."""

import asyncio
import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path
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

    def __init__(self, url: str, pid: int | None) -> None:
        """Connect.

        Args:
            url: Of the server, with or without `/v1`.
            pid: Of its first process, if it runs on this machine: with its session's processor
                time the comparison holds on a machine that is not idle, too.

        Raises:
            httpx.HTTPError: If there is no server.
        """
        self._session = None if pid is None else os.getsid(pid)
        self._client = httpx.Client(base_url=url.rstrip("/").removesuffix("/v1"), timeout=300)
        found = self._client.get("/v1/models").raise_for_status().json()
        self._model = found["data"][0]["id"]

    def cpu_ms(self) -> float | None:
        """Return the processor time of the server's processes so far (Linux, in steps of 10 ms)."""
        if self._session is None:
            return None
        ticks = sum(_ticks(Path(path), self._session) for path in glob("/proc/[0-9]*/stat"))
        return ticks * 1e3 / os.sysconf("SC_CLK_TCK")

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


def _ticks(path: Path, session: int) -> int:
    """Return user and system time of a process of that session, else 0; see proc(5)."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0
    return int(fields[11]) + int(fields[12]) if int(fields[3]) == session else 0


def cascade(scorer: CascadeScorer, request: ScoreRequest) -> bool:
    """Score a decision; tell whether it was escalated."""
    before = scorer.stats.escalated
    asyncio.run(scorer.score([request], None))
    return scorer.stats.escalated > before
