"""Pools of answers that an OpenAI-compatible endpoint is asked for, marked right or wrong."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.answers.marking import can_be_marked, is_right
from bench.endpoints import Reply, Server
from bench.judges.attempts import ask_all, console
from bench.pools import Pool, sample_of
from toolrm_guard.calls import Candidate, canonical_json
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.labelled import LabelledCall, LabelledCandidate, LabelledRecord, read_records
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import ScoreRequest

_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """Whom to ask, for how much, and with what luck."""

    url: str
    model: str
    key: str | None = None
    samples: int = 16
    temperature: float = 0.7
    max_tokens: int = 1024
    seed: int = 0
    parallel: int = 16


class Sampler:
    """Draws candidates from an endpoint."""

    def __init__(self, settings: SamplingSettings) -> None:
        """Take the settings."""
        self.name = settings.model
        self.parallel = settings.parallel
        self._settings = settings
        self._server = Server(settings.url, settings.model, key=settings.key, timeout_s=_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the connections."""
        await self._server.__aexit__(*error)

    async def draw(self, record: LabelledRecord) -> list[Reply]:
        """Return the samples for one prompt.

        Raises:
            CouldNotJudge: If the endpoint gives none.
        """
        replies: list[Reply] = []
        while len(replies) < self._settings.samples:  # a server may give one, whatever n says
            replies += await self._server.chat(
                chat_of(record.parsed_messages()),
                tools=record.toolset().schemas(),
                n=self._settings.samples - len(replies),
                temperature=self._settings.temperature,
                seed=self._settings.seed + len(replies),
                max_tokens=self._settings.max_tokens,
            )
        return replies


def sample_pools(
    path: Path, settings: SamplingSettings, *, limit: int | None = None, save: Path | None = None
) -> list[Pool]:
    """Return a pool of marked samples for each record whose answers can be marked.

    Args:
        path: Labelled records; their own candidates are not used.
        settings: Of the policy.
        limit: At most so many records.
        save: Write the pools here as labelled records, to be judged again offline.

    Raises:
        ConfigurationError: If no record can be marked, or nothing was sampled.
    """
    known = [record for record in read_records(path) if can_be_marked(record)]
    records = sample_of(known, limit, settings.seed)
    if not records:
        raise ConfigurationError(f"{path}: no record has a reference or possible answers")
    console.print(f"{settings.model}: {settings.samples} samples for {len(records):,} prompts")
    sampler = Sampler(settings)
    done = ask_all(len(records), sampler, lambda i: sampler.draw(records[i]), _TIMEOUT_S)
    for note in done.notes("prompts"):
        console.print(f"{settings.model}: {note}")
    sampled = [
        (record, [reply.candidate for reply in replies])
        for record, replies in zip(records, done.results, strict=True)
        if replies is not None
    ]
    if not sampled:
        raise ConfigurationError(f"{settings.model!r} at {settings.url} gave no sample at all")
    if save is not None:
        write_records(save, [_marked(*each, settings.model) for each in sampled])
    return [_pool(*each) for each in sampled]


def write_records(path: Path, records: Sequence[LabelledRecord]) -> None:
    """Write labelled records, one JSON object a line."""
    lines = (record.model_dump_json(exclude_none=True) for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def chat_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the messages as an OpenAI chat; calls without an id get one that results refer to."""
    chat: list[dict[str, Any]] = []
    pending: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            called = message.call_id or (pending.pop(0) if pending else f"call_{index}")
            chat.append({"role": "tool", "tool_call_id": called, "content": message.text})
            continue
        turn: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.calls:
            ids = [call.id or f"call_{index}_{at}" for at, call in enumerate(message.calls)]
            pending = list(ids)
            turn["tool_calls"] = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": canonical_json(call.arguments)},
                }
                for call_id, call in zip(ids, message.calls, strict=True)
            ]
        chat.append(turn)
    return chat


def _pool(record: LabelledRecord, candidates: Sequence[Candidate]) -> Pool:
    """Return the samples as a pool; one that cannot be read is an answer, too, and wrong."""
    return Pool(
        id=record.id,
        split=record.split,
        request=ScoreRequest(
            messages=record.parsed_messages(),
            tools=record.toolset(),
            candidates=tuple(candidates),
        ),
        correct=tuple(is_right(record, candidate) for candidate in candidates),
    )


def _marked(record: LabelledRecord, candidates: Sequence[Candidate], model: str) -> LabelledRecord:
    labelled = tuple(_labelled(record, candidate, model) for candidate in candidates)
    return record.model_copy(update={"candidates": labelled})


def _labelled(record: LabelledRecord, candidate: Candidate, model: str) -> LabelledCandidate:
    if any(call.defect is not None for call in candidate.calls):
        raw = json.dumps([call.name for call in candidate.calls])
        return LabelledCandidate(model=model, content=candidate.text, tool_calls=None, raw=raw)
    calls = tuple(LabelledCall(name=c.name, arguments=dict(c.arguments)) for c in candidate.calls)
    return LabelledCandidate(
        model=model,
        content=candidate.text,
        tool_calls=calls,
        correct=is_right(record, candidate),
    )
