"""One question to an OpenAI-compatible chat server, answered with one of two labels.

How likely each label is comes from the log-probabilities at the label's token where the server
gives them, and else from the label that was written. Every failure has its kind: nobody there, too
late, refused, or an answer that cannot be read.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from toolrm_guard import blocking
from toolrm_guard.critic_answer import Tag
from toolrm_guard.errors import InvalidScore, PromptTooLong, ScorerTimeout, ScorerUnavailable
from toolrm_guard.scorers.critic_settings import Chat, ChatSettings
from toolrm_guard.scorers.json_server import Form, HttpRefusal, JsonServer
from toolrm_guard.scorers.label_probability import (
    LABELS,
    Reading,
    Written,
    read_begun,
    read_label,
)

_CHAT = "/v1/chat/completions"
_TOO_LONG = ("context length", "context_length", "too long", "max_model_len", "maximum model")
_PAUSE_S = 0.5


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
    """One model at one server, asked on the library's own loop from whichever loop calls."""

    def __init__(self, settings: ChatSettings) -> None:
        """Take the settings; nothing is sent before `ask`.

        Raises:
            ConfigurationError: If the address is none, or a certificate cannot be read.
        """
        self.settings = settings
        self._server = JsonServer(
            settings.url,
            settings.connection,
            remedy=_remedy,
            max_connections=settings.parallel,
        )
        self.name = f"{settings.model!r} at {self._server.url}"
        self._logprobs = True
        self._ids: dict[Tag, tuple[int, int] | None] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await blocking.on_io_loop(self._server.aclose())

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
        left_s = math.inf if deadline is None else deadline - time.monotonic()
        limit_s = min(left_s, self.settings.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                return await blocking.on_io_loop(self._ask(messages, tag))
        except TimeoutError as exc:
            raise ScorerTimeout(f"{self.name}: no answer within {limit_s:.2f} s") from exc

    async def _ask(self, messages: Chat, tag: Tag) -> Answer:
        ids = await self._label_ids(tag) if self.settings.form == "label" else None
        body = self._body(messages, tag, ids)
        try:
            found = await self._post(_CHAT, body, _Chat)
        except HttpRefusal as exc:
            said = exc.said.lower()
            if "logprobs" in body.keys() - self.settings.extra.keys() and "logprob" in said:
                self._logprobs = False
                return await self._ask(messages, tag)
            if any(sign in said for sign in _TOO_LONG):
                raise PromptTooLong(f"{self.name}: {exc.said[:200]}") from exc
            raise
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
            except (HttpRefusal, InvalidScore):  # not vLLM, or closed: its top ones must do
                self._ids[tag] = None
            else:
                single = all(begun and end[:-1] == begun for end in ends)
                self._ids[tag] = (ends[0][-1], ends[1][-1]) if single else None
        return self._ids[tag]

    async def _tokens(self, text: str) -> list[int]:
        body = {"model": self.settings.model, "prompt": text, "add_special_tokens": False}
        return (await self._post("/tokenize", body, _Tokens)).tokens

    async def _post(self, path: str, body: Mapping[str, Any], form: type[Form]) -> Form:
        for attempt in range(1, self.settings.attempts):
            try:
                return await self._server.ask("POST", path, body, form)
            except HttpRefusal:
                raise  # another attempt would meet the same
            except ScorerUnavailable:
                await asyncio.sleep(_PAUSE_S * 2 ** (attempt - 1))
        return await self._server.ask("POST", path, body, form)


def _begun(tag: Tag) -> str:
    return f"<evaluation></evaluation><{tag}>"


def _remedy(status: int) -> str:
    if status in {401, 403}:
        return "check the API key"
    if status == 404:
        return "check the URL and the model's name"
    return "does the server know every field that is sent (thinking, form, extra)?"


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
