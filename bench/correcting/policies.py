"""Who writes the drafts in the self-correction bench.

`endpoint` is any OpenAI-compatible server, `embedded` the small model that ships with the library.
`recorded` needs neither: its drafts are a record's own outputs, in a seeded order, so that a
rejected draft is followed by another model's answer and no critique is read.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from bench.answers.marking import is_right
from bench.endpoints import Server
from bench.sampling import SamplingSettings, chat_of
from toolrm_guard.calls import Candidate, canonical_json
from toolrm_guard.errors import ConfigurationError, CouldNotJudge
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.messages import parse_messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One answer of a policy.

    Attributes:
        right: Its label, where the policy brings one; None leaves it to `bench.answers.marking`.
        output_tokens: That the policy generated.
    """

    candidate: Candidate
    right: bool | None = None
    output_tokens: int = 0

    def is_right(self, record: LabelledRecord) -> bool:
        """Tell whether it is right."""
        return is_right(record, self.candidate) if self.right is None else self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A draft that was sent back, and why."""

    candidate: Candidate
    critique: str


class Policy(Protocol):
    """Answers a prompt, and again after critiques.

    Attributes:
        name: For the report.
        parallel: How many prompts it can be asked at once.
    """

    name: str
    parallel: int

    async def draft(self, record: LabelledRecord, rejected: Sequence[Rejected]) -> Draft:
        """Return the next draft.

        Raises:
            CouldNotJudge: If there is none.
        """
        ...


class EndpointPolicy:
    """A model behind an OpenAI-compatible server."""

    def __init__(self, settings: SamplingSettings) -> None:
        """Take the server."""
        self.name = settings.model
        self.parallel = settings.parallel
        self._settings = settings
        self._server = Server(settings.url, settings.model, key=settings.key)

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the connections."""
        await self._server.__aexit__(*error)

    async def draft(self, record: LabelledRecord, rejected: Sequence[Rejected]) -> Draft:
        """Return the model's answer."""
        chat = [*chat_of(record.parsed_messages()), *_exchange(rejected)]
        [reply] = await self._server.chat(
            chat,
            tools=record.toolset().schemas(),
            temperature=self._settings.temperature,
            seed=self._settings.seed + len(rejected),
            max_tokens=self._settings.max_tokens,
        )
        return Draft(candidate=reply.candidate, output_tokens=reply.output_tokens)


class EmbeddedPolicy:
    """SmolLM2-135M-Instruct under a grammar."""

    name = "embedded"
    parallel = 1

    def __init__(self, seed: int) -> None:
        """Load the model."""
        from toolrm_guard.embedded.sampler import EmbeddedSampler  # torch only where asked for

        self._sampler = EmbeddedSampler()
        self._seed = seed

    async def draft(self, record: LabelledRecord, rejected: Sequence[Rejected]) -> Draft:
        """Return the model's answer."""
        messages = parse_messages([*record.messages, *_exchange(rejected)])
        try:
            sampled = await asyncio.to_thread(
                self._sampler.sample,
                messages,
                record.toolset(),
                n=1,
                seed=self._seed + len(rejected),
                # After a tool message it would be free to end in text; the task is not done.
                text_allowed=not rejected,
            )
        except ConfigurationError as exc:  # too long for it, or a schema its grammar lacks
            raise CouldNotJudge(f"the embedded model cannot answer {record.id!r}: {exc}") from exc
        return Draft(candidate=sampled.candidates[0], output_tokens=sum(sampled.generated_tokens))


class RecordedPolicy:
    """A record's labelled outputs, one after the other."""

    name = "recorded"
    parallel = 1

    def __init__(self, seed: int) -> None:
        """Take the seed of the order."""
        self._seed = seed

    async def draft(self, record: LabelledRecord, rejected: Sequence[Rejected]) -> Draft:
        """Return the next output in the record's seeded order.

        Raises:
            CouldNotJudge: If all were rejected.
        """
        known = [c for c in record.candidates if c.tool_calls is not None and c.correct is not None]
        if len(rejected) >= len(known):
            raise CouldNotJudge(f"record {record.id!r} has no output left to propose")
        order = random.Random(f"{self._seed}/{record.id}").sample(known, len(known))
        chosen = order[len(rejected)]
        return Draft(candidate=chosen.candidate(), right=chosen.correct)


def _exchange(rejected: Sequence[Rejected]) -> list[dict[str, Any]]:
    """Return what was proposed and why it was refused, as the guard tells it to an agent."""
    chat: list[dict[str, Any]] = []
    for turn, each in enumerate(rejected):
        calls = [
            {
                "id": f"draft_{turn}_{at}",
                "type": "function",
                "function": {"name": call.name, "arguments": canonical_json(call.arguments)},
            }
            for at, call in enumerate(each.candidate.calls)
        ]
        answer: dict[str, Any] = {"role": "assistant", "content": each.candidate.text}
        if not calls:
            chat += [answer, {"role": "user", "content": each.critique}]
            continue
        chat.append({**answer, "tool_calls": calls})
        chat += [
            {"role": "tool", "tool_call_id": call["id"], "content": each.critique} for call in calls
        ]
    return chat
