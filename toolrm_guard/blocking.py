"""Run a coroutine from code that is not async."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the coroutine's result, waiting for it on a loop of its own.

    One loop in one daemon thread serves every caller, so scorers keep their connections between
    calls, and it does not matter whether the calling thread already runs a loop (notebooks do).
    """
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="toolrm-guard-loop", daemon=True).start()
    return loop
