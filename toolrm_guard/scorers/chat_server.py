"""One question to an OpenAI-compatible chat server, answered with one of two labels.

How likely each label is comes from the log-probabilities at the label's token where the server
gives them, and else from the label that was written. Every failure has its kind: nobody there, too
late, refused, or an answer that cannot be read.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError

from toolrm_guard.critic_answer import Tag
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    PromptTooLong,
    ScorerRefused,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.scorers.critic_settings import Chat, ChatSettings
from toolrm_guard.scorers.label_probability import LABELS, Reading, Written, read_begun, read_label

MAX_REPLY_BYTES = 16_000_000
"""Of one reply; log-probabilities of a long thought take about a megabyte."""

_PASSING = (408, 409, 425, 429)
"""Refusals that another attempt may not meet, beside 5xx."""

_TOO_LONG = ("context length", "context_length", "too long", "max_model_len", "maximum model")
_PAUSE_S = 0.5
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        reading: The label with its probability; None if the answer has none.
        text: As the model wrote it.
        cut: Whether the server ended it at `max_tokens`.
        prompt_tokens: As the server counts them; 0 if it does not.
        output_tokens: Likewise, a thought included.
    """

    reading: Reading | None
    text: str
    cut: bool
    prompt_tokens: int
    output_tokens: int


