"""Reward models behind a server: `disc` by vLLM's `/classify`, `gen` by any chat endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from bench.endpoints import Server
from bench.judges.kinds import JudgeSettings, Question
from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import Choice, choice_in
from toolrm_guard.critic_prompt import CriticMode, comparison_messages
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers.base import ScoreRequest


class _Served:
    """What both have in common: a server and how many requests are in flight."""

    def __init__(self, name: str, settings: JudgeSettings) -> None:
        if not settings.url or not settings.model:
            raise ConfigurationError(f"--scorer {name} needs --endpoint URL and --model NAME")
        self.name = name
        self.parallel = settings.parallel
        self._settings = settings
        self._server = Server(
            settings.url, settings.model, key=settings.key, timeout_s=settings.timeout_s
        )

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.__aexit__(*error)


class DiscRater(_Served):
    """A discriminative reward model: one raw reward per conversation with its answer."""

    alone = True

    def __init__(self, settings: JudgeSettings) -> None:
        """Take the server's address and the model's name."""
        super().__init__("disc", settings)

    async def rate(self, question: Question) -> Sequence[float]:
        """Return the rewards.

        A published conversation goes through the model's own chat template on the server; ours is
        rendered here, as the model was trained.
        """
        if question.chat is None:
            prompt = render_prompt(question.request.messages, question.request.tools)
            texts = [
                prompt + render_candidate(candidate) + END_OF_TURN
                for candidate in question.request.candidates
            ]
            return await self._server.classify({"input": texts})
        rewards: list[float] = []
        for text in question.texts:
            chat: list[Mapping[str, str]] = [
                *question.chat,
                {"role": "assistant", "content": text},
            ]
            body: dict[str, Any] = {"messages": chat, "add_generation_prompt": False}
            rewards += await self._server.classify(body)
        return rewards


class GenRanker(_Served):
    """A generative reward model: `<choice>1</choice>` or `<choice>2</choice>` in its answer.

    Attributes:
        output_tokens: Written so far, as the server counts them.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        """Take the server's address and the model's name."""
        super().__init__("gen", settings)
        self.output_tokens = 0

    async def rank(self, request: ScoreRequest, first: Candidate, second: Candidate) -> Choice:
        """Return the better one, or None if the answer names none."""
        mode: CriticMode = "think" if self._settings.think else "no_think"
        asked = comparison_messages(request.messages, request.tools, first, second, mode)
        return await self.choose(asked)

    async def choose(self, messages: Sequence[Mapping[str, str]]) -> Choice:
        """Return what the answer to these messages names."""
        [reply] = await self._server.chat(
            messages,
            seed=self._settings.seed,
            max_tokens=self._settings.max_tokens,
            extra=self._settings.extra,
        )
        self.output_tokens += reply.output_tokens
        return choice_in(reply.candidate.text)
