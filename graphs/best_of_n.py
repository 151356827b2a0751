"""Best of N, adaptively: one candidate, and more only while the best one is in doubt.

guard ──▶ tools ──▶ guard        the guard draws, judges and routes; no draft is ever streamed
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.graph import START, MessagesState, StateGraph

from graphs.parts import Graph, bank_tools, default_guard, default_model, off_loop
from toolrm_guard import Budget, Guard, guard_node, guarded_tool_node


def build(
    model: BaseChatModel,
    tools: Sequence[Any],
    guard: Guard,
    *,
    n: int | Budget = Budget(max_samples=8, max_ms=20_000),  # noqa: B008  # frozen
    checkpointer: Any = None,
) -> Graph[Any, Any, Any, Any]:
    """Return the graph.

    Args:
        model: Proposes the turns.
        tools: What it may call.
        guard: Decides.
        n: Candidates a turn, or a budget for them.
        checkpointer: As for any graph.
    """
    graph = StateGraph(MessagesState)
    node = guard_node(guard, tools, model=model, n=n, state_schema=MessagesState)
    graph.add_node("guard", node)
    graph.add_node("tools", guarded_tool_node(tools, guard))
    graph.add_edge(START, "guard")
    graph.add_edge("tools", "guard")
    return graph.compile(checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the graph over a bank, for `langgraph dev`."""
    return await off_loop(lambda: build(default_model(), bank_tools(), default_guard()))
