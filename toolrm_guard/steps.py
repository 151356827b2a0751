"""Drive a decision's steps, sync or async.

What the LangChain surfaces do is written once, as generators that yield what they want drawn or
judged. Only here does anything wait, so the sync and the async surface cannot behave differently.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from toolrm_guard.budget import Allowance
from toolrm_guard.drafts import ChatRunnable, adraw, draw
from toolrm_guard.guard import Guard
from toolrm_guard.tools import ToolSet

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Wanted: n proposals for the turn after these messages; the answer is a list of AIMessages.

    `timeout_s` cuts an async draw off; a sync one cannot be.
    """

    model: ChatRunnable
    messages: Sequence[BaseMessage]
    n: int
    timeout_s: float | None = None


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


Steps = Generator[Draw | Judge, Any, _T]


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
                answer = draw(step.model, step.messages, step.n, config)
            case Judge():
                answer = step.guard.review(**_arguments(step, config))
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
                answer = await adraw(
                    step.model, step.messages, step.n, config, timeout_s=step.timeout_s
                )
            case Judge():
                answer = await step.guard.areview(**_arguments(step, config))
            case _:
                assert_never(step)


def conversation_of(config: RunnableConfig) -> str | None:
    """Return the thread id of a run: what joins the reviews of one conversation."""
    thread = config.get("configurable", {}).get("thread_id")
    return str(thread) if thread is not None else None


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
