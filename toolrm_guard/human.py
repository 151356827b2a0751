"""What a human is asked about calls that were held for them, and how their answer is read.

The question has the form of LangChain's HumanInTheLoopMiddleware, so its clients can show it, or on
request the older form of Agent Inbox. Answers of either form are read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.types import interrupt

from toolrm_guard.calls import Call
from toolrm_guard.verdicts import Ruling

Inbox = Literal["langchain", "agent_inbox"]
"""The form of the question: HumanInTheLoopMiddleware's request, or Agent Inbox's list."""

_DECISIONS = ("approve", "edit", "reject", "respond")
_FROM_INBOX = {"accept": "approve", "edit": "edit", "ignore": "reject", "response": "respond"}


class UnreadableAnswer(ValueError):
    """The answer of a human has neither form; the question is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a human decided about one call.

    Attributes:
        kind: `approve` executes the call, `edit` replaces it, `reject` refuses it, `respond`
            answers it in the tool's place.
        call: The call to execute; the edited one after an edit.
        message: The reason of a rejection, or the text of a response.
    """

    kind: Literal["approve", "edit", "reject", "respond"]
    call: Call
    message: str = ""


def ask(held: Sequence[Ruling], inbox: Inbox) -> list[Answer]:
    """Interrupt the graph until a human has decided about every held call.

    Asks again while an answer cannot be read, saying why: nothing executes on a guess. It reads
    nothing but its arguments and the answers, so LangGraph may run it again on every resume.

    Args:
        held: The calls to decide on.
        inbox: The form of the question.
    """
    problem = None
    while True:
        try:
            return read_answers(interrupt(question(held, inbox, problem)), held)
        except UnreadableAnswer as exc:
            problem = str(exc)


def question(held: Sequence[Ruling], inbox: Inbox, problem: str | None = None) -> Any:
    """Return the interrupt's payload."""
    shown = [_description(ruling, problem) for ruling in held]
    if inbox == "agent_inbox":
        permissions = dict.fromkeys(
            ("allow_accept", "allow_edit", "allow_respond", "allow_ignore"), True
        )
        return [
            {
                "action_request": {"action": ruling.call.name, "args": dict(ruling.call.arguments)},
                "config": permissions,
                "description": text,
            }
            for ruling, text in zip(held, shown, strict=True)
        ]
    return {
        "action_requests": [
            {"name": r.call.name, "args": dict(r.call.arguments), "description": text}
            for r, text in zip(held, shown, strict=True)
        ],
        "review_configs": [
            {"action_name": name, "allowed_decisions": list(_DECISIONS)}
            for name in dict.fromkeys(ruling.call.name for ruling in held)
        ],
    }


def read_answers(value: object, held: Sequence[Ruling]) -> list[Answer]:
    """Return one answer per held call, in order.

    Raises:
        UnreadableAnswer: If there is not exactly one known decision for each.
    """
    decisions = value.get("decisions") if isinstance(value, Mapping) else value
    if isinstance(decisions, Mapping) or not isinstance(decisions, Sequence):
        raise UnreadableAnswer('answer with {"decisions": [...]}, one decision per call')
    if isinstance(decisions, str) or len(decisions) != len(held):
        raise UnreadableAnswer(f"{len(decisions)} decisions came for {len(held)} calls")
    return [_answer(d, r.call) for d, r in zip(decisions, held, strict=True)]


def edited(message: AIMessage, call: Call) -> AIMessage:
    """Return the message with the call of that id replaced, in every place that holds it.

    Providers are sent their own content blocks or raw calls back, so these change too.
    """
    changed = {"name": call.name, "args": dict(call.arguments)}
    content = message.content
    if isinstance(content, list):
        content = [_edited_block(block, call) for block in content]
    raw = message.additional_kwargs.get("tool_calls")
    extra = message.additional_kwargs
    if raw:
        extra = {**extra, "tool_calls": [_edited_raw(item, call) for item in raw]}
    calls = [{**c, **changed} if c["id"] == call.id else c for c in message.tool_calls]
    return message.model_copy(
        update={"tool_calls": calls, "content": content, "additional_kwargs": extra}
    )


def _answer(decision: object, call: Call) -> Answer:
    fields = decision if isinstance(decision, Mapping) else {"type": decision}
    kind = _FROM_INBOX.get(str(fields.get("type")), fields.get("type"))
    args = fields.get("args")
    match kind:
        case "approve":
            return Answer(kind="approve", call=call)
        case "edit":
            return Answer(kind="edit", call=_edit(fields, call))
        case "reject" | "respond":
            text = fields.get("message", args)
            return Answer(kind=kind, call=call, message=text if isinstance(text, str) else "")
        case _:
            raise UnreadableAnswer(
                f"decision {fields.get('type')!r} is none of {', '.join(_DECISIONS)}"
            )


def _edit(fields: Mapping[str, Any], call: Call) -> Call:
    action = fields.get("edited_action", fields.get("args"))
    if not isinstance(action, Mapping):
        raise UnreadableAnswer('an edit needs "edited_action": {"name": ..., "args": {...}}')
    name, arguments = action.get("name", action.get("action")), action.get("args")
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise UnreadableAnswer("an edited action needs a name and an object of args")
    return Call(name=name, arguments=dict(arguments), id=call.id)


def _description(ruling: Ruling, problem: str | None) -> str:
    held = f"{ruling.call.name} waits for approval. {ruling.reason}".strip()
    return f"{held}\n\nThe last answer could not be read: {problem}." if problem else held


def _edited_block(block: Any, call: Call) -> Any:
    # A block of OpenAI's Responses has an id of its own, and the call's under `call_id`.
    if not isinstance(block, Mapping) or (block.get("call_id") or block.get("id")) != call.id:
        return block
    match block.get("type"):
        case "tool_use":
            return {**block, "name": call.name, "input": dict(call.arguments)}
        case "tool_call":
            return {**block, "name": call.name, "args": dict(call.arguments)}
        case "function_call":
            return {**block, "name": call.name, "arguments": json.dumps(dict(call.arguments))}
        case _:
            return block


def _edited_raw(item: Any, call: Call) -> Any:
    if not isinstance(item, Mapping) or item.get("id") != call.id:
        return item
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {**item, "function": {**item.get("function", {}), **function}}
