"""LangGraph surface: a node that reviews proposed calls, and a tool node that enforces it.

    guard -> tools -> guard          or          model -> guard -> tools -> model

The guard node stands in the model's place, where it draws every candidate itself and no draft
reaches the user's token stream, or behind a model node. The adapters translate; `Guard` decides.

The state is trusted as far as LangGraph trusts it: whoever can write checkpoints can already run
any tool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import END
from langgraph.graph.message import push_message
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from toolrm_guard.budget import Budget
from toolrm_guard.drafts import ChatRunnable
from toolrm_guard.enforcement import Enforcement
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.guard import Guard
from toolrm_guard.human import Inbox
from toolrm_guard.routing import Settled, settled_turn
from toolrm_guard.steps import Steps, adrive, drive
from toolrm_guard.tools import ToolSet
from toolrm_guard.turns import TurnReviewer
from toolrm_guard.verdicts import messages_of


def guard_node(
    guard: Guard,
    tools: Sequence[object] | ToolSet,
    *,
    model: ChatRunnable | None = None,
    n: int | Budget = 1,
    messages_key: str = "messages",
    state_schema: type | None = None,
    tools_node: str = "tools",
    model_node: str | None = None,
    end_node: str = END,
    inbox: Inbox = "langchain",
) -> "GuardNode":
    """Return a node that draws and reviews a turn, or reviews what a model node proposed.

    It routes by itself, so it needs no outgoing edges.

    Args:
        guard: Decides.
        tools: Everything the model was offered.
        model: The model. With it, the node draws further candidates and sends critiques back
            off-history; without it, it reviews the one proposal, and a rejected call is answered
            by its critique in the history. A chat model without tools gets them bound.
        n: Candidates per round, the proposal itself included; a `Budget` samples adaptively.
        messages_key: Where the state keeps its messages.
        state_schema: The graph's state, to have `messages_key` and its reducer checked now.
        tools_node: Where approved calls go; a `guarded_tool_node` belongs there.
        model_node: The node that proposes the turns, where one goes back to whose calls were all
            rejected, their critiques in the history. None: this node draws its own.
        end_node: Where a turn without calls goes, and one that keeps being rejected.
        inbox: The form in which a human is asked about a held call.

    Raises:
        ConfigurationError: If n < 1, n > 1 without a model, neither a model nor a model node is
            given, a tool is invalid, the model cannot bind tools, or the state has no such key or
            replaces no message by its id.
    """
    if state_schema is not None:
        _check_schema(state_schema, messages_key)
    if model is None and model_node is None and n == 1:
        raise ConfigurationError(
            "there is no model to draw from; pass model=..., or model_node=... to stand behind one"
        )
    tools = tools if isinstance(tools, ToolSet) else [_langchain_tool(tool) for tool in tools]
    return GuardNode(
        reviewer=TurnReviewer(
            guard=guard,
            tools=ToolSet.of(tools),
            model=None if model is None else _with_tools(model, tools),
            n=n,
        ),
        messages_key=messages_key,
        tools_node=tools_node,
        model_node=model_node,
        end_node=end_node,
        inbox=inbox,
    )


def guarded_tool_node(
    tools: Sequence[Any],
    guard: Guard,
    *,
    messages_key: str = "messages",
    handle_tool_errors: Any = True,
) -> ToolNode:
    """Return a `ToolNode` that executes approved calls only, and records what became of them.

    Args:
        tools: The tools, as `ToolNode` takes them.
        guard: Records the outcomes.
        messages_key: Where the state keeps its messages.
        handle_tool_errors: As for `ToolNode`; by default a tool's error is told to the model.
    """
    enforce = Enforcement(guard=guard, messages_key=messages_key)
    return ToolNode(
        tools,
        messages_key=messages_key,
        handle_tool_errors=handle_tool_errors,
        wrap_tool_call=enforce.run,
        awrap_tool_call=enforce.arun,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardNode(Runnable[Any, Command[str]]):
    """LangGraph adapter: state in, `Command` out. Made by `guard_node`."""

    reviewer: TurnReviewer
    messages_key: str
    tools_node: str
    model_node: str | None
    end_node: str
    inbox: Inbox

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Review the turn at the end of the state's messages."""
        config = ensure_config(config)
        return self._command(input, drive(self._steps(input, config), config), config)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Review the turn at the end of the state's messages, without blocking the event loop."""
        config = ensure_config(config)
        return self._command(input, await adrive(self._steps(input, config), config), config)

    def _steps(self, state: Any, config: RunnableConfig) -> Steps[Settled]:
        return settled_turn(
            messages_of(state, self.messages_key),
            self.reviewer,
            config,
            self.inbox,
            revisits=True,
            in_place=self.model_node is None,
        )

    def _command(self, state: Any, settled: Settled, config: RunnableConfig) -> Command[str]:
        this_node = config.get("metadata", {}).get("langgraph_node", "guard")
        goto = {
            "tools": self.tools_node,
            "model": self.model_node or this_node,
            "end": self.end_node,
            # In a step of its own, so that the verdict is stored before anyone is asked about it.
            "human": this_node,
        }[settled.next]
        _stream_winner(settled.messages[0], messages_of(state, self.messages_key), config)
        return Command(update={self.messages_key: settled.messages}, goto=goto)