class ChatServer:
    """One model at one server; from any event loop, each with its own connections."""

    def __init__(self, settings: ChatSettings) -> None:
        """Take the settings; nothing is sent before `ask`.

        Raises:
            ConfigurationError: If the CA file cannot be read.
        """
        self.settings = settings
        address = httpx.URL(settings.url.rstrip("/").removesuffix("/v1"))
        self._root = str(address)
        # A URL may hold a password.
        self.name = f"{settings.model!r} at {address.copy_with(username=None, password=None)}"
        # Without TLS there is nothing to verify, and reading the system's roots takes 50 ms.
        self._tls = _context(settings.tls) if address.scheme == "https" else False
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._logprobs = True
        self._ids: dict[Tag, tuple[int, int] | None] = {}

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def ask(self, messages: Chat, tag: Tag, deadline: float | None) -> Answer:
        """Return the answer to one question.

        Args:
            messages: From `critic_prompt`, or published ones that ask for the same form.
            tag: Which label the answer ends with.
            deadline: `time.monotonic()` seconds, or None.

        Raises:
            ScorerTimeout: At the deadline, or if the server takes longer than `timeout_s`.
            ScorerUnavailable: If there is no server, or it fails.
            ScorerRefused: If the key, the model's name or a field of the request is wrong.
            PromptTooLong: If the server says so.
            InvalidScore: If the reply is no chat completion.
        """
        left = None if deadline is None else deadline - time.monotonic()
        try:
            async with asyncio.timeout(left):
                try:
                    return await self._ask(messages, tag)
                except _NoLogprobs:
                    self._logprobs = False
                    return await self._ask(messages, tag)
        except TimeoutError as exc:
            raise ScorerTimeout(f"{self.name}: no answer within {left or 0.0:.2f} s") from exc

    async def _ask(self, messages: Chat, tag: Tag) -> Answer:
        ids = await self._label_ids(tag) if self.settings.form == "label" else None
        found = await self._post("/v1/chat/completions", self._body(messages, tag, ids), _Chat)
        return self._answer(found, tag)

    def _body(self, messages: Chat, tag: Tag, ids: tuple[int, int] | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": messages,
            "temperature": 0.0,
            "max_tokens": self.settings.max_tokens,
        }
        if self._logprobs:  # both labels are among the first of a model that can answer
            body |= {"logprobs": True, "top_logprobs": 20 if self.settings.form == "label" else 5}
        if self.settings.thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self.settings.thinking}
        if self.settings.form == "label":
            begun = {"role": "assistant", "content": _begun(tag)}
            body |= {
                "messages": [*messages, begun],
                "add_generation_prompt": False,
                "continue_final_message": True,
                "max_tokens": 1,
            }
        if self._logprobs and ids is not None:
            body["logprob_token_ids"] = list(ids)
        body |= self.settings.extra
        return {name: value for name, value in body.items() if value is not None}

    def _answer(self, found: "_Chat", tag: Tag) -> Answer:
        choice = found.choices[0]
        text = choice.message.content or ""
        tokens = choice.logprobs.content or [] if choice.logprobs else []
        written = [
            Written(t.token, {a.token: a.logprob for a in (t, *t.top_logprobs)}) for t in tokens
        ]
        cut = choice.finish_reason == "length"
        if self.settings.form == "label":
            reading = read_begun(written or [Written(text, {})], tag)
        else:
            reading = read_label(text, written, tag, cut=cut)
        usage = found.usage or _Usage(completion_tokens=len(tokens))
        return Answer(
            reading=reading,
            text=text,
            cut=cut,
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
        )

    async def _label_ids(self, tag: Tag) -> tuple[int, int] | None:
        """Return the token ids of both labels where the answer is begun; None if nobody tells.

        vLLM gives the log-probability of named ids (`logprob_token_ids`) however unlikely they are,
        for less than it gives the likeliest.
        """
        if tag not in self._ids:
            try:
                begun = await self._tokens(_begun(tag))
                ends = [await self._tokens(_begun(tag) + label) for label in LABELS[tag]]
            except (ScorerRefused, InvalidScore):  # not vLLM, or closed: its top ones must do
                self._ids[tag] = None
            else:
                single = all(begun and end[:-1] == begun for end in ends)
                self._ids[tag] = (ends[0][-1], ends[1][-1]) if single else None
        return self._ids[tag]

    async def _tokens(self, text: str) -> list[int]:
        body = {"model": self.settings.model, "prompt": text, "add_special_tokens": False}
        return (await self._post("/tokenize", body, _Tokens)).tokens

    async def _post(self, path: str, body: Mapping[str, Any], form: type[_M]) -> _M:
        for attempt in range(1, self.settings.attempts + 1):
            try:
                content = await self._send(path, body)
                break
            except (ScorerRefused, ScorerTimeout, PromptTooLong):
                raise  # another attempt would meet the same, or wait as long again
            except ScorerUnavailable:
                if attempt == self.settings.attempts:
                    raise
                await asyncio.sleep(_PAUSE_S * 2 ** (attempt - 1))
        try:
            return form.model_validate_json(content)
        except ValidationError as exc:
            first = exc.errors(include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the reply"
            raise InvalidScore(f"{self.name}{path}: {where}: {first['msg']}") from exc

    async def _send(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Return the body of a reply with status 2xx."""
        try:
            async with self._client().stream("POST", self._root + path, json=dict(body)) as reply:
                content = bytearray()
                async for part in reply.aiter_bytes():
                    content += part
                    if len(content) > MAX_REPLY_BYTES:
                        raise InvalidScore(
                            f"{self.name}: a reply of more than {MAX_REPLY_BYTES:,} bytes"
                        )
        except httpx.TimeoutException as exc:
            raise ScorerTimeout(
                f"{self.name}: no answer within {self.settings.timeout_s:g} s"
            ) from exc
        except httpx.DecodingError as exc:
            raise InvalidScore(f"{self.name}: {exc}") from exc
        except httpx.TransportError as exc:
            raise ScorerUnavailable(f"{self.name}: {type(exc).__name__}: {exc}") from exc
        if not reply.is_success:
            said = content.decode("utf-8", "replace")
            if reply.status_code < 500 and "logprobs" in body and "logprob" in said:
                raise _NoLogprobs(f"{self.name} gives no log-probabilities: {self._shown(said)}")
            self._refuse(path, reply.status_code, said)
        return bytes(content)

    def _refuse(self, path: str, status: int, said: str) -> NoReturn:
        if status >= 500 or status in _PASSING:
            raise ScorerUnavailable(f"{self.name} answers {status}")
        if any(sign in said[:2_000].lower() for sign in _TOO_LONG):
            raise PromptTooLong(f"{self.name}: {self._shown(said)}")
        raise ScorerRefused(
            f"{self.name} refuses {path} with {status}: {self._shown(said)}; check the model's "
            "name, the API key, and whether the server knows every field (thinking, form, extra)"
        )

    def _shown(self, said: str) -> str:
        """Return a server's words, without the key should it repeat it."""
        key = self.settings.api_key
        return (said.replace(key, "***") if key else said)[:200]

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            self._clients = {
                known: held for known, held in self._clients.items() if not known.is_closed()
            }
            key = self.settings.api_key
            client = self._clients[loop] = httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                verify=self._tls,
                # Whoever waits for a connection waits within the deadline.
                timeout=httpx.Timeout(self.settings.timeout_s, pool=None),
                limits=httpx.Limits(max_connections=self.settings.parallel),
            )
        return client


class _NoLogprobs(ScorerRefused):
    """The server gives no log-probabilities."""


def _begun(tag: Tag) -> str:
    return f"<evaluation></evaluation><{tag}>"


def _context(tls: ssl.SSLContext | str | Path | None) -> ssl.SSLContext | bool:
    if tls is None or isinstance(tls, ssl.SSLContext):
        return True if tls is None else tls
    try:
        return ssl.create_default_context(cafile=str(tls))
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"CA file {str(tls)!r} cannot be read: {exc}") from exc


class _Alternative(BaseModel):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: list[_Alternative] = []


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chat(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Tokens(BaseModel):
    tokens: list[int]
