"""`critic`: a generative ToolRM behind any OpenAI-compatible server.

It ranks by comparisons of two in both orders, says of each candidate alone whether it is right, and
writes the critique that a draft is sent back with.

A comparison says which of two is better, not whether either is right: the better of two wrong calls
still wins. So the reward, which picks, comes from comparisons, and the probability, which is held
against thresholds, from the verdict on each candidate by itself; a `RewardMap` that was fitted on
your own decisions may take the verdicts' place.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolrm_guard import tracing
from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import Tag, evaluation_in
from toolrm_guard.critic_prompt import comparison_messages, critique_messages
from toolrm_guard.errors import CouldNotJudge, InvalidScore
from toolrm_guard.prompt import inert
from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind
from toolrm_guard.scorers.chat_server import Answer, ChatServer
from toolrm_guard.scorers.critic_settings import Chat, ChatSettings, settings_from
from toolrm_guard.scorers.critic_stats import Counts, CriticStats
from toolrm_guard.scorers.label_probability import Reading
from toolrm_guard.scorers.reward_map import RewardMap
from toolrm_guard.scorers.tournament import Ranking, gather, knockout, round_robin
from toolrm_guard.tools import ToolSet

MAX_CRITIQUE_CHARS = 2_000
"""A critique stands in the policy model's prompt."""

