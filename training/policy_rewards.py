"""Rewards for the rollouts of a tool-using policy, by what the guard serves: Lite, Disc or Gen.

A rollout is judged with the tools and the history of its prompt, as a candidate in a review is. An
outage raises and so stops the run, which then goes on from its checkpoint: a reward of 0 for a
server that was away would be learned.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.foreign import BadField
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.critic import CriticScorer
from toolrm_guard.scorers.critic_settings import ChatSettings
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.lite import LiteModel
from toolrm_guard.tools import ToolSet
from training.packed_trainer import rewards_of
from training.packing import EncodedDecision, read_packed
from training.recipes import Section


class RewardModel(Section):
    """Which model rewards the policy.

    Attributes:
        kind: `lite`, `disc` or `gen`.
        model: Folder of a Disc (or of a Lite; None is the one that ships), or the name of a Gen.
        url: Where a Gen is served, an OpenAI-compatible API.
    """

    kind: Literal["lite", "disc", "gen"] = "lite"
    model: str | None = None
    url: str | None = None
    timeout_s: float = Field(default=300.0, gt=0)

    @model_validator(mode="after")
    def _is_complete(self) -> "RewardModel":
        if self.kind == "disc" and self.model is None:
            raise ValueError("a disc reward needs `model`, the folder of a trained Disc")
        if self.kind == "gen" and (self.model is None or self.url is None):
            raise ValueError("a gen reward needs `model` and `url` of a served critic")
        return self


class Judge(Protocol):
    """Gives the rollouts of one prompt their rewards."""

    def __call__(self, request: ScoreRequest) -> list[float]:
        """Return one reward in [0, 1] or on the model's own scale per candidate."""
        ...


def make_judge(settings: RewardModel) -> Judge:
    """Return the judge that a recipe names.

    Raises:
        ConfigurationError: If its model cannot be loaded.
    """
    if settings.kind == "lite":
        return _lite(LiteModel.load(settings.model))
    if settings.kind == "disc":
        return _disc(Path(settings.model or ""))
    chat = ChatSettings(url=settings.url or "", model=settings.model or "")
    return _gen(CriticScorer(chat), settings.timeout_s)


class PolicyReward:
    """The callable that TRL asks; it sees the columns `messages` and `tools` of the data set."""

    __name__ = "reward"
    """TRL's name for it in the log."""

    def __init__(self, judge: Judge) -> None:
        """Take the judge."""
        self._judge = judge

    def __call__(
        self,
        completions: Sequence[Any],
        messages: Sequence[str],
        tools: Sequence[str],
        **_: Any,
    ) -> list[float]:
        """Return one reward a rollout, those of one prompt judged together.

        Args:
            completions: What the policy wrote, text or one message each.
            messages: The history of each, JSON text.
            tools: The tools of each, JSON text.
        """
        rewards: list[float] = []
        rows = zip(messages, tools, completions, strict=True)
        for (history, offered), group in itertools.groupby(rows, key=lambda row: row[:2]):
            request = request_of(history, offered)
            written = [written_turn(row[2], tuple(request.tools)) for row in group]
            rewards += self.judge(request, written)
        return rewards

    def judge(self, request: ScoreRequest, written: Sequence[Candidate | None]) -> list[float]:
        """Return one reward a turn; one that cannot be read gets the least, 0."""
        read = [turn for turn in written if turn is not None]
        if not read:
            return [0.0] * len(written)
        asked = ScoreRequest(messages=request.messages, tools=request.tools, candidates=tuple(read))
        given = iter(self._judge(asked))
        return [0.0 if turn is None else next(given) for turn in written]


def request_of(messages: str, tools: str) -> ScoreRequest:
    """Return the context of a prompt without candidates."""
    return ScoreRequest(
        messages=parse_messages(json.loads(messages)),
        tools=ToolSet.of(json.loads(tools), lenient=True),
        candidates=(),
    )


def written_turn(completion: Any, names: Sequence[str]) -> Candidate | None:
    """Return what a policy wrote as a candidate; None if it cannot be read."""
    text = completion if isinstance(completion, str) else completion[0]["content"]
    try:
        said, calls = decode(text, names)
    except BadField:
        return None
    return Candidate(text=said, calls=tuple(Call.parse(call) for call in calls))


def _lite(model: LiteModel) -> Judge:
    """Each rollout alone: agreement among a policy's own rollouts would reward what is frequent."""

    def judge(request: ScoreRequest) -> list[float]:
        alone = [
            ScoreRequest(messages=request.messages, tools=request.tools, candidates=(candidate,))
            for candidate in request.candidates
        ]
        return [model.score(one)[0].probability for one in alone]

    return judge


def _disc(folder: Path) -> Judge:
    """The calibrated probability: a raw reward below 0 would rank under what cannot be read."""
    disc = load_disc(folder)
    model = read_packed(disc.model)

    def judge(request: ScoreRequest) -> list[float]:
        ids = encode_decision(
            disc.encode, request.messages, request.tools, request.candidates,
            max_tokens=disc.card.max_tokens,
        )  # fmt: skip
        row = EncodedDecision(
            prompt_ids=list(ids.prompt), suffix_ids=[list(s) for s in ids.suffixes],
            better=[], worse=[],
        )  # fmt: skip
        [rewards] = rewards_of(model, [row])
        return [float(p) for p in disc.card.probability(np.array(rewards))]

    return judge


def _gen(critic: CriticScorer, timeout_s: float) -> Judge:
    """Neighbours compared in pairs, in both orders: the winner 1, the loser 0, a draw 0.5 each.

    Rollouts of one prompt are exchangeable, so neighbours are random pairs. One that is left over
    meets the first.
    """

    async def compare(request: ScoreRequest) -> list[float]:
        turns = request.candidates
        if len(turns) == 1:
            return [0.5]
        pairs = [(i, i + 1) for i in range(0, len(turns) - 1, 2)]
        if len(turns) % 2:
            pairs.append((0, len(turns) - 1))
        deadline = time.monotonic() + timeout_s
        asked = [replace(request, candidates=(turns[a], turns[b])) for a, b in pairs]
        try:
            ranked = await asyncio.gather(*(critic.rank(one, deadline) for one in asked))
        finally:
            await critic.aclose()
        rewards: dict[int, float] = {}
        for (a, b), found in zip(pairs, ranked, strict=True):
            first, second = found.rewards
            won = 0.5 if first == second else float(first > second)
            rewards.setdefault(a, won)
            rewards.setdefault(b, 1.0 - won)
        return [rewards[index] for index in range(len(turns))]

    return lambda request: asyncio.run(compare(request))
