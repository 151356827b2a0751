"""What `bench.overhead` compares inside LangGraph and LangChain: one turn with one tool call.

The scripted model answers at once, and natively with n answers to one request, as hosted models
do. It answers by the user's last message, so that any number of turns can run at a time.
"""

import json
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from bench.contenders.decisions import Contender, Turn, constant_scores, instant_guard
from toolrm_guard.middleware import GuardMiddleware
from toolrm_guard.nodes import guard_node, guarded_tool_node


class InstantChatModel(BaseChatModel):
    """Answers the user's last message with the candidates of its turn."""

    answers: dict[str, list[dict[str, Any]]]
    n: int = 1

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        n: int | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = next(str(m.content) for m in reversed(messages) if m.type == "human")
        calls = self.answers[asked][: n or self.n]
        drafts = [AIMessage(content="", tool_calls=[dict(call)]) for call in calls]
        return ChatResult(generations=[ChatGeneration(message=draft) for draft in drafts])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(*args, **kwargs)  # not in a thread: that would be the model's latency

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "InstantChatModel":
        """Return the model: its answers name the tools already."""
        return self


def instant_tools(turn: Turn) -> list[BaseTool]:
    """Return the turn's tools; each answers at once and ends an agent's run."""

    async def answer(**arguments: object) -> str:
        return "done"

    return [
        StructuredTool(
            name=tool["function"]["name"],
            description=tool["function"]["description"],
            args_schema=tool["function"]["parameters"],
            coroutine=answer,
            return_direct=True,
        )
        for tool in turn.tools
    ]


def graph_contenders(n: int, cases: Sequence[Turn]) -> list[Contender]:
    """Return LangGraph turns: bare, with a node that does nothing, and with the guard."""
    model, tools = _model(cases), instant_tools(cases[0])
    guard = instant_guard()

    async def propose(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def nothing(state: MessagesState) -> None:
        return None

    bare = StateGraph(MessagesState).add_node("model", propose).add_node("tools", ToolNode(tools))
    bare.add_edge(START, "model").add_edge("model", "tools").add_edge("tools", END)

    idle = StateGraph(MessagesState).add_node("model", propose).add_node("tools", ToolNode(tools))
    idle.add_node("idle", nothing).add_edge(START, "model").add_edge("model", "idle")
    idle.add_edge("idle", "tools").add_edge("tools", END)

    behind = StateGraph(MessagesState).add_node("model", propose)
    behind.add_node(
        "guard", guard_node(guard, tools, model=model if n > 1 else None, n=n, model_node="model")
    )
    behind.add_node("tools", guarded_tool_node(tools, guard))
    behind.add_edge(START, "model").add_edge("model", "guard").add_edge("tools", END)

    instead = StateGraph(MessagesState)
    instead.add_node("guard", guard_node(guard, tools, model=model, n=n))
    instead.add_node("tools", guarded_tool_node(tools, guard))
    instead.add_edge(START, "guard").add_edge("tools", END)

    return [
        _turn("LangGraph", bare.compile(), note="model -> tools; one draw"),
        _turn(
            "LangGraph + idle node", idle.compile(), twin="LangGraph", note="LangGraph's own cost"
        ),
        _turn(
            "guard node behind model",
            behind.compile(),
            twin="LangGraph",
            note="best of n; each call checked again where it executes",
        ),
        _turn(
            "guard node draws",
            instead.compile(),
            twin="LangGraph",
            note="stands in the model node's place; the rest as above",
        ),
    ]


def agent_contenders(n: int, cases: Sequence[Turn]) -> list[Contender]:
    """Return `create_agent` turns: bare, and with the guard's middleware."""
    model, tools = _model(cases), instant_tools(cases[0])
    guarded = create_agent(model, tools, middleware=[GuardMiddleware(instant_guard(), n=n)])
    return [
        _turn("create_agent", create_agent(model, tools), note="model -> tools; one draw"),
        _turn(
            "GuardMiddleware",
            guarded,
            twin="create_agent",
            note="best of n; each call checked again where it executes",
        ),
    ]


def auto_mode_contenders(n: int, cases: Sequence[Turn]) -> list[Contender]:
    """Return `create_agent` with LangChain's AutoModeMiddleware; it draws once, so only for n=1.

    Raises:
        ImportError: If langchain-typesafe is not installed.
    """
    from langchain_typesafe.experimental.middleware import AutoModeMiddleware

    if n != 1:
        return []
    tools = instant_tools(cases[0])
    # It makes its client before one can replace it, and that wants a key; nothing is ever sent.
    os.environ.setdefault("TYPESAFE_API_KEY", "not-used")
    auto_mode = AutoModeMiddleware(tools=tools)
    auto_mode.classifier = _InstantClassifier()  # type: ignore[assignment]  # where installed
    agent = create_agent(_model(cases), tools, middleware=[auto_mode])
    note = "blocks risky calls; no best of n, no schema check, no critique, no deadline"
    return [_turn("AutoModeMiddleware", agent, twin="create_agent", note=note)]


class _InstantClassifier:
    """Says of every call that it is not risky."""

    async def ainvoke(self, request: object) -> object:
        return SimpleNamespace(nouls={"is_risky": SimpleNamespace(noul=1 - constant_scores(1)[0])})


def _model(cases: Sequence[Turn]) -> InstantChatModel:
    def read(candidate: dict[str, Any]) -> dict[str, Any]:
        [call] = candidate["tool_calls"]
        arguments = json.loads(call["function"]["arguments"])
        return {"name": call["function"]["name"], "args": arguments, "id": call["id"]}

    return InstantChatModel(answers={c.request: [read(d) for d in c.candidates] for c in cases})


def _turn(name: str, graph: Any, *, twin: str | None = None, note: str) -> Contender:
    async def run(turn: Turn) -> object:
        state = await graph.ainvoke({"messages": turn.messages})
        last = state["messages"][-1]
        if not isinstance(last, ToolMessage) or last.content != "done":
            raise RuntimeError(f"{name}: the turn ended without its tool's result: {last!r}")
        return last

    return Contender(name=name, kind="turn", run=run, twin=twin, note=note)
