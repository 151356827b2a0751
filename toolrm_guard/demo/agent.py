"""The demo's two agents: the same model and tools, bare and guarded, as LangGraph graphs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from toolrm_guard.calls import Call
from toolrm_guard.demo.task import Task
from toolrm_guard.demo.toolkits import Toolkit
from toolrm_guard.drafts import ChatRunnable
from toolrm_guard.guard import Guard
from toolrm_guard.nodes import guard_node, guarded_tool_node

MAX_TURNS = 4
"""Model turns an agent gets for one task; the longest needs three: two calls and an answer."""

Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(slots=True, kw_only=True)
class Episode:
    """One task under way: the world, and the calls that really ran on it."""

    task: Task
    toolkit: Toolkit
    executed: list[Call] = field(default_factory=list)

    @classmethod
    def start(cls, task: Task) -> "Episode":
        """Return the task with its world freshly seeded."""
        return cls(task=task, toolkit=task.start())

    @property
    def tools(self) -> list[BaseTool]:
        """The toolkit's functions as LangChain tools that note each execution."""
        return [self._tool(function) for function in self.toolkit.tools]

    @property
    def solved(self) -> bool:
        """Whether the world ended as the task wants it."""
        return self.task.solved(self.toolkit, self.executed)

    def _tool(self, function: Callable[..., str]) -> BaseTool:
        @functools.wraps(function)
        def noted(**arguments: Any) -> str:
            self.executed.append(Call(name=function.__name__, arguments=arguments))
            return function(**arguments)

        return StructuredTool.from_function(
            noted, metadata={"effect": getattr(function, "effect", None)}
        )


def bare_agent(episode: Episode, model: ChatRunnable) -> Graph:
    """Return the usual loop: whatever the model proposes is executed."""
    graph = _graph(model)
    graph.add_node("tools", ToolNode(episode.tools, handle_tool_errors=True))
    graph.add_conditional_edges("model", tools_condition)
    return graph.compile()


def guarded_agent(episode: Episode, model: ChatRunnable, guard: Guard, *, n: int) -> Graph:
    """Return the same loop with a guard between the model and its tools."""
    tools = episode.tools
    graph = _graph(model)
    graph.add_node("guard", guard_node(guard, tools, model=model, n=n, model_node="model"))
    graph.add_node("tools", guarded_tool_node(tools, guard))
    graph.add_edge("model", "guard")
    return graph.compile()


def ask(
    graph: Graph, episode: Episode, *, thread_id: str, callbacks: list[BaseCallbackHandler]
) -> None:
    """Let the agent work on the task until it answers or its turns are used up."""
    graph.invoke(
        {"messages": [HumanMessage(episode.task.request)]},
        {
            "configurable": {"thread_id": thread_id},
            "callbacks": callbacks,
            "recursion_limit": 100,
        },
    )


def _graph(model: ChatRunnable) -> StateGraph[Any, Any, Any, Any]:
    def propose(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def go_on(state: MessagesState) -> str:
        turns = sum(isinstance(message, AIMessage) for message in state["messages"])
        return "model" if turns < MAX_TURNS else END

    graph = StateGraph(MessagesState)
    graph.add_node("model", propose)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("tools", go_on, ["model", END])
    return graph
