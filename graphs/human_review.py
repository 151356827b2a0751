"""Human review: what is destructive and in doubt waits for a person.

The run stops at an interrupt in the form that LangChain's HumanInTheLoopMiddleware uses, and goes
on with `Command(resume={"decisions": [{"type": "approve"}]})`, or `edit`, `reject`, `respond`.
An edited call is scored again.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.graph import START, MessagesState, StateGraph

from graphs.parts import Graph, bank_tools, default_guard, default_model, off_loop
from toolrm_guard import Guard, Policy, Rule, guard_node, guarded_tool_node

POLICY = Policy(
    destructive=Rule(threshold=0.9, on_low="escalate", on_unjudged="escalate"), max_corrections=0
)
"""A call that cannot be undone needs 90%, or a person."""


def build(
    model: BaseChatModel, tools: Sequence[Any], guard: Guard, *, checkpointer: Any = None
) -> Graph[Any, Any, Any, Any]:
    """Return the graph; without a checkpointer held calls are refused, since none could wait."""
    graph = StateGraph(MessagesState)
    node = guard_node(guard, tools, model=model, state_schema=MessagesState)
    graph.add_node("guard", node)
    graph.add_node("tools", guarded_tool_node(tools, guard))
    graph.add_edge(START, "guard")
    graph.add_edge("tools", "guard")
    return graph.compile(checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the graph over a bank, for `langgraph dev`, which brings the checkpointer."""
    return await off_loop(lambda: build(default_model(), bank_tools(), default_guard(POLICY)))
