"""What follows from the verdicts on a turn: refusals, questions to a human, and where to go next.

The node turns a `Settled` into a `Command`, the middleware into a state update with a jump.
"""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from toolrm_guard.errors import ConfigurationError, InvalidConversationError, origin_of
from toolrm_guard.guard import Guard
from toolrm_guard.human import Answer, Inbox, ask, edited
from toolrm_guard.review import Review
from toolrm_guard.steps import Judge, Steps, WasStored, conversation_of
from toolrm_guard.turns import TurnReviewer
from toolrm_guard.verdicts import (
    OpenTurn,
    Ruling,
    is_reviewed,
    open_turn,
    refusal,
    rejections,
    review_id_of,
    rulings_of,
    with_refusals_kept,
    with_rulings,
)

_log = logging.getLogger(__name__)

Next = Literal["tools", "human", "model", "end"]

STOPPED = "No proposed call was approved, so none was executed."
NO_WAY_TO_ASK = (
    "This call needs a human, and the run could not wait for one here; it was not executed."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A turn with every verdict applied.

    Attributes:
        messages: The reviewed AIMessage and what answers its calls that do not execute.
        next: `tools` if a call is to execute, `human` if one is held, `model` if all were
            refused, `end` if there are no calls, or too many turns were refused.
    """

    messages: list[BaseMessage]
    next: Next


def settled_turn(
    messages: Sequence[BaseMessage],
    reviewer: TurnReviewer,
    config: RunnableConfig,
    inbox: Inbox,
    *,
    revisits: bool,
    in_place: bool = False,
) -> Steps[Settled]:
    """Return the last turn of a conversation, settled: reviewed first, if it was not.

    A turn whose reviewed message holds calls for a human is interrupted here, and only here: the
    verdict was stored a step before, so that a resumed run asks about the very calls that were
    scored, and samples nothing again.

    Args:
        messages: The conversation.
        reviewer: Reviews the last turn, or draws one if the last turn is over.
        config: Of the run.
        inbox: The form of the question to a human.
        revisits: Whether the surface runs this again after it stored a held turn; if not, what is
            reviewed only here cannot be asked about.
        in_place: Whether the surface draws its own turns: then a text at the end is somebody's
            answer, and not its proposal.

    Raises:
        InvalidConversationError: If the last turn is over and there is no model to draw another.
    """
    turn = open_turn(messages)
    if in_place and turn.proposal is not None and not _calls(turn.proposal):
        turn = OpenTurn(history=list(messages), proposal=None)
    if turn.proposal is None and reviewer.model is None:
        raise InvalidConversationError(
            f"the guard got a {type(messages[-1]).__name__} as the last message and no model; "
            "put it right behind the node that calls the model, or pass model=..."
        )
    if turn.proposal is None or not is_reviewed(turn.proposal):
        if turn.answered:
            # Another draft in its place would leave the answers that are there to no call at all.
            reviewer = dataclasses.replace(reviewer, model=None, n=1)
        reviewed = yield from _reviewed(reviewer, turn)
        if turn.proposal is not None:
            reviewed = reviewed.model_copy(update={"id": turn.proposal.id})
            reviewed = with_refusals_kept(reviewed, turn.proposal)
        return settle(reviewed, turn, reviewer.guard, can_ask=revisits and _can_wait(config))
    message = turn.proposal
    replies: list[ToolMessage] = []
    held = [r for r in _unanswered(message, turn) if r.verdict == "escalate"]
    if held and _can_wait(config):
        answers = ask(held, inbox)
        if not (yield WasStored()):
            return settle(message, turn, reviewer.guard, can_ask=False)
        message, replies = yield from _heeded(message, answers, turn.history, reviewer, config)
        turn = turn.answered_by(replies)
    settled = settle(message, turn, reviewer.guard, can_ask=False)
    return Settled(
        messages=[settled.messages[0], *replies, *settled.messages[1:]], next=settled.next
    )


def _reviewed(reviewer: TurnReviewer, turn: OpenTurn) -> Steps[AIMessage]:
    """Return the turn, reviewed; in shadow what cannot be read is logged and passes as it is."""
    try:
        return (yield from reviewer.steps(turn.history, turn.proposal))
    except ConfigurationError as exc:
        if not reviewer.guard.in_shadow or turn.proposal is None:
            raise
        _log.error("shadow: this turn could not be reviewed: %s", origin_of(exc))
        return turn.proposal


def settle(message: AIMessage, turn: OpenTurn, guard: Guard, *, can_ask: bool) -> Settled:
    """Return what follows from the verdicts that a message carries.

    Args:
        message: The reviewed message.
        turn: Where it stands, and which of its calls are answered already.
        guard: Its policy says how many refused turns may follow each other.
        can_ask: Whether the run can wait for a human.
    """
    if guard.in_shadow:
        return Settled(messages=[message], next="tools" if message.tool_calls else "end")
    rulings = _unanswered(message, turn)
    held = [r for r in rulings if r.verdict == "escalate"]
    if held and not can_ask:
        refused = [Ruling(call=r.call, verdict="reject", reason=NO_WAY_TO_ASK) for r in held]
        message = with_rulings(message, refused)
        rulings = _unanswered(message, turn)
    refusals = [refusal(r.call, r.reason) for r in rulings if r.verdict not in _GO_ON]
    out: list[BaseMessage] = [message, *refusals]
    verdicts = {r.verdict for r in rulings}
    if "escalate" in verdicts:
        return Settled(messages=out, next="human")
    if "approve" in verdicts:
        return Settled(messages=out, next="tools")
    if not rulings:
        return Settled(messages=out, next="model" if turn.answered else "end")
    if rejections(turn.history) < guard.policy.max_rejections:
        return Settled(messages=out, next="model")
    return Settled(messages=[*out, AIMessage(content=STOPPED)], next="end")


_GO_ON = ("approve", "escalate")


def _heeded(
    message: AIMessage,
    answers: Sequence[Answer],
    history: Sequence[BaseMessage],
    reviewer: TurnReviewer,
    config: RunnableConfig,
) -> Steps[tuple[AIMessage, list[ToolMessage]]]:
    """Return the message with a human's decisions in place of the holds, and their replies.

    An edited call is a new call: it is scored like any other before it may execute.
    """
    rulings, replies = [], []
    for answer in answers:
        review: Review | None = None
        if answer.kind == "edit":
            message = edited(message, answer.call)
            review = yield Judge(
                guard=reviewer.guard,
                messages=history,
                tools=reviewer.tools,
                candidates=[_only(message, answer.call.id)],
                parent_id=review_id_of(message),
            )
        if answer.kind == "respond":
            replies.append(_response(answer))
        rulings.append(_ruling(answer, review))
        reviewer.guard.record_outcome(
            answer.call.id or "",
            ok=answer.kind in ("approve", "edit"),
            kind="human",
            label=answer.kind,
            content=f"{answer.kind}: {answer.message}".rstrip(": "),
            call=answer.call,
            tools=reviewer.tools,
            conversation_id=conversation_of(config),
        )
    return with_rulings(message, rulings), replies


def _ruling(answer: Answer, review: Review | None) -> Ruling:
    call = answer.call
    match answer.kind:
        case "approve":
            return Ruling(call=call, verdict="approve")
        case "edit" if review is not None and review.approves(call):
            return Ruling(call=call, verdict="approve")
        case "edit":
            told = review.critique if review is not None else None
            reason = f"A human edited this call, and the edited one was not approved. {told or ''}"
            return Ruling(call=call, verdict="reject", reason=reason.strip())
        case _:
            said = f" They said: {answer.message}" if answer.message else ""
            reason = f"A human rejected this call; it was not executed.{said}"
            return Ruling(call=call, verdict="reject", reason=reason)


def _response(answer: Answer) -> ToolMessage:
    return ToolMessage(
        content=answer.message, tool_call_id=answer.call.id or "", name=answer.call.name
    )


def _only(message: AIMessage, call_id: str | None) -> AIMessage:
    calls = [call for call in message.tool_calls if call["id"] == call_id]
    return AIMessage(content="", tool_calls=calls)


def _calls(message: AIMessage) -> bool:
    return bool(message.tool_calls or message.invalid_tool_calls)


def _unanswered(message: AIMessage, turn: OpenTurn) -> list[Ruling]:
    return [r for r in rulings_of(message) if r.call.id not in turn.answered]


def _can_wait(config: RunnableConfig) -> bool:
    """Tell whether the run has a checkpointer, without which an interrupt cannot be resumed."""
    return config.get("configurable", {}).get("__pregel_checkpointer") is not None
