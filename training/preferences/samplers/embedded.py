"""Responses of the embedded SmolLM2: every call fits its schema, and many are wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from toolrm_guard.calls import Candidate
from toolrm_guard.embedded.sampler import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, EmbeddedSampler
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.messages import parse_messages
from toolrm_guard.tools import ToolSet
from training.preferences.rows import Context, Dropped, Response
from training.preferences.samplers.base import Sampled, lost, sample_alone, seed_of
from training.preferences.samplers.chat_api import Answer, request_body
from training.preferences.samplers.reply_cache import ReplyCache, reply_key

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(slots=True, kw_only=True)
class EmbeddedResponses:
    """Draws of SmolLM2-135M-Instruct under a grammar; equal ones of a context come once.

    Attributes:
        count: Draws a context.
        temperature: Of the distribution under the grammar.
        max_tokens: Of one draw; a call that is cut off is dropped as `malformed_call`.
        cache: SQLite file of draws, so that a second build draws none again; None keeps none.
        sampler: The loaded model; None loads it at first use, in the process that uses it.
        requests: Draws that the last pass wanted.
    """

    count: Annotated[int, Field(ge=1)] = 4
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = DEFAULT_TEMPERATURE
    max_tokens: Annotated[int, Field(ge=1)] = DEFAULT_MAX_TOKENS
    cache: str | None = None
    sampler: EmbeddedSampler | None = field(default=None, repr=False)
    name: str = "embedded"
    requests: int = field(default=0, init=False)

    def sample(self, context: Context, seed: int) -> list[Response]:
        """Return the different draws.

        Raises:
            CouldNotSample: If the prompt is too long, a schema is beyond the grammar, or every
                draw was cut off.
        """
        return sample_alone(self, context, seed)

    def sample_many(
        self, contexts: Iterable[Context], seed: int = 0
    ) -> Iterator[Sampled | Dropped]:
        """Yield every context with its draws, behind what came to nothing.

        A draw that is cut off, or a prompt that the model cannot take, is no lost request: the same
        seed gives the same again, and `funnel.NOT_LOST` has both reasons.
        """
        self.requests = 0
        for context in contexts:
            self.requests += self.count
            at = f"{context.id}@{self.name}"
            try:
                drawn = self._draw(context, seed)
            except ConfigurationError as exc:  # the prompt's length or the tools, not the set-up
                drawn = ()
                yield lost("unsuitable_prompt", at, str(exc))
            responses: dict[str, Response] = {}
            for answer in drawn:
                if answer.refused is not None:
                    yield lost(answer.refused, at, answer.detail)
                    continue
                response = Response(text=answer.text, calls=tuple(answer.calls), by=MODEL)
                responses.setdefault(answer.model_dump_json(), response)
            yield context, list(responses.values())

    def _draw(self, context: Context, seed: int) -> Sequence[Answer]:
        if self.cache is None:
            return self._draw_anew(context, seed)
        options = {"n": self.count, "temperature": self.temperature, "max_tokens": self.max_tokens}
        body = request_body(context, MODEL, seed_of(seed, context.id), options)
        keys = [reply_key(MODEL, {**body, "draw": number}) for number in range(self.count)]
        with ReplyCache(Path(self.cache)) as cache:
            known = [answer for key in keys if (answer := cache.get(key)) is not None]
            if len(known) == self.count:
                return known
            drawn = self._draw_anew(context, seed)
            for key, answer in zip(keys, drawn, strict=True):
                cache.put(key, answer)
        return drawn

    def _draw_anew(self, context: Context, seed: int) -> Sequence[Answer]:
        if self.sampler is None:
            self.sampler = EmbeddedSampler()
        drawn = self.sampler.sample(
            parse_messages(context.messages),
            ToolSet.of(list(context.tools)),
            n=self.count,
            seed=seed_of(seed, context.id),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        return [_answer(candidate) for candidate in drawn.candidates]


def _answer(candidate: Candidate) -> Answer:
    defect = next((call.defect for call in candidate.calls if call.defect), None)
    if defect is not None:
        return Answer(refused="malformed_call", detail=defect.message)
    calls = [{"name": c.name, "arguments": dict(c.arguments)} for c in candidate.calls]
    return Answer(text="" if calls else candidate.text, calls=calls)
