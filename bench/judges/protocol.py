"""What a judge is asked, and what it answers: rewards for every candidate, or a choice of two.

What cannot judge raises `CouldNotJudge` and never gets a number.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import Choice
from toolrm_guard.errors import CouldNotJudge, InvalidScore
from toolrm_guard.scorers.base import ScoreRequest

Chat = tuple[Mapping[str, str], ...]
"""Messages with role and content, as a chat template takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Candidates to be judged.

    Attributes:
        request: The candidates with their context.
        pool: Canonical calls of all known answers to the prompt, for the vote.
        chat: The context as it was published; None leaves rendering to `toolrm_guard.prompt`.
        texts: The candidates as published, beside `chat`.
        defect: Why `request` does not say what was published; None if it does.
    """

    request: ScoreRequest
    pool: Counter[str] = field(default_factory=Counter)
    chat: Chat | None = None
    texts: tuple[str, ...] = ()
    defect: str | None = None


@runtime_checkable
class Rater(Protocol):
    """Gives every candidate a reward.

    Attributes:
        name: As in `--scorer`.
        alone: Whether a reward depends on its own candidate and the context alone, so that equal
            candidates have equal rewards.
        parallel: How many questions it can be asked at once.
    """

    name: str
    alone: bool
    parallel: int

    async def rate(self, question: Question) -> Sequence[float]:
        """Return one finite reward per candidate.

        Raises:
            CouldNotJudge: If there are none.
        """
        ...


@runtime_checkable
class Ranker(Protocol):
    """Says which of two candidates is better.

    Attributes:
        name: As in `--scorer`.
        parallel: How many questions it can be asked at once.
    """

    name: str
    parallel: int

    async def rank(self, request: ScoreRequest, first: Candidate, second: Candidate) -> Choice:
        """Return 1 or 2, or None if the answer could not be read.

        Raises:
            CouldNotJudge: If there is no answer.
        """
        ...


@runtime_checkable
class PromptRanker(Ranker, Protocol):
    """A ranker that also takes a prompt somebody else wrote."""

    async def choose(self, messages: Sequence[Mapping[str, str]]) -> Choice:
        """Return the choice that the answer to this prompt names."""
        ...


Judge = Rater | Ranker


async def rewards_of(rater: Rater, question: Question) -> list[float]:
    """Return the rater's rewards, checked.

    Raises:
        InvalidScore: If a number is missing or not finite.
        CouldNotJudge: As the rater says.
    """
    rewards = [float(reward) for reward in await rater.rate(question)]
    wanted = len(question.request.candidates)
    if len(rewards) != wanted:
        raise InvalidScore(f"{len(rewards)} rewards came for {wanted} candidates")
    for reward in rewards:
        if not math.isfinite(reward):
            raise InvalidScore(f"a reward is {reward}, not a finite number")
    return rewards


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """What judges are made with.

    Attributes:
        model: A folder for `lite`, the server's name of the model for `disc` and `gen`.
        url: The server, for `disc` and `gen`.
        think: Whether `gen` is asked to think first.
        extra: Further fields of its requests, e.g. `chat_template_kwargs`.
    """

    model: str | None = None
    url: str | None = None
    key: str | None = None
    timeout_s: float = 120.0
    max_tokens: int = 4096
    think: bool = False
    parallel: int = 16
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


def readable(question: Question) -> ScoreRequest:
    """Return the request, if it says what was published.

    Raises:
        CouldNotJudge: If it does not.
    """
    if question.defect is not None:
        raise CouldNotJudge(question.defect)
    return question.request
