"""Self-correction: a draft that does not pass goes back with its critique, off the history.

model ──▶ guard ──▶ tools ──▶ model
│  ▲
▼  │ critique and a fresh draft, at most `rounds` times
model
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.graph import START, MessagesState, StateGraph

from graphs.parts import Graph, bank_tools, default_guard, default_model, off_loop
from toolrm_guard import Guard, Policy, guard_node, guarded_tool_node

ROUNDS = 2
"""Corrections of one turn."""


def build(
    model: BaseChatModel, tools: Sequence[Any], guard: Guard, *, checkpointer: Any = None
) -> Graph[Any, Any, Any, Any]:
    """Return the graph; the guard's policy says how many corrections a turn gets."""
    bound = model.bind_tools(tools)

    async def propose(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", propose)
    node = guard_node(guard, tools, model=bound, model_node="model", state_schema=MessagesState)
    graph.add_node("guard", node)
    graph.add_node("tools", guarded_tool_node(tools, guard))
    graph.add_edge(START, "model")
    graph.add_edge("model", "guard")
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the graph over a bank, for `langgraph dev`."""
    policy = Policy(max_corrections=ROUNDS)
    return await off_loop(lambda: build(default_model(), bank_tools(), default_guard(policy)))
