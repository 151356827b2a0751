"""One OpenAI-compatible endpoint: a request with retries, and whether it is still worth asking."""

import asyncio
import datetime
import email.utils
import json
import os
import random
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from toolrm_guard.errors import ConfigurationError
from training.preferences.samplers.base import CouldNotSample
from training.preferences.samplers.chat_api import Answer, read_reply

MAX_REPLY_BYTES = 8 * 2**20

MIN_SECRET = 8
"""Shorter keys are what servers without keys are given ("EMPTY", "x"): no secret, and to strike
them out of replies would spoil answers that hold the same word."""

_RETRIED = (408, 409, 425, 429)
_MISCONFIGURED = (401, 403, 404, 405)


class EndpointSettings(BaseModel):
    """Where a model is served, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Base address up to and with `/v1`.")
    model: str
    api_key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",  # a key itself, put here by mistake, mostly has a dash
        description="Name of the variable that holds the key.",
    )
    temperature: float = 1.0
    max_tokens: int = Field(default=1024, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict, description="Further fields of the body.")

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("not an http(s) address")
        if parsed.userinfo or parsed.query:
            raise ValueError("has a user or a query; keys belong into the variable `api_key_env`")
        return url.rstrip("/")

    def options(self) -> dict[str, Any]:
        """Return the body's fields that are not the conversation."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.extra}

    def key(self) -> str | None:
        """Return the API key, without the line end that files of keys have.

        Raises:
            ConfigurationError: If its variable is not set, or holds what no header can.
        """
        if self.api_key_env is None:
            return None
        value = os.environ.get(self.api_key_env, "").strip()
        if not value:
            raise ConfigurationError(
                f"endpoint {self.url}: the variable {self.api_key_env!r} is not set; export the "
                "API key under that name"
            )
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(
                f"endpoint {self.url}: the variable {self.api_key_env!r} holds characters that no "
                "key has (a line end, a control character, or no ASCII); export the key alone"
            )
        return value


