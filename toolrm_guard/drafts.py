"""Draw several proposals from a LangChain chat model for one turn.

Drafts are tagged `nostream`, so that LangGraph keeps their tokens out of the user's stream. A model
with a native `n` is asked once; any other is asked concurrently, because `invoke` would keep only
the first of several generations. One draft that fails costs that draft, not the turn.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from toolrm_guard.errors import origin_of

_log = logging.getLogger(__name__)

ChatRunnable = Runnable[Any, Any]
"""A chat model, a model with bound tools, or a chain that ends in one."""


def draw(
    model: ChatRunnable, messages: Sequence[BaseMessage], n: int, config: RunnableConfig
) -> list[AIMessage]:
    """Return up to n proposals for the turn after `messages`; at least one, or it raises.

    Raises:
        Exception: What the model raised, if every draft failed.
    """
    quiet = _quiet(config)
    drafts: list[AIMessage] = []
    native = _native(model) if n > 1 else None
    if native is not None:
        chat, options = native
        with _falling_back(chat):
            options = {**_options(quiet), **options, "n": n}
            drafts = _generations(chat.generate([list(messages)], **options))
    missing = n - len(drafts)  # a provider may ignore `n`
    if missing < 1:
        return drafts
    results = model.batch([list(messages)] * missing, quiet, return_exceptions=True)
    return _surviving([*drafts, *results])


async def adraw(
    model: ChatRunnable,
    messages: Sequence[BaseMessage],
    n: int,
    config: RunnableConfig,
    *,
    timeout_s: float | None = None,
) -> list[AIMessage]:
    """Do what `draw` does, without blocking the event loop.

    Args:
        model: The model, its tools bound.
        messages: The context.
        n: Proposals.
        config: Of the surrounding run.
        timeout_s: Seconds after which the proposals that are there must do, even if there are
            none; None waits for all.

    Raises:
        Exception: What the model raised, if every draft failed.
    """
    quiet = _quiet(config)
    started = time.monotonic()
    drafts: list[AIMessage] = []
    native = _native(model) if n > 1 else None
    if native is not None:
        chat, options = native
        with _falling_back(chat):
            options = {**_options(quiet), **options, "n": n}
            asked = await _finished([chat.agenerate([list(messages)], **options)], timeout_s)
            if not asked:
                return []  # the time is up
            if isinstance(asked[0], BaseException):
                raise asked[0]
            drafts = _generations(asked[0])
    missing = n - len(drafts)  # a provider may ignore `n`
    left_s = None if timeout_s is None else timeout_s - (time.monotonic() - started)
    if missing < 1 or (native is not None and left_s is not None and left_s <= 0):
        return drafts
    draws = [model.ainvoke(list(messages), quiet) for _ in range(missing)]
    return _surviving([*drafts, *await _finished(draws, left_s)])


@contextmanager
def _falling_back(chat: BaseChatModel) -> Iterator[None]:
    """Let a request with `n` fail: drafts that are asked for one by one may still come."""
    try:
        yield
    except GraphBubbleUp:
        raise  # LangGraph's control flow is no failure
    except Exception as exc:  # noqa: BLE001  # any provider's refusal, in its own error class
        name = type(chat).__name__
        _log.warning("%s failed with n; drawing one by one: %s", name, origin_of(exc))


def _surviving(results: Sequence[Any]) -> list[AIMessage]:
    """Return the drafts among results and errors.

    Raises:
        BaseException: The first error, if there is no draft; whatever is no mere failure, always.
    """
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if isinstance(error, GraphBubbleUp) or not isinstance(error, Exception):
            raise error
    drafts = _with_ids(results)
    if errors and not drafts:
        raise errors[0]
    for error in errors:
        _log.warning("a draft failed; %d came: %s", len(drafts), origin_of(error))
    return drafts


async def _finished(draws: Sequence[Awaitable[Any]], timeout_s: float | None) -> list[Any]:
    """Return the results and errors that are there in time, in order; the rest is cancelled."""
    if timeout_s is None:
        return list(await asyncio.gather(*draws, return_exceptions=True))
    tasks = [asyncio.ensure_future(draw) for draw in draws]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s)
        return [task.exception() or task.result() for task in tasks if task in done]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _quiet(config: RunnableConfig) -> RunnableConfig:
    """Return the configuration of a draft: traced like any run, and in no stream.

    The tag keeps it out of `stream_mode="messages"`. `astream_events` knows no such tag, so the
    handlers that stream are left out too; that also keeps LangChain from streaming the draft, which
    would merge the n answers of one request. Handlers of single tokens are left out because a model
    may stream of itself, and what they show cannot be taken back. Tracers hear everything.
    """
    quiet = merge_configs(config, {"tags": [TAG_NOSTREAM]})
    callbacks = quiet.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        silent = callbacks.copy()
        silent.handlers = [h for h in silent.handlers if not _streams(h)]
        silent.inheritable_handlers = [h for h in silent.inheritable_handlers if not _streams(h)]
        quiet["callbacks"] = silent
    elif callbacks:
        quiet["callbacks"] = [handler for handler in callbacks if not _streams(handler)]
    return quiet


def _streams(handler: object) -> bool:
    # LangChain's and LangGraph's streaming handlers tap the model's output; no other handler does.
    if hasattr(handler, "tap_output_iter"):
        return True
    if isinstance(handler, (BaseTracer, AsyncBaseTracer)):
        return False
    heard = getattr(handler, "on_llm_new_token", None)
    return heard is not None and getattr(heard, "__func__", heard) not in _DEAF


_DEAF = (BaseCallbackHandler.on_llm_new_token, AsyncCallbackHandler.on_llm_new_token)
"""What a handler that wants no tokens inherits."""


def with_call_ids(message: AIMessage) -> AIMessage:
    """Return the message with an id of its own for every call: approvals and results need them."""
    seen: set[str] = set()
    calls = [_with_id(call, seen) for call in message.tool_calls]
    invalid = [_with_id(call, seen) for call in message.invalid_tool_calls]
    if calls == message.tool_calls and invalid == message.invalid_tool_calls:
        return message
    return message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": invalid})


def _with_id(call: Any, seen: set[str]) -> dict[str, Any]:
    call_id = call["id"]
    if not call_id or call_id in seen:
        call_id = f"call_{uuid.uuid4().hex[:24]}"
    seen.add(call_id)
    return {**call, "id": call_id}


def _native(model: ChatRunnable) -> tuple[BaseChatModel, dict[str, Any]] | None:
    """Return the chat model and its bound options, if it generates n answers in one request."""
    options: dict[str, Any] = {}
    while isinstance(model, RunnableBinding):
        if model.config or model.config_factories:
            return None  # the binding carries a configuration that only its own invoke applies
        options = {**model.kwargs, **options}
        model = model.bound
    if isinstance(model, BaseChatModel) and "n" in type(model).model_fields:
        streams = type(model)._stream is not BaseChatModel._stream
        streams |= type(model)._astream is not BaseChatModel._astream
        # Under stream_mode="messages" LangChain would stream, and merge n answers into one.
        return model, {**options, "stream": False} if streams else options
    return None


def _options(config: RunnableConfig) -> dict[str, Any]:
    return {
        "callbacks": config.get("callbacks"),
        "tags": config.get("tags"),
        "metadata": config.get("metadata"),
    }


def _generations(result: LLMResult) -> list[AIMessage]:
    return _with_ids([generation.message for generation in result.generations[0]])  # type: ignore[union-attr]  # chat models give ChatGeneration


def _with_ids(drafts: Sequence[Any]) -> list[AIMessage]:
    return [with_call_ids(draft) for draft in drafts if isinstance(draft, AIMessage)]
