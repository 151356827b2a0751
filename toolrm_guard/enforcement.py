"""The last check before a tool runs: exactly the approved call, whatever route it came by.

A jump of another middleware, a `Send`, an edited state or a replayed checkpoint all end here.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from toolrm_guard.calls import Call
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.guard import Guard
from toolrm_guard.review import Review
from toolrm_guard.steps import conversation_of
from toolrm_guard.tools import ToolSet
from toolrm_guard.verdicts import messages_of, refusal, ruling_on, since_proposal, was_judged

ToolResult = ToolMessage | Command[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """Checks each call against its approval, and records what the tool did.

    Attributes:
        guard: Records the outcomes, and scores edited calls.
        messages_key: Where the state keeps its messages.
        tools: What an edited call is scored with; None refuses edited calls, as a node does whose
            graph can send them through the guard again.
    """

    guard: Guard
    messages_key: str
    tools: Callable[[], ToolSet] | None = None

    def run(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        check = self._check(request)
        if check.rescore:
            review = self.guard.review(**self._rescoring(check, request))
            check = self._judged(check, review)
        if check.reply is not None:
            return self._refused(check, request)
        started = time.perf_counter()
        try:
            result = execute(request)
        except GraphBubbleUp:
            raise  # the tool interrupts the graph; it has not failed
        except BaseException as exc:
            self._record(request, started, exc)
            raise
        self._record(request, started, result)
        return result

    async def arun(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        check = self._check(request)
        if check.rescore:
            review = await self.guard.areview(**self._rescoring(check, request))
            check = self._judged(check, review)
        if check.reply is not None:
            return self._refused(check, request)
        started = time.perf_counter()
        try:
            result = await execute(request)
        except GraphBubbleUp:
            raise  # the tool interrupts the graph; it has not failed
        except BaseException as exc:
            self._record(request, started, exc)
            raise
        self._record(request, started, result)
        return result

    def _check(self, request: ToolCallRequest) -> "_Check":
        """Say what the state allows: the call runs, is answered, or must be scored first."""
        call = Call.parse(request.tool_call)
        if self.guard.in_shadow:
            return _Check(call=call)
        try:
            messages = messages_of(request.state, self.messages_key)
        except ConfigurationError as exc:  # raising here would end the agent's run
            return _Check(call=call, reply=refusal(call, f"The guard could not judge: {exc}."))
        since = since_proposal(messages, call.id)
        for message in since[1:]:
            if isinstance(message, ToolMessage) and message.tool_call_id == call.id:
                # Answered already: the same message again changes nothing.
                return _Check(call=call, reply=message, answered=True)
        if not since:
            return _Check(call=call, reply=refusal(call, _NO_PROPOSAL))
        if self.tools is not None and _is_edited_later(request.state, call):
            return _Check(call=call, reply=refusal(call, _EDITED_LATER))
        ruling = ruling_on(since[0], call)
        if ruling.verdict == "approve":
            return _Check(call=call)
        if self.tools is not None and ruling.verdict is None and was_judged(since[0], call.id):
            history = messages[: len(messages) - len(since)]
            return _Check(call=call, rescore=True, history=tuple(history))
        return _Check(call=call, reply=refusal(call, ruling.reason or _NOT_APPROVED))

    def _rescoring(self, check: "_Check", request: ToolCallRequest) -> dict[str, Any]:
        assert self.tools is not None
        known = self.tools()
        if check.call.name not in known and request.tool is not None:
            known = ToolSet([*known.values(), *ToolSet.of([request.tool]).values()])
        return {
            "messages": check.history,
            "tools": known,
            "candidates": [AIMessage(content="", tool_calls=[request.tool_call])],
            "may_correct": False,
            "conversation_id": conversation_of(request.runtime.config),
        }

    def _judged(self, check: "_Check", review: Review) -> "_Check":
        if review.approves(check.call):
            return _Check(call=check.call)
        reason = review.critique or _NOT_APPROVED
        return _Check(call=check.call, reply=refusal(check.call, f"This call was edited. {reason}"))

    def _refused(self, check: "_Check", request: ToolCallRequest) -> ToolMessage:
        assert check.reply is not None
        if not check.answered and check.call.id is not None:
            self.guard.record_outcome(
                check.call.id,
                ok=False,
                kind="blocked",
                content=str(check.reply.content),
                digest=check.call.digest,
                conversation_id=conversation_of(request.runtime.config),
            )
        return check.reply

    def _record(
        self, request: ToolCallRequest, started: float, result: ToolResult | BaseException
    ) -> None:
        if self.guard.store is None:
            return
        call = Call.parse(request.tool_call)
        failed = isinstance(result, BaseException) or getattr(result, "status", "") == "error"
        content = getattr(result, "text", None) or str(result)
        self.guard.record_outcome(
            call.id or "",
            ok=not failed,
            kind="execution",
            content=content,
            latency_ms=(time.perf_counter() - started) * 1e3,
            digest=call.digest,
            conversation_id=conversation_of(request.runtime.config),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What the state says of a call: `reply` answers it unexecuted; without one it may run."""

    call: Call
    reply: ToolMessage | None = None
    answered: bool = False
    rescore: bool = False
    history: tuple[BaseMessage, ...] = ()


_NOT_APPROVED = "This call was not approved, so it was not executed."
_NO_PROPOSAL = "No message of this conversation proposes this call, so it was not executed."


_EDITED_LATER = (
    "A human edited this call, and HumanInTheLoopMiddleware stands inside GuardMiddleware, so the "
    "edited call would run unjudged; it was not executed. List GuardMiddleware after it."
)


def _is_edited_later(state: Any, call: Call) -> bool:
    """Tell whether HumanInTheLoopMiddleware holds an edit that it has not yet applied."""
    edits = state.get("hitl_edited_tool_calls") if isinstance(state, Mapping) else None
    edit = edits.get(call.id) if isinstance(edits, Mapping) else None
    return edit is not None and Call.parse(edit).digest != call.digest
