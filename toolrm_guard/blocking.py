"""Run a coroutine from code that is not async."""

import asyncio
import os
import threading
from collections.abc import Coroutine
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
    loop = _loop()
    if asyncio._get_running_loop() is loop:
        coroutine.close()
        raise RuntimeError("a sync call inside a scorer of a sync call; use the async twin there")
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="toolrm-guard-loop", daemon=True).start()
    return loop


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_loop.cache_clear)  # its thread stays in the parent