class Patience(BaseModel):
    """How long one request is tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=5, ge=1)
    timeout_s: float = Field(
        default=120.0, gt=0, description="For a whole reply, however it drips."
    )
    backoff_s: float = Field(
        default=1.0, ge=0, description="Before the first retry; doubled each time."
    )
    max_backoff_s: float = Field(
        default=60.0, ge=0, description="A longer Retry-After ends the request."
    )
    dead_after: int = Field(
        default=8, ge=1, description="Failures in a row that take it out of rotation."
    )


class Failed(CouldNotSample):
    """A request that failed; `final` says that trying again would not help."""

    def __init__(
        self, reason: str, detail: str, *, final: bool = False, wait_s: float | None = None
    ) -> None:
        """Keep what the next step hangs on."""
        super().__init__(reason, detail)
        self.final = final
        self.wait_s = wait_s


class Endpoint:
    """An endpoint in one run, with its state: how it failed lately, and until when it rests."""

    def __init__(self, settings: EndpointSettings, patience: Patience, client: httpx.AsyncClient):
        """Read the key now, so that a missing one fails before anything is asked."""
        self.settings = settings
        self.dead = False
        self._patience = patience
        self._client = client
        self._key = settings.key()
        self._failures = 0
        self._rests_until = 0.0
        # Back-off must differ between processes, or they would all come back at once.
        self._luck = random.Random()

    async def rest(self) -> None:
        """Wait until the endpoint wants to be asked again.

        Raises:
            Failed: If that is further away than a request may wait, or never.
        """
        if self.dead:
            raise Failed("no_endpoint", f"{self._name} is out of rotation", final=True)
        wait_s = self._rests_until - asyncio.get_running_loop().time()
        if wait_s > self._patience.max_backoff_s:
            detail = f"{self._name} asked not to be asked for another {wait_s:.0f} s"
            raise Failed("resting", detail, final=True)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    @property
    def ready(self) -> bool:
        """Whether it may be asked now."""
        return not self.dead and self._rests_until <= asyncio.get_running_loop().time()

    def failed(self, failure: Failed, attempt: int) -> float:
        """Take note of a failure; return the seconds to wait before the request is tried again."""
        if failure.reason == "http_429":
            self._failures = 0  # busy is alive
        else:
            self._failures += 1
        self.dead = self.dead or self._failures >= self._patience.dead_after
        if failure.wait_s is not None:  # Retry-After is meant for every request
            until = asyncio.get_running_loop().time() + failure.wait_s
            self._rests_until = max(self._rests_until, until)
        pause_s = self._patience.backoff_s * 2.0**attempt * self._luck.uniform(0.5, 1.0)
        return min(pause_s, self._patience.max_backoff_s)

    async def ask(self, body: dict[str, Any]) -> tuple[Answer, int]:
        """Return one reply and its tokens; a refusal that stays a refusal is an answer.

        Raises:
            Failed: If there was no reply that can be used.
        """
        try:
            async with asyncio.timeout(self._patience.timeout_s):
                status, headers, reply = await self._post(body)
        except (TimeoutError, httpx.TimeoutException) as exc:
            detail = f"{self._name}: no reply in {self._patience.timeout_s:g} s"
            raise Failed("timeout", detail) from exc
        except httpx.ConnectError as exc:
            raise Failed("unreachable", self._scrubbed(f"{self._name}: {exc}")) from exc
        except httpx.RequestError as exc:
            detail = self._scrubbed(f"{self._name}: {type(exc).__name__} {exc}")
            raise Failed("broken_reply", detail) from exc
        if status == 200:
            try:
                answer, tokens = read_reply(reply)
            except CouldNotSample as exc:
                raise Failed(exc.reason, f"{self._name}: {exc}") from exc
            self._failures = 0
            return self._answer_without_key(answer), tokens
        return self._refusal(status, headers, reply), 0

    def _refusal(self, status: int, headers: httpx.Headers, reply: bytes) -> Answer:
        """Return the answer that a client error is; raise what may pass, or must be repaired."""
        said = reply[:200].decode("utf-8", "replace")
        reason, detail = f"http_{status}", f"{self._name}: HTTP {status}: {said!r}"
        if status in _MISCONFIGURED or status < 400:
            self.dead = True  # the same for every request, until somebody repairs the settings
            raise Failed(reason, detail, final=True)
        if status in _RETRIED or status >= 500:
            wait_s = _retry_after_s(headers.get("retry-after"))
            final = wait_s is not None and wait_s > self._patience.max_backoff_s
            raise Failed(reason, detail, final=final, wait_s=wait_s)
        return Answer(refused=reason, detail=detail)

    async def _post(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Return a reply without the key: it is struck out before anything parses or cuts it."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = f"{self.settings.url}/chat/completions"
        async with self._client.stream("POST", url, json=body, headers=headers) as response:
            reply = bytearray()
            async for chunk in response.aiter_bytes():
                reply += chunk
                if len(reply) > MAX_REPLY_BYTES:
                    detail = f"{self._name}: a reply of over {MAX_REPLY_BYTES:,} bytes"
                    raise Failed("garbage", detail)
            return response.status_code, response.headers, self._without_key(bytes(reply))

    def _without_key(self, reply: bytes) -> bytes:
        """Return what a server said without the key, which some echo, as it is or JSON-escaped."""
        if self._key is None or len(self._key) < MIN_SECRET:
            return reply
        escaped = json.dumps(self._key)[1:-1]
        for form in (self._key, escaped, escaped.replace("/", "\\/")):
            reply = reply.replace(form.encode(), b"***")
        return reply

    def _answer_without_key(self, answer: Answer) -> Answer:
        """Return the answer without a key that stood in the reply in other escapes."""
        written = answer.model_dump_json().encode()
        clean = self._without_key(written)
        return answer if clean == written else Answer.model_validate_json(clean)

    def _scrubbed(self, text: str) -> str:
        return self._without_key(text.encode("utf-8", "replace")).decode()

    @property
    def _name(self) -> str:
        return f"{self.settings.model} at {self.settings.url}"


def _retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return max(0.0, (at - datetime.datetime.now(datetime.UTC)).total_seconds())
