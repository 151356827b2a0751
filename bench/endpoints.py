"""A small client for OpenAI-compatible servers and for vLLM's `/classify`.

Every failure is one of two: the set-up is wrong (`ConfigurationError`), or there was no answer
(`CouldNotJudge`), after a few attempts where another one can help.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx
from pydantic import BaseModel, Field, ValidationError

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerTimeout,
    ScorerUnavailable,
)

ATTEMPTS = 3
_PAUSE_S = 0.5
_PASSING = (408, 409, 425, 429)
"""Refusals that another attempt may not meet, beside 5xx."""

_TOO_LONG = re.compile(r"context.length|too long|max_model_len|maximum (?:model|input)", re.I)
"""In a refusal: this one prompt does not fit, which says nothing of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a chat model and what it cost."""

    candidate: Candidate
    output_tokens: int


class _Function(BaseModel):
    name: str = ""
    arguments: str | dict[str, Any] = ""


class _ToolCall(BaseModel):
    id: str | None = None
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    completion_tokens: int = 0


class _Chat(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Class(BaseModel):
    probs: list[float | None] = Field(min_length=1)


class _Classes(BaseModel):
    data: list[_Class]


class Server:
    """One model at one server; opened once an event loop."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        timeout_s: float = 120.0,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """Take the address, with or without `/v1` at its end.

        Raises:
            ConfigurationError: If the address is none, or no model is named.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"endpoint {url!r} is no URL; give e.g. http://localhost:8000")
        if not model:
            raise ConfigurationError(f"no model is named for {url}; give the name it serves")
        self.model = model
        self.root = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Open the connections."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.AsyncClient(timeout=self._timeout_s, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        n: int = 1,
        temperature: float = 0.0,
        seed: int | None = None,
        max_tokens: int = 1024,
        extra: Mapping[str, Any] | None = None,
    ) -> list[Reply]:
        """Return n answers; the tokens that a server counts for all stand with the first.

        Raises:
            ConfigurationError: If the server refuses the request.
            CouldNotJudge: If it cannot be reached, is late, or answers in another form.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "n": n,
            "temperature": temperature,
            "max_tokens": max_tokens,
            **(extra or {}),
        }
        if seed is not None:
            body["seed"] = seed
        if tools:
            body["tools"] = [{"type": "function", "function": dict(tool)} for tool in tools]
        found = await self._post("/v1/chat/completions", body, _Chat)
        tokens = found.usage.completion_tokens if found.usage else 0
        return [
            Reply(candidate=_candidate(choice.message), output_tokens=0 if index else tokens)
            for index, choice in enumerate(found.choices)
        ]

    async def classify(self, body: Mapping[str, Any]) -> list[float]:
        """Return the raw reward of every input of a `/classify` request.

        Raises:
            ConfigurationError: If the server refuses, or its model has several classes.
            CouldNotJudge: As `chat`.
        """
        # Without it vLLM returns sigmoids, in which strong rewards become equal.
        full = {"model": self.model, "use_activation": False, **body}
        found = await self._post("/classify", full, _Classes)
        if any(len(item.probs) != 1 for item in found.data):
            raise ConfigurationError(
                f"{self.model!r} at {self.root} gives {len(found.data[0].probs)} classes; "
                "a reward model has one"
            )
        if any(item.probs[0] is None for item in found.data):
            raise InvalidScore(f"{self.model!r} at {self.root} gave null for a reward")
        return [float(item.probs[0] or 0.0) for item in found.data]

    async def _post(self, path: str, body: Mapping[str, Any], form: type[Any]) -> Any:
        if self._client is None:
            raise RuntimeError("open the server with `async with` first")
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                reply = await self._client.post(self.root + path, json=dict(body))
            except httpx.TimeoutException as exc:  # another attempt would wait as long again
                raise ScorerTimeout(
                    f"{self.root}{path}: no answer within {self._timeout_s:g} s"
                ) from exc
            except httpx.TransportError as exc:
                if last:
                    raise ScorerUnavailable(f"{self.root}{path}: {exc}") from exc
            else:
                if reply.status_code < 300:
                    return self._read(path, reply, form)
                if reply.status_code < 500 and _TOO_LONG.search(reply.text[:2_000]):
                    raise ScorerUnavailable(
                        f"{self.root}{path}: the prompt is too long: {reply.text[:200]}"
                    )
                if reply.status_code < 500 and reply.status_code not in _PASSING:
                    raise ConfigurationError(
                        f"{self.root}{path} refuses with {reply.status_code}: {reply.text[:300]}; "
                        "check the model's name, the key and the server's mode"
                    )
                if last:
                    raise ScorerUnavailable(f"{self.root}{path} answers {reply.status_code}")
            await asyncio.sleep(self._pause_s * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, path: str, reply: httpx.Response, form: type[Any]) -> Any:
        try:
            return form.model_validate_json(reply.content)
        except ValidationError as exc:
            first = exc.errors(include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the reply"
            raise InvalidScore(f"{self.root}{path}: {where}: {first['msg']}") from exc


def key_from(variable: str | None) -> str | None:
    """Return the API key that an environment variable holds; None asks without one.

    Raises:
        ConfigurationError: If the variable is named, but empty.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(f"--key-env {variable}: this environment variable is not set")
    return key


def _candidate(message: _Message) -> Candidate:
    calls = tuple(
        Call.parse(
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        )
        for call in message.tool_calls or ()
    )
    return Candidate(text=message.content or "", calls=calls)
