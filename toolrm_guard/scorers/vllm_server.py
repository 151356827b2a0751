"""One vLLM server that serves a discriminative reward model: what it is asked, what it may answer.

`POST /classify` takes lists of token ids and answers one row each; `"use_activation": false` gives
the raw logit (the default squeezes it through a sigmoid, in which strong rewards become equal).
"""

import asyncio
import json
import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerRefused,
    ScorerUnavailable,
)
from toolrm_guard.serving.groups import Group, Ids

MAX_REPLY_BYTES = 16 << 20
_CONNECT_S = 5.0
_SERVER_BUSY = {408, 425, 429}

Form = TypeVar("Form", bound=BaseModel)


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)  # a number in quotes is not the reply we know


class _Model(_Reply):
    id: str
    max_model_len: int | None = None


class _Models(_Reply):
    data: list[_Model]


class _Row(_Reply):
    index: int
    probs: list[float | None] = Field(min_length=1)


class _Classes(_Reply):
    model: str
    data: list[_Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a server is reached.

    Attributes:
        api_key: Sent as a bearer token; None sends none.
        verify: True for the usual certificate authorities; a path to a bundle of others; an SSL
            context; False, for tests, trusts anyone.
        client_cert: Paths of a certificate and its key, in PEM form, that identify us.
        transport: What sends instead of the network, in tests.
    """

    api_key: str | None = None
    verify: bool | str | ssl.SSLContext = True
    client_cert: tuple[str, str] | None = None
    transport: httpx.AsyncBaseTransport | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigurationError("the API key holds characters that no HTTP header takes")

    def context(self) -> bool | ssl.SSLContext:
        """Return what httpx takes.

        Raises:
            ConfigurationError: If the bundle, the certificate or its key cannot be read.
        """
        if not isinstance(self.verify, str) and self.client_cert is None:
            return self.verify
        try:
            if isinstance(self.verify, ssl.SSLContext):
                context = self.verify
            else:
                bundle = self.verify if isinstance(self.verify, str) else None
                context = httpx.create_ssl_context() if bundle is None else _trusting(bundle)
                if self.verify is False:
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.client_cert is not None:
                context.load_cert_chain(*self.client_cert)
        except OSError as exc:  # ssl.SSLError is one
            raise ConfigurationError(
                f"verify={self.verify!r}, client_cert={self.client_cert!r}: {exc}; give paths of "
                "files in PEM form"
            ) from exc
        return context

    def client(self) -> httpx.AsyncClient:
        """Return a client; it belongs to the event loop that uses it first."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        # The deadline ends a request. Reading is not limited here, connecting is.
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        return httpx.AsyncClient(
            headers=headers,
            timeout=timeout,
            verify=self.context(),
            transport=self.transport,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=30.0),
        )


