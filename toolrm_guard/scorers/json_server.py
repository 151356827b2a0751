"""A server that is asked in JSON over HTTP: every failure has its kind, and none shows the key."""

import asyncio
import json
import os
import ssl
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerRefused,
    ScorerUnavailable,
)

MAX_REPLY_BYTES = 16 << 20
_CONNECT_S = 5.0
_SERVER_BUSY = {408, 409, 425, 429}

Form = TypeVar("Form", bound=BaseModel)


class ServerLost(ScorerUnavailable):
    """There was no answer; whatever answers at this address next may be another server."""


class HttpRefusal(ScorerRefused):
    """A server refused a request.

    Attributes:
        said: The beginning of its reply, without the key.
    """

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


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

    api_key: str | None = field(default=None, repr=False)
    verify: bool | str | ssl.SSLContext = True
    client_cert: tuple[str, str] | None = None
    transport: httpx.AsyncBaseTransport | None = None

    def __post_init__(self) -> None:
        key = self.api_key or ""
        # A refused header is quoted in the error; a space at an end is refused, or sent along.
        if not (key.isascii() and key.isprintable()) or key != key.strip():
            raise ConfigurationError(
                "the API key holds characters that no HTTP header takes, or spaces around it"
            )

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

    def client(
        self, verify: bool | ssl.SSLContext, max_connections: int | None
    ) -> httpx.AsyncClient:
        """Return a client; it belongs to the event loop that uses it first."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        # The deadline ends a request. Reading is not limited here, connecting is.
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        return httpx.AsyncClient(
            headers=headers,
            timeout=timeout,
            verify=verify,
            transport=self.transport,
            limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=30.0),
        )


class JsonServer:
    """One server; belongs to the event loop that asks it first."""

    def __init__(
        self,
        url: str,
        connection: Connection,
        *,
        remedy: Callable[[int], str],
        max_connections: int | None = None,
    ) -> None:
        """Take where it is; nothing is sent yet.

        Args:
            url: Its address, with or without `/v1`.
            connection: How it is reached.
            remedy: What to do about a refusal with this status.
            max_connections: Requests at a time; more wait for their turn.

        Raises:
            ConfigurationError: If the address is none, or a certificate cannot be read.
        """
        self.url = _checked_url(url)
        self._connection = connection
        self._context = connection.context() if self.url.startswith("https:") else False
        self._remedy = remedy
        self._max_connections = max_connections
        self.breaks = 0
        """Connections that ended amid a request; what answered the second try may be another."""
        self._client: httpx.AsyncClient | None = None
        self._forgotten: weakref.finalize[..., JsonServer] | None = None
        _made.add(self)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def ask(self, method: str, path: str, body: Any, form: type[Form]) -> Form:
        """Return what the server answers.

        Raises:
            ServerLost: If it cannot be reached, or ends the connection.
            ScorerUnavailable: If it fails.
            HttpRefusal: If it refuses the request.
            InvalidScore: If it answers in another form.
        """
        if self._client is None:
            self._client = self._connection.client(self._context, self._max_connections)
            # Whoever forgets a scorer must not leave its sockets open.
            loop = asyncio.get_running_loop()
            self._forgotten = weakref.finalize(self, _close_on, loop, self._client)
            self._forgotten.atexit = False
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        request = self._client.build_request(
            method, self.url + path, content=content, headers=headers
        )
        try:
            status, answer = await self._exchange(self._client, request)
        except httpx.ConnectError as exc:
            raise ServerLost(f"{self.url} cannot be reached: {exc}") from exc
        except httpx.RequestError as exc:
            raise ServerLost(f"{self.url}{path}: {type(exc).__name__}: {exc}") from exc
        if status >= 500 or status in _SERVER_BUSY:
            said = self._excerpt(answer)[:300]
            raise ScorerUnavailable(f"{self.url}{path} answers {status}: {said}")
        if status >= 300:
            said = self._excerpt(answer)
            raise HttpRefusal(
                f"{self.url}{path} refuses with {status}: {said[:300]}; {self._remedy(status)}",
                said,
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
            self.breaks += 1
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

    def _excerpt(self, answer: bytes) -> str:
        said = answer[:2_000].decode("utf-8", "replace")
        key = self._connection.api_key
        return said.replace(key, "***") if key else said


def _close_on(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
    """Close a client on the loop that it belongs to, from wherever the collector runs."""
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(client.aclose(), loop)


_made: "weakref.WeakSet[JsonServer]" = weakref.WeakSet()


def _after_fork() -> None:
    """Leave connections to the parent: on a shared one, each would read the other's answers."""
    for server in _made:
        server._client = None
        if server._forgotten is not None:
            server._forgotten.detach()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"server URL: {exc}; give e.g. http://localhost:8000") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"server URL {url!r} is none; give e.g. http://localhost:8000")
    if parsed.userinfo:  # errors and metrics name the URL
        raise ConfigurationError("a server URL must not hold a password; use api_key")
    return url.rstrip("/").removesuffix("/v1")


def _trusting(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)
