"""A pool of OpenAI-compatible endpoints: concurrent, retried, budgeted, and asked once only.

A context's slots go round the endpoints, beginning where its id says, so that neither the order of
contexts nor the number of workers decides who answers. A slot whose endpoint is out of rotation, or
fails, goes on to the next. Replies are cached by model and request; answers that are known are
preferred to asking, so a second run asks nothing.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolrm_guard.errors import ConfigurationError
from training.preferences.naming import hint
from training.preferences.rows import Context, Dropped, Response
from training.preferences.samplers.base import Sampled, lost, sample_alone, seed_of
from training.preferences.samplers.chat_api import Answer, request_body
from training.preferences.samplers.endpoint import Endpoint, EndpointSettings, Failed, Patience
from training.preferences.samplers.reply_cache import ReplyCache, reply_key

_T = TypeVar("_T")

_NOT_ASKED = ("budget_spent", "resting", "no_endpoint")
"""Reasons for which no request was sent, so that no endpoint failed."""


class PoolSettings(BaseModel):
    """Who is asked, how often, and for how much at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoints: tuple[EndpointSettings, ...] = Field(min_length=1)
    cache: Path = Field(description="SQLite file of replies and of what they cost.")
    count: int = Field(default=2, ge=1, description="Responses a context.")
    concurrency: int = Field(default=16, ge=1, description="Requests in flight.")
    patience: Patience = Patience()
    max_requests: int | None = Field(
        default=None, ge=0, description="Of all runs that share the cache."
    )
    max_tokens: int | None = Field(
        None, ge=0, description="Likewise; exceeded by what is in flight when it is reached."
    )


@dataclass(slots=True)
class PoolReport:
    """What one run asked, and every failure of it, recovered from or not.

    Attributes:
        failures: By reason.
        examples: The first failure of each reason.
    """

    cached: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, failure: Failed) -> None:
        """Count a failure."""
        self.failures[failure.reason] += 1
        self.examples.setdefault(failure.reason, str(failure))


class EndpointPool:
    """Asks a pool of endpoints; holds settings alone, so that it can be pickled."""

    name = "endpoints"

    def __init__(self, **settings: Any) -> None:
        """Read the settings; see `PoolSettings`.

        Raises:
            ConfigurationError: If a setting is unknown or bad, or an API key is not there.
        """
        try:
            self._settings = PoolSettings(**settings)
        except ValidationError as exc:
            found = exc.errors(include_input=False)
            # A misspelled key is also a missing one; the misspelling says more.
            first = next((error for error in found if error["type"] == "extra_forbidden"), found[0])
            where = ".".join(str(part) for part in first["loc"])
            said = first["msg"]
            if first["type"] == "extra_forbidden":
                said = "unknown option" + hint(str(first["loc"][-1]), _fields(first["loc"][0]))
            raise ConfigurationError(f"sampler 'endpoints': {where}: {said}") from exc
        for endpoint in self._settings.endpoints:
            endpoint.key()
        self.report = PoolReport()
        """Of the last run in this process."""
        self.requests = 0
        """Responses that the last pass wanted, asked for or cached."""

    def sample(self, context: Context, seed: int) -> list[Response]:
        """Return the responses to one context.

        Raises:
            CouldNotSample: If no endpoint gave one.
        """
        return sample_alone(self, context, seed)

    def sample_many(
        self, contexts: Iterable[Context], seed: int = 0
    ) -> Iterator[Sampled | Dropped]:
        """Yield every context in order with its responses, behind what was lost for it."""
        # A slow head must not leave the endpoints idle, nor may all contexts be held at once.
        window = self._settings.concurrency * 4
        waiting: deque[tuple[Context, Future[_Slots]]] = deque()
        self.report = PoolReport()
        self.requests = 0
        with ReplyCache(self._settings.cache) as cache, _LoopThread() as loop:
            run = loop.submit(_Run.start(self._settings, cache, self.report)).result()
            try:
                for context in contexts:
                    self.requests += self._settings.count
                    waiting.append((context, loop.submit(run.answer(context, seed))))
                    if len(waiting) >= window:
                        yield from _finished(*waiting.popleft())
                while waiting:
                    yield from _finished(*waiting.popleft())
            finally:
                for _, future in waiting:
                    future.cancel()
                loop.submit(run.close()).result()


def _fields(section: object) -> tuple[str, ...]:
    """Return the known names of a section of the settings, or of the settings themselves."""
    models: Mapping[object, type[BaseModel]] = {
        "endpoints": EndpointSettings,
        "patience": Patience,
    }
    return tuple(models.get(section, PoolSettings).model_fields)


