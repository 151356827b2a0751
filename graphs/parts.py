"""What the graphs share: a model, the tools of a small world, and a guard.

`TOOLRM_MODEL` names a model for LangChain's `init_chat_model` (`openai:gpt-5-mini`); without it the
embedded SmolLM2 answers. `TOOLRM_STORE` is where the records go; without it none are kept.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph.state import CompiledStateGraph

from toolrm_guard import Guard, Policy
from toolrm_guard.demo.toolkits import Bank, Mail, Toolkit

Graph = CompiledStateGraph


async def off_loop(make: Callable[[], Graph[Any, Any, Any, Any]]) -> Graph[Any, Any, Any, Any]:
    """Return what `make` builds, in a thread: loading a model would block a server's event loop."""
    return await asyncio.to_thread(make)


@lru_cache(maxsize=1)
def default_model() -> BaseChatModel:
    """Return the model that the environment names, or the embedded one; loaded once."""
    name = os.environ.get("TOOLRM_MODEL")
    if name:
        from langchain.chat_models import init_chat_model

        chosen: BaseChatModel = init_chat_model(name)
        return chosen
    from toolrm_guard.embedded.chat_model import EmbeddedChatModel

    return EmbeddedChatModel()


def default_guard(policy: Policy | None = None) -> Guard:
    """Return a guard that scores with `lite`."""
    return Guard("lite", policy=policy, store=os.environ.get("TOOLRM_STORE"))


@lru_cache(maxsize=1)
def bank_tools() -> tuple[BaseTool, ...]:
    """Return the tools of one bank: balances, payments, cards."""
    return _tools(Bank())


@lru_cache(maxsize=1)
def mail_tools() -> tuple[BaseTool, ...]:
    """Return the tools of one mailbox."""
    return _tools(Mail())


def _tools(toolkit: Toolkit) -> tuple[BaseTool, ...]:
    functions: Sequence[object] = toolkit.tools
    return tuple(
        StructuredTool.from_function(
            function,  # type: ignore[arg-type]  # a bound method
            metadata={"effect": getattr(function, "effect", None)},
        )
        for function in functions
    )
