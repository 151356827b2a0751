"""Loops and threads of our own, for work that must not depend on the caller's."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the coroutine's result, waiting for it on a loop of its own.

    One loop in one daemon thread serves every caller, so scorers keep their connections between
    calls, and it does not matter whether the calling thread already runs a loop (notebooks do).

    Raises:
        RuntimeError: If called from that loop itself, which would wait for itself for ever.
    """
    loop = _loop("toolrm-guard-loop")
    if asyncio._get_running_loop() is loop:
        coroutine.close()
        raise RuntimeError("a sync call inside a scorer of a sync call; use the async twin there")
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


async def on_io_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the coroutine's result, computed on the one loop of the library that does I/O.

    So connections, batches and timers outlive the caller's loop and are shared by all callers, from
    whichever loop or thread they come. Cancelling cancels the coroutine.
    """
    loop = _loop("toolrm-guard-io")
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


async def in_thread(function: Callable[[], _T]) -> _T:
    """Return the function's result, computed in a thread of the library's own.

    Not in the loop's default executor, which an application may have filled with its own work.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads(), function)


def is_cancelled() -> bool:
    """Tell whether it is the running task that was cancelled, not just what it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _loop(name: str) -> asyncio.AbstractEventLoop:
    # `lru_cache` lets two threads that come at once both make one, and the first to ask for
    # something would wait for it on another loop than those who come later.
    with _making:
        return _made_loop(name)


@lru_cache
def _made_loop(name: str) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=name, daemon=True).start()
    return loop


def _threads() -> ThreadPoolExecutor:
    with _making:
        return _made_threads()


@lru_cache(maxsize=1)
def _made_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="toolrm-guard-worker")


def _after_fork() -> None:
    """Make all of it anew: threads stay in the parent, and so does whoever holds the lock."""
    global _making
    _making = threading.Lock()
    _made_loop.cache_clear()
    _made_threads.cache_clear()


_making = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