_Slots = list[Response | Dropped]


def _finished(context: Context, future: "Future[_Slots]") -> Iterator[Sampled | Dropped]:
    slots = future.result()
    yield from (slot for slot in slots if isinstance(slot, Dropped))
    yield context, [slot for slot in slots if isinstance(slot, Response)]


class _Run:
    """One pass over contexts, inside the event loop."""

    def __init__(self, settings: PoolSettings, cache: ReplyCache, report: PoolReport) -> None:
        self._settings = settings
        self._cache = cache
        self._report = report
        self._client = httpx.AsyncClient(
            timeout=settings.patience.timeout_s,
            limits=httpx.Limits(max_connections=settings.concurrency),
        )
        self._endpoints = [Endpoint(e, settings.patience, self._client) for e in settings.endpoints]
        self._turns = asyncio.Semaphore(settings.concurrency)

    @classmethod
    async def start(cls, settings: PoolSettings, cache: ReplyCache, report: PoolReport) -> "_Run":
        """Make a run in the loop's thread, to which its client and semaphore belong."""
        return cls(settings, cache, report)

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(self, context: Context, seed: int) -> _Slots:
        """Return a response or what was lost for each slot of a context."""
        slots = range(self._settings.count)
        return list(await asyncio.gather(*(self._slot(context, seed, slot) for slot in slots)))

    async def _slot(self, context: Context, seed: int, slot: int) -> Response | Dropped:
        first = seed_of(0, context.id) + slot
        ring = [self._endpoints[(first + i) % len(self._endpoints)] for i in range(self._size)]
        own = seed_of(seed, context.id, slot)
        bodies = [request_body(context, e.settings.model, own, e.settings.options()) for e in ring]
        keys = [reply_key(e.settings.model, body) for e, body in zip(ring, bodies, strict=True)]
        at = f"{context.id}#{slot}"
        for endpoint, key in zip(ring, keys, strict=True):
            known = self._cache.get(key)
            if known is not None:
                self._report.cached += 1
                return _taken(known, endpoint, at)
        return await self._asked(list(zip(ring, bodies, keys, strict=True)), at)

    @property
    def _size(self) -> int:
        return len(self._endpoints)

    async def _asked(
        self, ring: Sequence[tuple[Endpoint, dict[str, Any], str]], at: str
    ) -> Response | Dropped:
        """Ask one endpoint after another until one answers."""
        last = Failed("no_endpoint", "every endpoint is out of rotation; see what failed before")
        for endpoint, body, key in ring:
            if endpoint.dead:
                continue
            try:
                answer = await self._tried(endpoint, body)
            except Failed as failure:
                last = failure
                if failure.reason == "budget_spent":
                    break
                continue
            self._cache.put(key, answer)
            self._report.answered += 1
            return _taken(answer, endpoint, at)
        return lost(last.reason, at, str(last))

    async def _tried(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
        last, pause_s = Failed("no_attempt", "patience.attempts is 0"), 0.0
        for attempt in range(self._settings.patience.attempts):
            await asyncio.sleep(pause_s)
            try:
                async with self._turn(endpoint):
                    self._take()
                    answer, tokens = await endpoint.ask(dict(body))
            except Failed as failure:
                if failure.reason in _NOT_ASKED:
                    raise
                self._report.note(failure)
                last = failure
                pause_s = endpoint.failed(failure, attempt)
                if failure.final or endpoint.dead:
                    raise
            else:
                self._cache.charge(tokens)
                return answer
        raise last

    @asynccontextmanager
    async def _turn(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Wait for a turn at an endpoint that can be asked when the turn comes."""
        while True:
            await endpoint.rest()
            async with self._turns:
                if endpoint.ready:  # while this waited, others may have learned otherwise
                    yield
                    return

    def _take(self) -> None:
        if not self._cache.take(self._settings.max_requests, self._settings.max_tokens):
            requests, tokens = self._cache.spent()
            detail = f"{requests:,} requests and {tokens:,} tokens are spent; raise max_requests "
            raise Failed("budget_spent", detail + "or max_tokens, or be content", final=True)


def _taken(answer: Answer, endpoint: Endpoint, at: str) -> Response | Dropped:
    if answer.refused is not None:
        return lost(answer.refused, at, answer.detail)
    return Response(text=answer.text, calls=tuple(answer.calls), by=endpoint.settings.model)


class _LoopThread:
    """An event loop in a thread: requests go on while the consumer of the results is busy."""

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()

    def submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Start a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