def _stream_winner(
    winner: BaseMessage, before: Sequence[BaseMessage], config: RunnableConfig
) -> None:
    """Send the winner to the token stream where it replaces a proposal that was streamed.

    LangGraph streams what a node returns, but not a second message of the same id.
    """
    in_graph = "langgraph_node" in config.get("metadata", {})
    replaced = next((m for m in before if m.id == winner.id and m.id is not None), None)
    if in_graph and replaced is not None and _said(replaced) != _said(winner):
        push_message(winner, state_key=None)


def _said(message: BaseMessage) -> tuple[object, object]:
    return message.content, getattr(message, "tool_calls", None)


def _langchain_tool(tool: object) -> object:
    """Return a plain function as the tool that `ToolNode` makes of it: injected arguments left out.

    `ToolSet` alone would ask the model for them.
    """
    plain = callable(tool) and not isinstance(tool, (BaseTool, type))
    return langchain_tool(tool) if plain else tool  # type: ignore[call-overload]  # any function


def _with_tools(model: ChatRunnable, tools: Sequence[object] | ToolSet) -> ChatRunnable:
    """Return the model with the tools bound, unless it is more than a bare chat model already."""
    if not isinstance(model, BaseChatModel):
        return model
    offered = tools.schemas() if isinstance(tools, ToolSet) else list(tools)
    try:
        return model.bind_tools(offered)  # type: ignore[arg-type]  # whatever ToolSet.of reads
    except NotImplementedError as exc:
        raise ConfigurationError(
            f"{type(model).__name__} cannot bind tools; pass a model that can, or a runnable "
            "that offers them itself"
        ) from exc


def _check_schema(schema: type, key: str) -> None:
    """Refuse a state in which the guard could not put its verdict.

    Raises:
        ConfigurationError: If the key is missing, or its reducer does not replace by id.
    """
    hints = get_type_hints(schema, include_extras=True)
    if key not in hints:
        known = ", ".join(sorted(hints)) or "none"
        raise ConfigurationError(
            f"{schema.__name__} has no key {key!r} (it has: {known}); pass messages_key=..."
        )
    probe = [AIMessage(content="a", id="same")], [AIMessage(content="b", id="same")]
    reducers = [r for r in getattr(hints[key], "__metadata__", ()) if callable(r)]
    if not reducers or [m.content for m in reducers[-1](*probe)] != ["b"]:
        raise ConfigurationError(
            f"{schema.__name__}.{key} does not replace a message by its id; annotate it with "
            "langgraph.graph.message.add_messages"
        )
