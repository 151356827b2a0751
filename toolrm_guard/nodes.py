"""LangGraph surface: a node that reviews proposed calls, and a tool node that enforces it.

    model -> guard -> tools -> model

The adapters translate; `Guard` decides. An approval travels in the message's
`response_metadata["toolrm_guard"]` as plain data, so it survives a checkpoint and a restart, and it
names the sha256 of the approved call. The tool node compares that with the call it is about to run,
whatever edge, jump or `Send` brought it there.

The state is trusted as far as LangGraph trusts it: whoever can write checkpoints can already run
any tool.
"""

import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.drafts import ChatRunnable, adraw, draw, with_call_ids
from toolrm_guard.errors import ConfigurationError, InvalidConversationError
from toolrm_guard.guard import Guard
from toolrm_guard.review import Review, is_approved
from toolrm_guard.tools import ToolSet

METADATA_KEY = "toolrm_guard"
"""Where a reviewed AIMessage carries its verdict, under `response_metadata`."""

ToolResult = ToolMessage | Command[Any]


def guard_node(
    guard: Guard,
    tools: Sequence[object] | ToolSet,
    *,
    model: ChatRunnable | None = None,
    n: int = 1,
    messages_key: str = "messages",
    tools_node: str = "tools",
    model_node: str = "model",
    end_node: str = END,
) -> "GuardNode":
    """Return a node that reviews the turn which the model node proposed.

    Put it behind the model node; it routes by itself, so it needs no outgoing edges.

    Args:
        guard: Decides.
        tools: Everything the model was offered.
        model: The model with its tools bound. With it, the node draws n - 1 further candidates and
            sends critiques back off-history; without it, it reviews the one proposal, and a
            rejected call is answered by its critique in the history.
        n: Candidates per round, the proposal itself included.
        messages_key: Where the state keeps its messages.
        tools_node: Where approved calls go; a `guarded_tool_node` belongs there.
        model_node: Where a turn goes whose calls were all rejected, their critiques in the history.
        end_node: Where a turn without calls goes, and one that keeps being rejected.

    Raises:
        ConfigurationError: If n < 1, n > 1 without a model, or a tool is invalid.
    """
    if n < 1:
        raise ConfigurationError(f"n is {n}; a decision needs at least 1 candidate")
    if n > 1 and model is None:
        raise ConfigurationError(f"n is {n}, but there is no model to draw from; pass model=...")
    return GuardNode(
        guard=guard,
        tools=ToolSet.of(tools),
        model=model,
        n=n,
        messages_key=messages_key,
        tools_node=tools_node,
        model_node=model_node,
        end_node=end_node,
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
    enforce = _Enforcement(guard=guard, messages_key=messages_key)
    return ToolNode(
        tools,
        messages_key=messages_key,
        handle_tool_errors=handle_tool_errors,
        wrap_tool_call=enforce.run,
        awrap_tool_call=enforce.arun,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """The node wants n proposals for the turn after these messages."""

    messages: list[BaseMessage]
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """The node wants a review of these proposals."""

    history: list[BaseMessage]
    drafts: list[AIMessage]
    round: int
    parent_id: str | None


_Step = _Draw | _Judge
_Answer = list[AIMessage] | Review


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardNode(Runnable[Any, Command[str]]):
    """LangGraph adapter: state in, `Command` out. Made by `guard_node`."""

    guard: Guard
    tools: ToolSet
    model: ChatRunnable | None
    n: int
    messages_key: str
    tools_node: str
    model_node: str
    end_node: str

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Review the last message of the state."""
        config = ensure_config(config)
        steps = self._steps(input)
        answer: _Answer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return _command(done.value)
            match step:
                case _Draw():
                    assert self.model is not None
                    answer = draw(self.model, step.messages, step.n, config)
                case _Judge():
                    judging = self._judging(step, config)
                    answer = self.guard.review(step.history, self.tools, **judging)
                case _:
                    assert_never(step)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Review the last message of the state, without blocking the event loop."""
        config = ensure_config(config)
        steps = self._steps(input)
        answer: _Answer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return _command(done.value)
            match step:
                case _Draw():
                    assert self.model is not None
                    answer = await adraw(self.model, step.messages, step.n, config)
                case _Judge():
                    judging = self._judging(step, config)
                    answer = await self.guard.areview(step.history, self.tools, **judging)
                case _:
                    assert_never(step)

    def _steps(self, state: Any) -> Generator[_Step, Any, Command[str]]:
        """Decide the turn, asking the driver for drafts and reviews; sync and async share this."""
        *history, proposal = _messages(state, self.messages_key)
        if not isinstance(proposal, AIMessage):
            raise InvalidConversationError(
                f"the guard node got a {type(proposal).__name__} as the last message; "
                "put it right behind the node that calls the model"
            )
        drafts = [with_call_ids(proposal)]
        if self.n > 1:
            drafts += yield _Draw(messages=history, n=self.n - 1)
        review: Review = yield _Judge(history=history, drafts=drafts, round=0, parent_id=None)
        winner = drafts[review.chosen]
        while review.decision == "correct":
            told = [*history, *_critique_messages(winner, review)]
            # The draft stays in the running: what scores no better does not replace it.
            drafts = [winner, *(yield _Draw(messages=told, n=self.n))]
            review = yield _Judge(
                history=history, drafts=drafts, round=review.round + 1, parent_id=review.id
            )
            winner = drafts[review.chosen]
        return self._route(proposal, winner, review, history)

    def _judging(self, step: _Judge, config: RunnableConfig) -> dict[str, Any]:
        return {
            "candidates": step.drafts,
            "round": step.round,
            "may_correct": self.model is not None,
            "parent_id": step.parent_id,
            "conversation_id": _conversation(config),
        }

    def _route(
        self,
        proposal: AIMessage,
        winner: AIMessage,
        review: Review,
        history: Sequence[BaseMessage],
    ) -> Command[str]:
        reviewed = _with_verdict(winner, review).model_copy(update={"id": proposal.id})
        refusals = [
            _refusal(verdict.call, review.critique or verdict.reason)
            for verdict in review.verdicts
            if verdict.verdict != "approve"
        ]
        update: list[BaseMessage] = [reviewed, *refusals]
        if review.approved:
            goto = self.tools_node
        elif not review.verdicts:
            goto = self.end_node
        elif _rejections(history) < self.guard.policy.max_rejections:
            goto = self.model_node
        else:
            goto = self.end_node
            update.append(AIMessage(content="No proposed call was approved, so none was executed."))
        return Command(update={self.messages_key: update}, goto=goto)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Enforcement:
    """Checks at the tool what the guard approved, and records what the tool did."""

    guard: Guard
    messages_key: str

    def run(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Execute the call if exactly it was approved."""
        stopped = self._stopped(request)
        if stopped is not None:
            return stopped
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
        stopped = self._stopped(request)
        if stopped is not None:
            return stopped
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

    def _stopped(self, request: ToolCallRequest) -> ToolMessage | None:
        """Return what answers the call instead of its tool; None lets it run."""
        call = Call.parse(request.tool_call)
        since = _since_proposal(_messages(request.state, self.messages_key), call.id)
        for message in since[1:]:
            if isinstance(message, ToolMessage) and message.tool_call_id == call.id:
                return message  # answered already: the same message again changes nothing
        verdict = since[0].response_metadata.get(METADATA_KEY, {}) if since else {}
        if is_approved(call, digest=verdict.get("approved", {}).get(call.id)):
            return None
        reason = "This call was not approved, so it was not executed."
        if call.id is not None:
            self.guard.record_outcome(
                call.id,
                ok=False,
                kind="blocked",
                content=reason,
                digest=call.digest,
                conversation_id=_conversation(request.runtime.config),
            )
        return _refusal(call, reason)

    def _record(
        self, request: ToolCallRequest, started: float, result: ToolResult | BaseException
    ) -> None:
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
            conversation_id=_conversation(request.runtime.config),
        )


def _messages(state: Any, key: str) -> list[BaseMessage]:
    """Return the messages of a state: a dict, an object with attributes, or the list itself."""
    if isinstance(state, list):
        messages = state
    elif isinstance(state, Mapping):
        messages = state.get(key, [])
    else:
        messages = getattr(state, key, [])
    if not messages:
        raise ConfigurationError(
            f"the state has no messages under {key!r}; pass messages_key=... with the right name"
        )
    return list(messages)


def _since_proposal(messages: Sequence[BaseMessage], call_id: str | None) -> list[Any]:
    """Return the AIMessage that proposed a call and all that follows it; empty if there is none."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage) and any(c["id"] == call_id for c in message.tool_calls):
            return list(messages[index:])
    return []


def _with_verdict(message: AIMessage, review: Review) -> AIMessage:
    """Return the message with its verdict as plain data; a checkpoint keeps nothing else."""
    score = review.scores[review.chosen] if review.scores else None
    verdict = {
        "review_id": review.id,
        "decision": review.decision,
        "probability": score.probability if score else None,
        "approved": {call.id: call.digest for call in review.approved if call.id},
    }
    metadata = {**message.response_metadata, METADATA_KEY: verdict}
    return message.model_copy(update={"response_metadata": metadata})


def _critique_messages(draft: AIMessage, review: Review) -> list[BaseMessage]:
    """Return the draft and its critique in a form that every provider accepts."""
    critique = review.critique or ""
    calls = Candidate.parse(draft).calls
    if not calls:
        return [draft, HumanMessage(critique)]
    return [draft, *(_refusal(call, critique) for call in calls)]


def _refusal(call: Call, reason: str) -> ToolMessage:
    return ToolMessage(content=reason, tool_call_id=call.id or "", name=call.name, status="error")


def _rejections(history: Sequence[BaseMessage]) -> int:
    """Count the turns at the end of the history whose calls were all rejected."""
    count = 0
    for message in reversed(history):
        if isinstance(message, AIMessage):
            verdict = message.response_metadata.get(METADATA_KEY, {})
            proposed = message.tool_calls or message.invalid_tool_calls
            if not proposed or verdict.get("approved", True):
                break
            count += 1
        elif not isinstance(message, ToolMessage):
            break
    return count


def _conversation(config: RunnableConfig) -> str | None:
    thread = config.get("configurable", {}).get("thread_id")
    return str(thread) if thread is not None else None


def _command(value: object) -> Command[str]:
    assert isinstance(value, Command)
    return value
