"""Responses of the embedded SmolLM2: every call fits its schema, and many are wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from toolrm_guard.calls import Candidate
from toolrm_guard.embedded.sampler import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, EmbeddedSampler
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.messages import parse_messages
from toolrm_guard.tools import ToolSet
from training.preferences.rows import Context, Dropped, Response
from training.preferences.samplers.base import Sampled, lost, sample_alone, seed_of

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(slots=True, kw_only=True)
class EmbeddedResponses:
    """Draws of SmolLM2-135M-Instruct under a grammar; equal ones of a context come once.

    Attributes:
        count: Draws a context.
        temperature: Of the distribution under the grammar.
        max_tokens: Of one draw; a call that is cut off is lost.
        sampler: The loaded model; None loads it at first use, in the process that uses it.
    """

    count: int = 4
    temperature: float = DEFAULT_TEMPERATURE
    max_tokens: int = DEFAULT_MAX_TOKENS
    sampler: EmbeddedSampler | None = field(default=None, repr=False)
    name: str = "embedded"

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
        """Yield every context with its draws, behind what was lost for it."""
        for context in contexts:
            at = f"{context.id}@{self.name}"
            try:
                drawn = self._draw(context, seed)
            except ConfigurationError as exc:  # the prompt's length or the tools, not the set-up
                drawn = ()
                yield lost("unsuitable_prompt", at, str(exc))
            responses: dict[tuple[str, str], Response] = {}
            for candidate in drawn:
                defect = next((call.defect for call in candidate.calls if call.defect), None)
                if defect is not None:
                    yield lost("malformed_call", at, defect.message)
                    continue
                key = (candidate.canonical, "" if candidate.calls else candidate.text)
                responses.setdefault(key, _response(candidate))
            yield context, list(responses.values())

    def _draw(self, context: Context, seed: int) -> tuple[Candidate, ...]:
        if self.sampler is None:
            self.sampler = EmbeddedSampler()
        return self.sampler.sample(
            parse_messages(context.messages),
            ToolSet.of(list(context.tools)),
            n=self.count,
            seed=seed_of(seed, context.id),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        ).candidates


def _response(candidate: Candidate) -> Response:
    calls = tuple({"name": c.name, "arguments": dict(c.arguments)} for c in candidate.calls)
    return Response(text=candidate.text, calls=calls, by=MODEL)
