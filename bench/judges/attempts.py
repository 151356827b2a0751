"""Asks a judge many things, some at once, and counts what it could not answer.

A judge that cannot judge gives no result and never ends a run; a wrong set-up does.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress

from toolrm_guard.errors import ConfigurationError, CouldNotJudge, ScorerTimeout, ScorerUnavailable

_T = TypeVar("_T")

GIVE_UP_AFTER = 25
"""Failures in a row after which the rest is not asked: a server that is down would cost its timeout
for every single question."""

_WORTH_TELLING_S = 30.0

console = Console(stderr=True)


class Named(Protocol):
    """Whoever is asked; opened and closed here if it is an async context manager."""

    name: str
    parallel: int


@dataclass(slots=True)
class Attempts(Generic[_T]):
    """What came back.

    Attributes:
        results: In the order of the questions; None where there is none.
        failures: How many there are, by kind.
        examples: The first message of each kind.
        seconds: All of it took.
    """

    results: list[_T | None]
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    in_a_row: int = 0

    def notes(self, things: str) -> list[str]:
        """Return a sentence for each kind of failure, with what was asked in the plural."""
        total = len(self.results)
        return [
            f"could not judge {number} of {total} {things} ({kind}: {self.examples[kind]})"
            for kind, number in self.failures.items()
        ]

    def fail(self, kind: str, message: str) -> None:
        """Count a failure."""
        self.failures[kind] += 1
        self.examples.setdefault(kind, message)


def ask_all(
    count: int, who: Named, ask: Callable[[int], Awaitable[_T]], timeout_s: float
) -> Attempts[_T]:
    """Return the answers to questions 0 to count - 1.

    Args:
        count: How many.
        who: Is asked `who.parallel` at once.
        ask: Takes the number of a question.
        timeout_s: For one question, after which there is no answer to it.

    Raises:
        ConfigurationError: If a question shows that the set-up is wrong.
    """
    return asyncio.run(_ask_all(count, who, ask, timeout_s))


async def _ask_all(
    count: int, who: Named, ask: Callable[[int], Awaitable[_T]], timeout_s: float
) -> Attempts[_T]:
    done: Attempts[_T] = Attempts(results=[None] * count)
    turns = asyncio.Semaphore(who.parallel)
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(who, contextlib.AbstractAsyncContextManager):
            await stack.enter_async_context(who)
        progress = stack.enter_context(Progress(console=console, transient=True))
        bar = progress.add_task(f"{who.name:>8}", total=count)

        async def one(index: int) -> None:
            async with turns:
                await _attempt(index, ask, done, timeout_s)
                progress.advance(bar)

        started = time.perf_counter()
        probes = sorted({0, count // 2, count - 1}) if count else []  # neighbours are too alike
        for index in probes:
            await one(index)
        left = count - len(probes)
        left_s = (time.perf_counter() - started) / max(len(probes), 1) * left / who.parallel
        if left_s > _WORTH_TELLING_S:
            text = f"about {left_s / 60:.0f} min for {count}; --limit N takes a sample"
            progress.console.print(f"{who.name}: {text}")
        try:
            async with asyncio.TaskGroup() as group:
                for index in sorted(set(range(count)) - set(probes)):
                    group.create_task(one(index))
        except* ConfigurationError as errors:
            raise _first(errors) from None
        done.seconds = time.perf_counter() - started
    return done


async def _attempt(
    index: int, ask: Callable[[int], Awaitable[_T]], done: Attempts[_T], timeout_s: float
) -> None:
    if done.in_a_row >= GIVE_UP_AFTER:
        done.fail("NotAsked", f"given up after {GIVE_UP_AFTER} failures in a row")
        return
    deadline = time.monotonic() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            result = await ask(index)
        if time.monotonic() > deadline:  # it held the loop, so that no timeout could fire
            raise TimeoutError
    except TimeoutError:
        error: CouldNotJudge = ScorerTimeout(f"no answer within {timeout_s:g} s")
    except CouldNotJudge as exc:
        error = exc
    except ConfigurationError:
        raise
    except Exception as exc:  # noqa: BLE001  # a judge's bug is no wrong judgement, nor the end
        error = ScorerUnavailable(f"{type(exc).__name__}: {exc}")
    else:
        done.results[index] = result
        done.in_a_row = 0
        return
    done.in_a_row += 1
    done.fail(type(error).__name__, str(error))


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    inner: BaseException = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
