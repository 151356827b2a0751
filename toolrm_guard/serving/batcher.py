"""One batcher a server: what waits is sent together, or is refused while there is still time."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from toolrm_guard.errors import (
    ConfigurationError,
    CouldNotJudge,
    InvalidScore,
    ScorerOverloaded,
    ScorerRefused,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.serving.breaker import Breaker
from toolrm_guard.serving.groups import Group, Send
from toolrm_guard.serving.latencies import Latencies
from toolrm_guard.serving.stats import ServerStats

_SMOOTHING = 0.2
"""Weight of the newest batch in the seconds that a token takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What a batcher sends at once, and how much it lets wait.

    Attributes:
        window_ms: How long the first of a batch waits for company. Short beside a scoring.
        max_items: Candidates in a request; one decision is never split.
        max_tokens: Tokens in a request, a shared prompt once.
        max_in_flight: Requests at one server at a time. Two: while it computes one, the next is
            on its way; what comes later gathers into a larger batch meanwhile.
        max_waiting: Candidates that may wait for a server; beyond, reviews are refused at once.
        timeout_s: Of one request, whatever the deadlines.
    """

    window_ms: float = 2.0
    max_items: int = 64
    max_tokens: int = 32_768
    max_in_flight: int = 2
    max_waiting: int = 1_024
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.window_ms) and self.window_ms >= 0):
            raise ConfigurationError(f"window_ms is {self.window_ms!r}; give milliseconds, 0 or up")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise ConfigurationError(f"timeout_s is {self.timeout_s!r}; give seconds above 0")
        for name in ("max_items", "max_tokens", "max_in_flight", "max_waiting"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give 1 or more")


@dataclass(slots=True, eq=False)
class _Waiting:
    group: Group
    deadline: float
    answer: "asyncio.Future[list[float]]"
    request: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Counts:
    batches: int = 0
    items: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Pace:
    """Seconds a token takes, from the times between answers while the server is busy."""

    per_token_s: float | None = None
    since: float = field(default=-math.inf)

    def observe(self, started: float, now: float, tokens: int) -> None:
        seconds = (now - max(started, self.since)) / max(1, tokens)
        self.since = now
        old = self.per_token_s
        self.per_token_s = seconds if old is None else old + _SMOOTHING * (seconds - old)


class Batcher:
    """Gathers the groups of concurrent reviews into requests to one server.

    The nearest deadline goes first. A review that cannot be answered in time is refused at once
    where a queue makes it so; an idle server is always asked, so that an estimate made in a slow
    minute is corrected. A review that is cancelled leaves its batch to the others.
    """

    def __init__(
        self,
        name: str,
        send: Send,
        *,
        limits: BatchLimits | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """Take what asks the server; nothing is sent before `submit`."""
        self.name = name
        self._send = send
        self._limits = limits or BatchLimits()
        self._breaker = breaker or Breaker()
        self._waiting: list[_Waiting] = []
        self._running: dict[asyncio.Task[None], list[_Waiting]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._counts = _Counts()
        self._pace = _Pace()
        self._latencies = Latencies()
        self.answers = Latencies()
        """Seconds from `submit` to the rewards, the time in the queue included."""

    @property
    def available(self) -> bool:
        """Whether the breaker lets a request out now."""
        return self._breaker.allows()

    @property
    def stats(self) -> ServerStats:
        """What was counted so far."""
        return ServerStats(
            server=self.name,
            breaker=self._breaker.state,
            opened=self._breaker.opened,
            batches=self._counts.batches,
            items=self._counts.items,
            failures=self._counts.failures,
            waiting=self._waiting_items(),
            in_flight=len(self._running),
            latency_p50_s=self._latencies.percentile(50),
            latency_p95_s=self._latencies.percentile(95),
        )

    async def submit(self, group: Group, deadline: float | None) -> list[float]:
        """Return one finite reward per candidate of the group.

        Args:
            group: Candidates of one decision.
            deadline: `time.monotonic()` seconds, or None.

        Raises:
            ScorerOverloaded: At once, if the queue is full or too long for the deadline.
            ScorerTimeout: At the deadline.
            CouldNotJudge: As the server's answer, or its absence, says.
        """
        due = math.inf if deadline is None else deadline
        self._admit(group, due)
        started = time.monotonic()
        left_s = None if deadline is None else due - started
        waiting = _Waiting(group, due, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._schedule()
        try:
            async with asyncio.timeout(left_s):
                rewards = await waiting.answer
        except TimeoutError as exc:
            raise ScorerTimeout(f"{self.name}: no answer within {left_s:.2f} s") from exc
        finally:
            self._leave(waiting)
        self.answers.add(time.monotonic() - started)
        return rewards

    async def aclose(self) -> None:
        """Give up what waits and what is in flight."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        closed = ScorerUnavailable(f"{self.name}: the scorer was closed")
        self._fail(self._waiting, closed)
        self._waiting = []
        running = list(self._running)
        for task in running:
            self._fail(self._running[task], closed)
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _admit(self, group: Group, due: float) -> None:
        if not self.available:
            raise ScorerUnavailable(
                f"{self.name} failed repeatedly and is left alone for a while; "
                "`toolrm-guard doctor` says what is wrong with it"
            )
        if self._waiting_items() + len(group.suffixes) > self._limits.max_waiting:
            raise ScorerOverloaded(
                f"{self.name}: {self._waiting_items()} candidates wait already, and "
                f"{self._limits.max_waiting} may; add a server or raise max_waiting"
            )
        left = due - time.monotonic()
        if left <= 0:
            raise ScorerTimeout(f"{self.name}: the deadline passed before it was asked")
        pace = self._pace.per_token_s
        if pace is None or not self._running:
            return
        # Of what is in flight, half is done on average.
        ahead = sum(_tokens(batch) for batch in self._running.values()) / 2
        ahead += _tokens([other for other in self._waiting if other.deadline <= due])
        needed = (ahead + group.tokens) * pace
        if needed > left:
            raise ScorerOverloaded(
                f"{self.name}: an answer would take about {needed:.2f} s, {left:.2f} s are left; "
                "add a server, or give the policy a longer deadline"
            )

    def _waiting_items(self) -> int:
        return sum(len(waiting.group.suffixes) for waiting in self._waiting)

    def _schedule(self) -> None:
        if self._waiting_items() >= self._limits.max_items:
            self._flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limits.window_ms / 1e3, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._running) < self._limits.max_in_flight:
            if not self.available:  # half open, and its one request is out; or it just opened
                self._fail(self._waiting, ScorerUnavailable(f"{self.name} failed repeatedly"))
                self._waiting = []
                return
            if batch := self._take():
                self._start(batch)

    def _take(self) -> list[_Waiting]:
        """Return the next batch, nearest deadline first; what is too late already is told so."""
        now = time.monotonic()
        late = [waiting for waiting in self._waiting if waiting.deadline <= now]
        self._fail(late, ScorerTimeout(f"{self.name}: the deadline passed in the queue"))
        ordered = sorted(set(self._waiting).difference(late), key=lambda waiting: waiting.deadline)
        batch: list[_Waiting] = []
        items = tokens = 0
        for waiting in ordered:
            items += len(waiting.group.suffixes)
            tokens += waiting.group.tokens
            if batch and (items > self._limits.max_items or tokens > self._limits.max_tokens):
                break
            batch.append(waiting)
        self._waiting = ordered[len(batch) :]
        return batch

    def _start(self, batch: list[_Waiting]) -> None:
        self._breaker.begin()
        self._counts.batches += 1
        self._counts.items += sum(len(waiting.group.suffixes) for waiting in batch)
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._running[task] = batch
        for waiting in batch:
            waiting.request = task
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        if self._waiting:
            self._flush()

    async def _run(self, batch: list[_Waiting]) -> None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                answers = await self._send([waiting.group for waiting in batch])
        except TimeoutError:
            self._failed()
            said = f"{self.name}: no answer within {self._limits.timeout_s:g} s"
            self._fail(batch, ScorerTimeout(said))
        except asyncio.CancelledError:
            # Nobody waits any more: because they were too late, or because they lost interest.
            if any(waiting.deadline <= time.monotonic() for waiting in batch):
                self._note_lateness(started)
            else:
                self._breaker.abandon()
            raise
        except ScorerRefused as exc:
            self._breaker.abandon()  # it is there, and refuses what we ask
            if len(batch) == 1:
                self._fail(batch, exc)
            else:  # one decision may be at fault; the others must not pay for it
                await asyncio.gather(*(self._run([waiting]) for waiting in batch))
        except CouldNotJudge as exc:
            self._failed()
            self._fail(batch, exc)
        except Exception as exc:  # noqa: BLE001  # whoever waits must be told of a bug, too
            self._failed()
            self._fail(batch, ScorerUnavailable(f"{self.name}: {type(exc).__name__}: {exc}"))
        else:
            self._answered(batch, answers, started)

    def _answered(
        self, batch: Sequence[_Waiting], answers: Sequence[list[float]], started: float
    ) -> None:
        now = time.monotonic()
        self._latencies.add(now - started)
        self._pace.observe(started, now, _tokens(batch))
        sound = [all(map(math.isfinite, rewards)) for rewards in answers]
        if any(sound):
            self._breaker.succeed()
        else:  # a model that answers NaN to everything is as good as down
            self._failed()
        for waiting, rewards, is_sound in zip(batch, answers, sound, strict=True):
            if is_sound:
                if not waiting.answer.done():
                    waiting.answer.set_result(rewards)
            else:
                worst = next(reward for reward in rewards if not math.isfinite(reward))
                self._fail([waiting], InvalidScore(f"{self.name} answered {worst} for a reward"))

    def _note_lateness(self, started: float) -> None:
        """A server is slow if it had the time that it usually takes; a deadline may be too near."""
        usual = self._latencies.percentile(50)
        if usual is None or time.monotonic() - started >= usual:
            self._failed()
        else:
            self._breaker.abandon()

    def _failed(self) -> None:
        self._counts.failures += 1
        self._breaker.fail()

    def _leave(self, waiting: _Waiting) -> None:
        """Forget one that is answered or cancelled; a batch that nobody waits for is given up."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        request = waiting.request
        batch = self._running.get(request, []) if request else []
        if request and batch and all(other.answer.done() for other in batch):
            request.cancel()

    @staticmethod
    def _fail(batch: Sequence[_Waiting], exc: CouldNotJudge) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(exc)


def _tokens(batch: Sequence[_Waiting]) -> int:
    return sum(waiting.group.tokens for waiting in batch)
