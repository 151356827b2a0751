"""What the benches can judge with: rewards for every candidate, or a choice between two.

`random`, `longer`, `schema` and `vote` are the baselines; `lite`, `logprob` and `disc` give rewards
too; `gen` chooses between two. What cannot judge raises `CouldNotJudge` and never gets a number.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import Choice
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, InvalidScore
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


Rewards = Callable[[Question], Sequence[float]]


class LocalRater:
    """A function as a rater."""

    parallel = 1

    def __init__(self, name: str, rewards: Rewards, *, alone: bool) -> None:
        """Take the function; `alone` as in `Rater`."""
        self.name = name
        self.alone = alone
        self._rewards = rewards

    async def rate(self, question: Question) -> Sequence[float]:
        """Return the function's rewards."""
        return self._rewards(question)


# --- by name ------------------------------------------------------------------------------------


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


def make_judge(name: str, settings: JudgeSettings) -> Judge:
    """Return the judge of that name.

    Raises:
        ConfigurationError: If there is none, or it lacks a setting.
    """
    if name not in JUDGES:
        raise ConfigurationError(f"no scorer {name}; known: {', '.join(JUDGES)}, or `all`")
    return JUDGES[name](settings)


def _random(settings: JudgeSettings) -> Judge:
    rng = random.Random(settings.seed)
    # Not `alone`: equal candidates have unequal luck.
    return LocalRater("random", lambda q: [rng.random() for _ in q.request.candidates], alone=False)


def _longer(_: JudgeSettings) -> Judge:
    def rewards(question: Question) -> list[float]:
        return [float(len(c.canonical) + len(c.text)) for c in question.request.candidates]

    return LocalRater("longer", rewards, alone=True)


def _schema(_: JudgeSettings) -> Judge:
    """A candidate whose calls all pass the schema checks gets 1; so does one without calls."""

    def rewards(question: Question) -> list[float]:
        finder = readable(question).finder
        return [
            float(not any(f.severity == "error" for call in c.calls for f in finder.check(call)))
            for c in question.request.candidates
        ]

    return LocalRater("schema", rewards, alone=True)


def _vote(_: JudgeSettings) -> Judge:
    """Share of the prompt's other answers with the same calls; the candidate itself is out."""

    def rewards(question: Question) -> list[float]:
        if not question.pool:
            raise CouldNotJudge("there are no other answers to this prompt to vote with")
        others = max(question.pool.total() - 1, 1)
        return [(question.pool[c.canonical] - 1) / others for c in question.request.candidates]

    return LocalRater("vote", rewards, alone=False)


def _lite(settings: JudgeSettings) -> Judge:
    from toolrm_guard.scorers.lite import LiteModel  # LightGBM only where it is asked for

    model = LiteModel.load(settings.model)
    latest: list[ScoreRequest] = []

    def rewards(question: Question) -> list[float]:
        request = readable(question)
        # Sets drawn from one pool share the context, and what was read of it.
        if not (latest and latest[0].messages is request.messages):
            latest[:] = [request]
        return [float(reward) for reward in model.rewards(request, latest[0].finder)]

    # Its features compare a candidate with the others of the request.
    return LocalRater("lite", rewards, alone=False)


def _logprob(_: JudgeSettings) -> Judge:
    from bench.judges.logprob import LogprobRater  # torch only where it is asked for

    return LogprobRater()


def _disc(settings: JudgeSettings) -> Judge:
    from bench.judges.endpoint import DiscRater

    return DiscRater(settings)


def _gen(settings: JudgeSettings) -> Judge:
    from bench.judges.endpoint import GenRanker

    return GenRanker(settings)


def readable(question: Question) -> ScoreRequest:
    """Return the request, if it says what was published.

    Raises:
        CouldNotJudge: If it does not.
    """
    if question.defect is not None:
        raise CouldNotJudge(question.defect)
    return question.request


JUDGES: dict[str, Callable[[JudgeSettings], Judge]] = {
    "random": _random,
    "longer": _longer,
    "schema": _schema,
    "vote": _vote,
    "lite": _lite,
    "logprob": _logprob,
    "disc": _disc,
    "gen": _gen,
}
LOCAL = ("random", "longer", "schema", "vote", "lite")
"""What `all` means: no server, no torch, a few milliseconds a pair."""
