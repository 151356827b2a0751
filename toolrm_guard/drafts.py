"""Draw several proposals from a LangChain chat model for one turn.

Drafts are tagged `nostream`, so that LangGraph keeps their tokens out of the user's stream. A model
with a native `n` is asked once; any other is asked concurrently, because `invoke` would keep only
the first of several generations.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM

ChatRunnable = Runnable[Any, Any]
"""A chat model, a model with bound tools, or a chain that ends in one."""


def draw(
    model: ChatRunnable, messages: Sequence[BaseMessage], n: int, config: RunnableConfig
) -> list[AIMessage]:
    """Return n proposals for the turn after `messages`."""
    quiet = _quiet(config)
    native = _native(model) if n > 1 else None
    if native is None:
        return _with_ids(model.batch([list(messages)] * n, quiet))
    chat, options = native
    return _generations(chat.generate([list(messages)], **_options(quiet), **{**options, "n": n}))


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
        timeout_s: Seconds after which the proposals that are there must do; None waits for all.
    """
    quiet = _quiet(config)
    native = _native(model) if n > 1 else None
    if native is None:
        draws = [model.ainvoke(list(messages), quiet) for _ in range(n)]
        return _with_ids(await _finished(draws, timeout_s))
    chat, options = native
    asked = chat.agenerate([list(messages)], **_options(quiet), **{**options, "n": n})
    results = await _finished([asked], timeout_s)
    return [draft for result in results for draft in _generations(result)]


async def _finished(draws: Sequence[Awaitable[Any]], timeout_s: float | None) -> list[Any]:
    """Return the results that are there in time, in order; the rest is cancelled."""
    if timeout_s is None:
        return list(await asyncio.gather(*draws))
    tasks = [asyncio.ensure_future(draw) for draw in draws]
    try:
        await asyncio.wait(tasks, timeout=timeout_s)
        return [task.result() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _quiet(config: RunnableConfig) -> RunnableConfig:
    """Return the configuration of a draft: traced like any run, and in no stream.

    The tag keeps it out of `stream_mode="messages"`. `astream_events` knows no such tag, so the
    handlers that stream are left out too; that also keeps LangChain from streaming the draft, which
    would merge the n answers of one request.
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
    # Both of LangChain's streaming handlers tap the model's output; no other handler does.
    return hasattr(handler, "tap_output_iter")


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
