"""Drive a decision's steps, sync or async.

What the LangChain surfaces do is written once, as generators that yield what they want drawn or
judged. Only here does anything wait, so the sync and the async surface cannot behave differently.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from opentelemetry.trace import Span

from toolrm_guard import tracing
from toolrm_guard.budget import Allowance
from toolrm_guard.drafts import ChatRunnable, adraw, draw
from toolrm_guard.errors import origin_of
from toolrm_guard.guard import Guard
from toolrm_guard.tools import ToolSet

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Wanted: n proposals for the turn after these messages; the answer is a list of AIMessages.

    `timeout_s` cuts an async draw off; a sync one cannot be. Where the turn can do without,
    `optional` makes the answer of a draw that fails an empty list.
    """

    model: ChatRunnable
    messages: Sequence[BaseMessage]
    n: int
    timeout_s: float | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Wanted: a review of these candidates; the answer is the `Review`."""

    guard: Guard
    messages: Sequence[BaseMessage]
    tools: ToolSet
    candidates: Sequence[BaseMessage]
    round: int = 0
    may_correct: bool = False
    parent_id: str | None = None
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WasStored:
    """Wanted: whether the graph that asks has a checkpoint of its own; the answer is a bool.

    LangGraph hands a parent's checkpointer to a subgraph that stores nothing. Resumed, such a
    subgraph starts again, and a human's answer would meet another call than it was given for.
    """


Steps = Generator[Draw | Judge | WasStored, Any, _T]


def drive(steps: Steps[_T], config: RunnableConfig) -> _T:
    """Return the result of the steps, doing what they want.

    Args:
        steps: The generator of a decision.
        config: Of the surrounding run; drafts inherit its callbacks, but never its streams.
    """
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            result: _T = done.value
            return result
        match step:
            case Draw():
                answer = []
                with _sparing(step):
                    answer = draw(step.model, step.messages, step.n, config)
            case Judge():
                with tracing.under(run_span(config)):
                    answer = step.guard.review(**_arguments(step, config))
            case WasStored():
                saver, own = _own_checkpoint(config)
                answer = own is None or saver.get_tuple(own) is not None
            case _:
                assert_never(step)


async def adrive(steps: Steps[_T], config: RunnableConfig) -> _T:
    """Do what `drive` does, without blocking the event loop."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            result: _T = done.value
            return result
        match step:
            case Draw():
                answer = []
                with _sparing(step):
                    answer = await adraw(
                        step.model, step.messages, step.n, config, timeout_s=step.timeout_s
                    )
            case Judge():
                with tracing.under(run_span(config)):
                    answer = await step.guard.areview(**_arguments(step, config))
            case WasStored():
                saver, own = _own_checkpoint(config)
                answer = own is None or await saver.aget_tuple(own) is not None
            case _:
                assert_never(step)


def conversation_of(config: RunnableConfig) -> str | None:
    """Return the thread id of a run: what joins the reviews of one conversation."""
    thread = config.get("configurable", {}).get("thread_id")
    return str(thread) if thread is not None else None


def run_span(config: RunnableConfig) -> Span | None:
    """Return the OpenTelemetry span of the surrounding run, where an instrumentor holds it apart.

    OpenInference's tracer makes no span of its runs current, since callbacks may run in any order:
    a span opened inside a run would become the root of another trace. It gives them out by run id.
    Instrumentors that do make theirs current have no such method, and need nothing.
    """
    manager = config.get("callbacks")
    if not isinstance(manager, BaseCallbackManager) or manager.parent_run_id is None:
        return None
    for handler in manager.handlers:
        get_span = getattr(handler, "get_span", None)
        try:
            span = get_span(manager.parent_run_id) if callable(get_span) else None
        except Exception as exc:  # noqa: BLE001  # a handler's method of that name may be another
            _log.warning("%s gives no span: %s", type(handler).__name__, origin_of(exc))
            continue
        if isinstance(span, Span):
            return span
    return None


def _own_checkpoint(config: RunnableConfig) -> tuple[Any, RunnableConfig | None]:
    """Return the checkpointer, and where this graph's checkpoint would be; None at the top."""
    known = config["configurable"]
    own = known.get("checkpoint_ns", "").rpartition("|")[0]  # without the segment of this task
    if not own:
        return known["__pregel_checkpointer"], None
    place = {"thread_id": known["thread_id"], "checkpoint_ns": own}
    return known["__pregel_checkpointer"], {"configurable": place}


@contextmanager
def _sparing(step: Draw) -> Iterator[None]:
    """Let an optional draw fail."""
    try:
        yield
    except GraphBubbleUp:
        raise  # LangGraph's control flow is no failure
    except Exception as exc:  # whatever a provider raises, one draft must not cost the turn
        if not step.optional:
            raise
        _log.warning("no further draft came; the turn goes on without: %s", origin_of(exc))


def _arguments(step: Judge, config: RunnableConfig) -> dict[str, Any]:
    return {
        "messages": step.messages,
        "tools": step.tools,
        "candidates": step.candidates,
        "round": step.round,
        "may_correct": step.may_correct,
        "parent_id": step.parent_id,
        "conversation_id": conversation_of(config),
        "allowance": step.allowance,
    }
