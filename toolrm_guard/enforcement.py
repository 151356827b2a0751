"""The last check before a tool runs: exactly the approved call, whatever route it came by.

A jump of another middleware, a `Send`, an edited state or a replayed checkpoint all end here.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from toolrm_guard import tracing
from toolrm_guard.calls import Call
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.guard import Guard
from toolrm_guard.review import Review
from toolrm_guard.steps import conversation_of, run_span
from toolrm_guard.tools import ToolSet
from toolrm_guard.verdicts import (
    METADATA_KEY,
    Ruling,
    messages_of,
    refusal,
    ruling_on,
    since_proposal,
    was_judged,
)

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
        if check.kind == "rescore":
            with tracing.under(run_span(request.runtime.config)):
                review = self.guard.review(**self._rescoring(check, request))
            check = self._judged(check, review)
        if check.reply is not None:
            return self._refused(check, check.reply, request)
        with self._recorded(check.call, request) as results:
            results.append(execute(request))
        return results[0]

    async def arun(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        check = self._check(request)
        if check.kind == "rescore":
            with tracing.under(run_span(request.runtime.config)):
                review = await self.guard.areview(**self._rescoring(check, request))
            check = self._judged(check, review)
        if check.reply is not None:
            return self._refused(check, check.reply, request)
        with self._recorded(check.call, request) as results:
            results.append(await execute(request))
        return results[0]

    def _check(self, request: ToolCallRequest) -> "_Check":
        """Say what the state allows: the call runs, is answered, or must be scored first."""
        call = Call.parse(request.tool_call)
        if self.guard.in_shadow:
            return _Check(call=call, kind="run")
        try:
            messages = messages_of(request.state, self.messages_key)
        except ConfigurationError as exc:  # raising here would end the agent's run
            return _blocked(call, f"The guard could not judge: {exc}.")
        since = since_proposal(messages, call.id)
        for message in since[1:]:
            if isinstance(message, ToolMessage) and message.tool_call_id == call.id:
                # Answered already: the same message again changes nothing.
                return _Check(call=call, kind="answer", reply=message)
        if not since:
            return _blocked(call, _NO_PROPOSAL)
        if self.tools is not None and _is_edited_later(request.state, call):
            return _blocked(call, _EDITED_LATER)
        proposal = since[0]
        ruling = ruling_on(proposal, call)
        if ruling.verdict == "approve":
            return _Check(call=call, kind="run")
        if self.tools is not None and ruling.verdict is None and was_judged(proposal, call.id):
            return _Check(
                call=call,
                kind="rescore",
                history=tuple(messages[: len(messages) - len(since)]),
                parent_id=_review_id_of(proposal),
            )
        if self.tools is not None and _was_refused(proposal, ruling):
            # Nothing was stopped here: where there are tools, refusals are told by this check.
            reply = refusal(call, ruling.reason or _NOT_APPROVED)
            return _Check(call=call, kind="answer", reply=reply)
        return _blocked(call, ruling.reason or _NOT_APPROVED)

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
            "parent_id": check.parent_id,
            "conversation_id": conversation_of(request.runtime.config),
        }

    def _judged(self, check: "_Check", review: Review) -> "_Check":
        if review.approves(check.call):
            return _Check(call=check.call, kind="run")
        return _blocked(check.call, f"This call was edited. {review.critique or _NOT_APPROVED}")

    def _refused(
        self, check: "_Check", reply: ToolMessage, request: ToolCallRequest
    ) -> ToolMessage:
        if check.kind == "block" and check.call.id is not None:
            self.guard.record_outcome(
                check.call.id,
                ok=False,
                kind="blocked",
                content=str(reply.content),
                call=check.call,
                tools=_tool_of(request),
                conversation_id=conversation_of(request.runtime.config),
            )
        return reply

    @contextmanager
    def _recorded(self, call: Call, request: ToolCallRequest) -> Iterator[list[ToolResult]]:
        """Record what is put into the list, or the exception that came instead.

        Args:
            call: As it was before the tool, which may change its arguments in place.
            request: Of the call.
        """
        results: list[ToolResult] = []
        started = time.perf_counter()
        try:
            yield results
        except GraphBubbleUp:
            raise  # the tool interrupts the graph; it has not failed
        except BaseException as exc:
            self._record(call, request, started, ok=False, content=str(exc))
            raise
        if self.guard.store is not None:
            reply = _reply_in(results[0], call.id, self.messages_key)
            ok = reply is None or reply.status != "error"
            content = str(results[0]) if reply is None else reply.text or str(reply.content)
            self._record(call, request, started, ok=ok, content=content)

    def _record(
        self, call: Call, request: ToolCallRequest, started: float, *, ok: bool, content: str
    ) -> None:
        self.guard.record_outcome(
            call.id or "",
            ok=ok,
            kind="execution",
            content=content,
            latency_ms=(time.perf_counter() - started) * 1e3,
            call=call,
            tools=_tool_of(request),
            conversation_id=conversation_of(request.runtime.config),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What the state says of a call.

    Attributes:
        call: The call.
        kind: It may `run`; is to `answer` with what was decided before; to `block` where nobody
            should have sent it; or was edited, and is to `rescore` first.
        reply: What answers it unexecuted.
        history: What an edited call is scored after.
        parent_id: The review of the call before it was edited.
    """

    call: Call
    kind: Literal["run", "answer", "block", "rescore"]
    reply: ToolMessage | None = None
    history: tuple[BaseMessage, ...] = ()
    parent_id: str | None = None


def _tool_of(request: ToolCallRequest) -> list[object]:
    return [] if request.tool is None else [request.tool]


def _blocked(call: Call, reason: str) -> _Check:
    return _Check(call=call, kind="block", reply=refusal(call, reason))


def _verdict_of(proposal: AIMessage) -> Mapping[str, Any]:
    found = proposal.response_metadata.get(METADATA_KEY)
    return found if isinstance(found, Mapping) else {}


def _review_id_of(proposal: AIMessage) -> str | None:
    found = _verdict_of(proposal).get("review_id")
    return found if isinstance(found, str) else None


def _was_refused(proposal: AIMessage, ruling: Ruling) -> bool:
    """Tell whether the stored verdict itself is a refusal, not an approval that cannot hold."""
    if ruling.verdict != "reject":
        return False
    return bool(_verdict_of(proposal)["calls"][ruling.call.id].get("verdict") == "reject")


def _reply_in(result: object, call_id: str | None, messages_key: str) -> ToolMessage | None:
    """Return the message that answers a call, wherever in its tool's result it stands."""
    if isinstance(result, ToolMessage):
        return result
    replies = (m for m in _parts_of(result, messages_key) if isinstance(m, ToolMessage))
    return next((reply for reply in replies if reply.tool_call_id == call_id), None)


def _parts_of(result: object, messages_key: str) -> Iterator[object]:
    if isinstance(result, Command):
        update = result.update
        result = update.get(messages_key) if isinstance(update, Mapping) else update
    if isinstance(result, (list, tuple)):
        for item in result:
            yield from _parts_of(item, messages_key)
    else:
        yield result


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
