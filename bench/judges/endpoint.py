"""Reward models behind a server: `disc` by vLLM's `/classify`, `gen` by any chat endpoint."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from bench.endpoints import ATTEMPTS, Server
from bench.judges.protocol import JudgeSettings, Question
from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import Choice
from toolrm_guard.errors import ConfigurationError, ScorerRefused
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.critic import CriticScorer
from toolrm_guard.scorers.critic_settings import ChatSettings
from toolrm_guard.scorers.json_server import Connection
from toolrm_guard.scorers.label_probability import Reading


class DiscRater:
    """A discriminative reward model: one raw reward per conversation with its answer."""

    name = "disc"
    alone = True

    def __init__(self, settings: JudgeSettings) -> None:
        """Take the server's address and the model's name."""
        if not settings.url or not settings.model:
            raise ConfigurationError("--scorer disc needs --endpoint URL and --model NAME")
        self.parallel = settings.parallel
        self._server = Server(
            settings.url, settings.model, key=settings.key, timeout_s=settings.timeout_s
        )

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the connections."""
        await self._server.__aexit__(*error)

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


class GenRanker:
    """A generative reward model: `<choice>1</choice>` or `<choice>2</choice>` in its answer."""

    name = "gen"

    def __init__(self, settings: JudgeSettings) -> None:
        """Take the server's address and the model's name."""
        self.parallel = settings.parallel
        self._critic = critic_of(settings, "--scorer gen needs --endpoint URL and --model NAME")

    async def __aenter__(self) -> Self:
        """Connections open as they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._critic.aclose()

    @property
    def output_tokens(self) -> int:
        """Written so far, as the server counts them."""
        return self._critic.stats.output_tokens

    async def rank(self, request: ScoreRequest, first: Candidate, second: Candidate) -> Choice:
        """Return the better one, or None if the answer names none."""
        with set_up_mistakes():
            return _choice(await self._critic.compare(request, first, second, None))

    async def choose(self, messages: Sequence[Mapping[str, str]]) -> Choice:
        """Return what the answer to these messages names."""
        with set_up_mistakes():
            return _choice(await self._critic.choose(messages, None))


def critic_of(settings: JudgeSettings, needed: str) -> CriticScorer:
    """Return the library's critic as a bench asks it: patiently, and with a seed.

    Raises:
        ConfigurationError: If no server is named; it says what is needed.
    """
    if not settings.url or not settings.model:
        raise ConfigurationError(needed)
    return CriticScorer(
        ChatSettings(
            url=settings.url,
            model=settings.model,
            connection=Connection(api_key=settings.key),
            # Unasked, no field is sent that only some servers know.
            thinking=True if settings.think else None,
            max_tokens=settings.max_tokens,
            parallel=settings.parallel,
            attempts=ATTEMPTS,
            timeout_s=settings.timeout_s,
            extra={"seed": settings.seed, **settings.extra},
        )
    )


@contextmanager
def set_up_mistakes() -> Iterator[None]:
    """Let a refusal end the run: no number would say anything.

    Raises:
        ConfigurationError: In place of `ScorerRefused`.
    """
    try:
        yield
    except ScorerRefused as exc:
        raise ConfigurationError(str(exc)) from exc


def _choice(reading: Reading | None) -> Choice:
    if reading is None:
        return None
    return 1 if reading.first > 0.5 else 2