class VllmServer:
    """Asks one server, once it is known to serve the right model in the right way."""

    def __init__(
        self,
        url: str,
        *,
        model: str,
        max_tokens: int,
        probes: Callable[[], Sequence[Ids]],
        connection: Connection,
    ) -> None:
        """Take where it is and what it must serve; nothing is sent yet.

        Args:
            url: Its address, with or without `/v1`.
            model: The name that it serves the model by.
            max_tokens: The longest input that it must take.
            probes: Gives a few short inputs, whose raw rewards show that the activation is off.
            connection: How it is reached.

        Raises:
            ConfigurationError: If the address is none.
        """
        self.url = _checked_url(url)
        self._model = model
        self._max_tokens = max_tokens
        self._probes = probes
        self._connection = connection
        self._client: httpx.AsyncClient | None = None
        self._checking = asyncio.Lock()
        self._checked = False

    async def send(self, groups: Sequence[Group]) -> list[list[float]]:
        """Return one reward per candidate; what is not a number comes as NaN.

        A server that failed is checked again before it is believed: another model may have taken
        its place.

        Raises:
            ScorerUnavailable: If it cannot be reached, fails, or is another model.
            ScorerRefused: If it refuses the request, or does not serve what was trained.
            InvalidScore: If it answers in another form.
        """
        if not self._checked:
            await self.check()
        inputs = [group.prompt + suffix for group in groups for suffix in group.suffixes]
        try:
            rewards = iter(await self._classify(inputs))
        except (ScorerUnavailable, InvalidScore) as exc:
            self._checked = False
            if isinstance(exc, ScorerRefused):
                await self._check_model()  # if another model stands here now, that is the reason
            raise
        return [[next(rewards) for _ in group.suffixes] for group in groups]

    async def check(self) -> None:
        """Make sure that the server serves this model, long enough, and gives raw logits.

        Raises:
            CouldNotJudge: As `send`; the message says which flag of the server to change.
        """
        async with self._checking:
            if self._checked:
                return
            await self._check_model()
            await self._check_activation()
            self._checked = True

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _check_model(self) -> None:
        listed = await self._ask("GET", "/v1/models", None, _Models)
        found = next((model for model in listed.data if model.id == self._model), None)
        if found is None:
            served = ", ".join(repr(model.id) for model in listed.data[:5]) or "nothing"
            raise ScorerUnavailable(
                f"{self.url} serves {served}, not {self._model!r}; "
                f"start it with --served-model-name {self._model}"
            )
        if found.max_model_len is not None and found.max_model_len < self._max_tokens:
            raise ScorerRefused(
                f"{self.url} takes {found.max_model_len:,} tokens, but {self._model!r} reads up to "
                f"{self._max_tokens:,}; start it with --max-model-len {self._max_tokens}, or make "
                f"the scorer with max_tokens={found.max_model_len}"
            )

    async def _check_activation(self) -> None:
        probes = self._probes()
        raw = await self._classify(probes)
        squeezed = await self._classify(probes, use_activation=True)
        if not all(map(math.isfinite, raw)):
            raise InvalidScore(f"{self.url} answers {raw} to short inputs; its weights are damaged")
        # A model without an activation answers the same twice, but hardly always inside (0, 1).
        ignores = raw == squeezed and all(0.0 < reward < 1.0 for reward in raw)
        if ignores:
            raise ScorerRefused(
                f"{self.url} answers {raw} with and without use_activation: these are no raw "
                "logits; serve the model with vLLM 0.11 or newer, --runner pooling and "
                "--convert classify"
            )

    async def _classify(
        self, inputs: Sequence[Ids], *, use_activation: bool = False
    ) -> list[float]:
        body = {"model": self._model, "input": inputs, "use_activation": use_activation}
        reply = await self._ask("POST", "/classify", body, _Classes)
        if reply.model != self._model:
            raise ScorerUnavailable(
                f"{self.url} was asked for {self._model!r}, and {reply.model!r} answered"
            )
        if [row.index for row in reply.data] != list(range(len(inputs))):
            raise InvalidScore(
                f"{self.url}: {len(reply.data)} rows came for {len(inputs)} inputs, or not in order"
            )
        if wide := next((row for row in reply.data if len(row.probs) != 1), None):
            raise ScorerRefused(
                f"{self._model!r} at {self.url} has {len(wide.probs)} classes; a reward model has "
                "one"
            )
        return [math.nan if row.probs[0] is None else row.probs[0] for row in reply.data]

    async def _ask(self, method: str, path: str, body: Any, form: type[Form]) -> Form:
        if self._client is None:
            self._client = self._connection.client()
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        request = self._client.build_request(
            method, self.url + path, content=content, headers=headers
        )
        try:
            status, answer = await self._exchange(self._client, request)
        except httpx.ConnectError as exc:
            raise ScorerUnavailable(f"{self.url} cannot be reached: {exc}") from exc
        except httpx.RequestError as exc:
            raise ScorerUnavailable(f"{self.url}{path}: {type(exc).__name__}: {exc}") from exc
        if status >= 500 or status in _SERVER_BUSY:
            raise ScorerUnavailable(f"{self.url}{path} answers {status}: {_excerpt(answer)}")
        if status >= 300:
            raise ScorerRefused(
                f"{self.url}{path} refuses with {status}: {_excerpt(answer)}; {_remedy(status)}"
            )
        try:
            return form.model_validate_json(answer)
        except ValidationError as exc:
            first = exc.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the reply"
            raise InvalidScore(f"{self.url}{path}: {where}: {first['msg']}") from exc

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request
    ) -> tuple[int, bytes]:
        """Return status and body; a connection that was closed meanwhile is tried afresh, once."""
        try:
            return await self._read(client, request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return await self._read(client, request)

    async def _read(self, client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise InvalidScore(f"{self.url} answers with more than {MAX_REPLY_BYTES} bytes")
            return response.status_code, bytes(body)
        finally:
            await response.aclose()


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"vLLM URL: {exc}; give e.g. http://localhost:8000") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"vLLM URL {url!r} is none; give e.g. http://localhost:8000")
    if parsed.userinfo:  # errors and metrics name the URL
        raise ConfigurationError("a vLLM URL must not hold a password; use api_key")
    return url.rstrip("/").removesuffix("/v1")


def _trusting(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


def _excerpt(answer: bytes) -> str:
    return answer[:300].decode("utf-8", "replace")


def _remedy(status: int) -> str:
    if status in {401, 403}:
        return "check the API key"
    if status == 404:
        return "check the URL and that the server runs with --runner pooling --convert classify"
    return "check the model's folder, and that the server serves that very model"