_NOT_ACCEPTED = "This turn was not accepted, and nothing was executed."
_AGAIN = "Propose the turn again."
_EVEN: dict[ThresholdKind, float] = {"read": 0.5, "write": 0.5, "destructive": 0.5, "answer": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Candidates compared with each other.

    Attributes:
        rewards: (candidates,) higher is better; compare only within one ranking.
        order: (candidates,) indices, the best first; equals in the order they were proposed.
        stats: What this ranking took.
    """

    rewards: tuple[float, ...]
    order: tuple[int, ...]
    stats: CriticStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What is said of one candidate by itself.

    Attributes:
        right: The verdict.
        probability: P(right) as the model has it; 0 or 1 where the server gives no
            log-probabilities. Nobody calibrated it.
        evaluation: The reasons, as written; None without any.
        stats: What this opinion took.
    """

    right: bool
    probability: float
    evaluation: str | None
    stats: CriticStats


class CriticScorer:
    """The model behind the `Scorer` and the `Critic` protocol.

    Example:
        >>> critic = CriticScorer(ChatSettings(url="http://localhost:8000", model="toolrm-gen"))
        >>> guard = Guard("lite", critic=critic, policy=Policy(deadline_s=20))
    """

    name = "critic"

    def __init__(
        self,
        settings: ChatSettings | None = None,
        *,
        ranking: Ranking = "knockout",
        reward_map: RewardMap | None = None,
    ) -> None:
        """Take the server; nothing is sent yet.

        Args:
            settings: Default: what the variables `TOOLRM_GUARD_CRITIC_...` name.
            ranking: `knockout` takes N - 1 comparisons and finds the best; `round_robin` takes all
                pairs and orders the rest as well.
            reward_map: From reward to probability, fitted for this ranking and your number of
                candidates. None takes the verdict on each candidate instead, and 0.5 as threshold
                for all: `toolrm-guard calibrate` makes better ones.

        Raises:
            ConfigurationError: If a setting is missing or wrong.
        """
        self.settings = settings or settings_from()
        self._server = ChatServer(self.settings)
        self._ranking = ranking
        self._map = reward_map
        self._counts = Counts()

    @property
    def thresholds(self) -> Mapping[ThresholdKind, float]:
        """Those of the map; without one, as likely right as wrong."""
        return _EVEN if self._map is None else self._map.thresholds

    @property
    def fingerprint(self) -> str:
        """Hash of the model's name and of how it is asked; the server's weights are not seen."""
        mode, nothing, none = self.settings.mode, Candidate(), ToolSet.of([])
        asked = comparison_messages((), none, nothing, nothing, mode)
        asked += critique_messages((), none, nothing, mode)
        known = (self.settings.model, self.settings.form, self.settings.thinking, self._ranking)
        content = f"{known} {self._map} {asked} {sorted(self.settings.extra.items())}"
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def stats(self) -> CriticStats:
        """What was asked and written since the scorer was made: a snapshot."""
        return self._counts.snapshot()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the scores of each request; all questions are asked side by side.

        Raises:
            CouldNotJudge: If any question has no answer in time, or one without a label.
        """
        return await gather([self._score(request, deadline) for request in requests])

    async def rank(self, request: ScoreRequest, deadline: float | None) -> Ranked:
        """Return the candidates' rewards from comparisons; equal candidates are compared once.

        Raises:
            CouldNotJudge: As `score`.
        """
        counts = Counts(into=self._counts)
        rewards = await self._rewards(request, deadline, counts)
        order = sorted(range(len(rewards)), key=lambda index: -rewards[index])
        return Ranked(rewards=tuple(rewards), order=tuple(order), stats=counts.snapshot())

    async def compare(
        self, request: ScoreRequest, first: Candidate, second: Candidate, deadline: float | None
    ) -> Reading | None:
        """Return how likely the first is the better one, as asked in this order alone.

        None if the answer names no choice. The order sways every model: `rank` asks for both.
        """
        return await self.choose(self._asked(request, first, second), deadline)

    async def choose(self, messages: Chat, deadline: float | None) -> Reading | None:
        """Return the choice that the answer to a published comparison names, as `compare`."""
        return (await self._ask(messages, "choice", deadline, self._counts)).reading

    async def examine(self, request: ScoreRequest, index: int, deadline: float | None) -> Opinion:
        """Return what the model says of one candidate; it sees no other.

        Raises:
            CouldNotJudge: As `score`.
        """
        counts = Counts(into=self._counts)
        answer, reading = await self._verdict(request, index, deadline, counts)
        return Opinion(
            right=reading.first >= 0.5,
            probability=reading.first,
            evaluation=evaluation_in(answer.text),
            stats=counts.snapshot(),
        )

    async def critique(self, request: ScoreRequest, index: int, deadline: float | None) -> str:
        """Return what is wrong with a candidate, for the policy model.

        Raises:
            CouldNotJudge: As `score`, and if the model finds nothing wrong or gives no reasons; the
                findings then stand in.
        """
        if self.settings.form == "label":
            raise CouldNotJudge("form='label' leaves out the reasons; make the critic another one")
        opinion = await self.examine(request, index, deadline)
        if opinion.right or opinion.evaluation is None:
            said = "finds nothing wrong" if opinion.right else "gives no reasons"
            raise CouldNotJudge(f"{self._server.name} {said}")
        return f"{_NOT_ACCEPTED}\n{_bounded(inert(opinion.evaluation))}\n{_AGAIN}"

    async def _score(self, request: ScoreRequest, deadline: float | None) -> list[Score]:
        counts = Counts(into=self._counts)
        if self._map is None:
            rewards, probabilities = await gather(
                [
                    self._rewards(request, deadline, counts),
                    self._probabilities(request, deadline, counts),
                ]
            )
        else:
            rewards = await self._rewards(request, deadline, counts)
            probabilities = self._map.probability(np.array(rewards)).tolist()
        spent = counts.snapshot()
        tracing.annotate(
            {"critic.requests": spent.requests, "critic.output_tokens": spent.output_tokens}
        )
        return [
            Score(reward=reward, probability=probability)
            for reward, probability in zip(rewards, probabilities, strict=True)
        ]

    async def _rewards(
        self, request: ScoreRequest, deadline: float | None, counts: Counts
    ) -> list[float]:
        distinct, place = _distinct(request.candidates)

        async def compare(one: int, other: int) -> float:
            first, second = request.candidates[distinct[one]], request.candidates[distinct[other]]
            return await self._both_orders(request, first, second, deadline, counts)

        play = knockout if self._ranking == "knockout" else round_robin
        rewards = await play(len(distinct), compare)
        return [rewards[k] for k in place]

    async def _probabilities(
        self, request: ScoreRequest, deadline: float | None, counts: Counts
    ) -> list[float]:
        distinct, place = _distinct(request.candidates)
        verdicts = await gather([self._verdict(request, k, deadline, counts) for k in distinct])
        return [verdicts[k][1].first for k in place]

    async def _verdict(
        self, request: ScoreRequest, index: int, deadline: float | None, counts: Counts
    ) -> tuple[Answer, Reading]:
        counts.add(verdicts=1)
        candidate = request.candidates[index]
        asked = critique_messages(request.messages, request.tools, candidate, self.settings.mode)
        answer = await self._ask(asked, "verdict", deadline, counts)
        return answer, self._read(answer, "verdict")

    async def _both_orders(
        self,
        request: ScoreRequest,
        first: Candidate,
        second: Candidate,
        deadline: float | None,
        counts: Counts,
    ) -> float:
        """Return P(the first is better); 0.5 if the model does not name it or the other twice."""
        counts.add(comparisons=1)
        answers = await gather(
            [
                self._ask(self._asked(request, one, other), "choice", deadline, counts)
                for one, other in ((first, second), (second, first))
            ]
        )
        there, back = (self._read(answer, "choice").first for answer in answers)
        if (there - 0.5) * (0.5 - back) <= 0.0:
            counts.add(disagreements=1)
            return 0.5
        return (there + 1.0 - back) / 2

    def _asked(self, request: ScoreRequest, first: Candidate, second: Candidate) -> Chat:
        mode = self.settings.mode
        return comparison_messages(request.messages, request.tools, first, second, mode)

    async def _ask(
        self, messages: Chat, tag: Tag, deadline: float | None, counts: Counts
    ) -> Answer:
        counts.add(requests=1)
        try:
            answer = await self._server.ask(messages, tag, deadline)
        except CouldNotJudge:
            counts.add(failures=1)
            raise
        counts.add(
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            unreadable=answer.reading is None,
            from_logprobs=answer.reading is not None and answer.reading.from_logprobs,
        )
        return answer

    def _read(self, answer: Answer, tag: Tag) -> Reading:
        if answer.reading is None:
            why = (
                "it was cut off; raise max_tokens" if answer.cut else "is it trained for the form?"
            )
            raise InvalidScore(
                f"{self._server.name}: an answer of {answer.output_tokens} tokens names no {tag} "
                f"({why})"
            )
        return answer.reading


def _distinct(candidates: Sequence[Candidate]) -> tuple[list[int], list[int]]:
    """Return the index of each distinct candidate, and for every one which of these it is."""
    number: dict[tuple[str, ...], int] = {}
    firsts: list[int] = []
    place: list[int] = []
    for index, candidate in enumerate(candidates):
        key = (*(call.canonical for call in candidate.calls), candidate.text)
        if key not in number:
            number[key] = len(firsts)
            firsts.append(index)
        place.append(number[key])
    return firsts, place


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_CRITIQUE_CHARS else f"{text[:MAX_CRITIQUE_CHARS]} [...]"
