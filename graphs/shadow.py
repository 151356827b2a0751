"""Shadow: an ordinary agent, watched. Everything runs as it would; the records say what would not.

Read them with `toolrm-guard report STORE`, then set the policy's mode to `enforce`.
"""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel

from graphs.parts import Graph, bank_tools, default_guard, default_model, off_loop
from toolrm_guard import Guard, GuardMiddleware, Policy


def build(
    model: BaseChatModel, tools: Sequence[Any], guard: Guard, *, checkpointer: Any = None
) -> Graph[Any, Any, Any, Any]:
    """Return LangChain's own agent with the guard's middleware."""
    middleware = [GuardMiddleware(guard, tools=tools)]
    return create_agent(model, list(tools), middleware=middleware, checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the agent over a bank, for `langgraph dev`."""
    return await off_loop(
        lambda: build(default_model(), bank_tools(), default_guard(Policy(mode="shadow")))
    )
