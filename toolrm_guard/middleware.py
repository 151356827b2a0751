"""LangChain surface: `create_agent(model, tools, middleware=[GuardMiddleware(guard)])`.

Three hooks, each doing one part: the model call draws and judges, the step after it settles the
turn (and is the only place where a human is asked), and each tool call is checked once more.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime

from toolrm_guard.budget import Budget
from toolrm_guard.chat_model import GuardedChatModel, client_tools
from toolrm_guard.enforcement import Enforcement, ToolResult
from toolrm_guard.guard import Guard
from toolrm_guard.human import Inbox
from toolrm_guard.routing import Settled, settled_turn
from toolrm_guard.steps import Steps, adrive, drive
from toolrm_guard.tools import ToolSet
from toolrm_guard.turns import TurnReviewer, check_n
from toolrm_guard.verdicts import open_turn


class GuardMiddleware(AgentMiddleware[Any, Any, Any]):
    """Lets nothing execute that the guard did not approve.

    List it last. Middleware listed before it stands outside: what that edits or jumps to is
    checked again here. HumanInTheLoopMiddleware must stand outside, or a human's edit would run
    unjudged; such edits are refused. A structured-output call executes nothing: it is scored and
    may be corrected, but `create_agent` has taken it when it could be refused.

    Example:
        >>> agent = create_agent(model, tools, middleware=[GuardMiddleware(Guard("lite"), n=4)])
    """

    def __init__(
        self,
        guard: Guard,
        *,
        n: int | Budget = 1,
        tools: Sequence[object] | ToolSet = (),
        inbox: Inbox = "langchain",
    ) -> None:
        """Take the guard.

        Args:
            guard: Decides.
            n: Candidates per round; a `Budget` samples adaptively.
            tools: The agent's tools. Left out, they are learned from each model call; a run that is
                resumed between a model call and its review, or whose first turn another middleware
                answers outside of this one, knows them only from here.
            inbox: The form in which a human is asked about a held call.

        Raises:
            ConfigurationError: If n < 1 or a tool is invalid.
        """
        super().__init__()
        check_n(n)
        self._guard = guard
        self._n = n
        self._inbox = inbox
        self._known = ToolSet.of(tools)
        self._direct: set[str] = set()
        self._enforcement = Enforcement(
            guard=guard, messages_key="messages", tools=lambda: self._known
        )

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Let the model behind the request answer with its best turn."""
        return handler(self._guarded(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Let the model behind the request answer with its best turn."""
        return await handler(self._guarded(request))

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Answer refused calls, ask a human about held ones, and say where to go."""
        return self._update(drive(self._settled(state), ensure_config()))

    @hook_config(can_jump_to=["model"])
    async def aafter_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Answer refused calls, ask a human about held ones, and say where to go."""
        return self._update(await adrive(self._settled(state), ensure_config()))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        return self._enforcement.run(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        return await self._enforcement.arun(request, handler)

    def _guarded(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        self._learn(client_tools(request.tools, self._guard))
        self._direct |= {
            tool.name for tool in request.tools if isinstance(tool, BaseTool) and tool.return_direct
        }
        if self._guard.in_shadow:
            return request  # the agent's own model answers, token by token as it always does
        model = GuardedChatModel.over(request.model, self._guard, n=self._n, on_tools=self._learn)
        return request.override(model=model)

    def _learn(self, tools: ToolSet) -> None:
        if any(self._known.get(name) != tool for name, tool in tools.items()):
            self._known = ToolSet({**self._known, **tools}.values())

    def _settled(self, state: AgentState[Any]) -> Steps[Settled | None]:
        messages = state["messages"]
        if open_turn(messages).proposal is None:
            return None  # structured output: `create_agent` has answered the call itself
        reviewer = TurnReviewer(guard=self._guard, tools=self._known)
        config = ensure_config()
        settled = yield from settled_turn(messages, reviewer, config, self._inbox, revisits=False)
        return None if self._guard.in_shadow else settled

    def _update(self, settled: Settled | None) -> dict[str, Any] | None:
        if settled is None:
            return None
        proposal = settled.messages[0]
        names = [call["name"] for call in getattr(proposal, "tool_calls", ())]
        # `create_agent` ends on a message whose calls are all unreadable, or all of tools that
        # answer directly; elsewhere its own edges lead where they should, and a jump would pass
        # over the hooks of other middleware.
        if settled.next == "model" and all(name in self._direct for name in names):
            return {"messages": settled.messages, "jump_to": "model"}
        if settled.next in ("tools", "model") and isinstance(proposal, AIMessage):
            # These go on to the tools and are refused there: HumanInTheLoopMiddleware asks about
            # every call of the turn, and its answer to one that had one would be a second one.
            later = {call["id"] for call in proposal.tool_calls}
            return {"messages": [m for m in settled.messages if not _refuses(m, later)]}
        return {"messages": settled.messages}


def _refuses(message: BaseMessage, ids: set[str | None]) -> bool:
    return (
        isinstance(message, ToolMessage)
        and message.status == "error"
        and message.tool_call_id in ids
    )
