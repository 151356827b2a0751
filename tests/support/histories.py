"""What every provider demands of a conversation that is sent back to it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


def call_ids(message: AIMessage) -> list[str | None]:
    """The ids of every call of a message, readable or not."""
    return [call["id"] for call in [*message.tool_calls, *message.invalid_tool_calls]]


def assert_valid_history(messages: Sequence[BaseMessage], *, waiting: bool = False) -> None:
    """Every turn with calls is followed directly by one ToolMessage a call, and by no other.

    Args:
        messages: The conversation.
        waiting: Whether the run stopped in its last turn, whose calls may be unanswered then.
    """
    shown = "\n".join(f"{m.type} {m.id} {_detail(m)}" for m in messages)
    ids = [m.id for m in messages if m.id is not None]
    assert len(ids) == len(set(ids)), f"two messages share an id:\n{shown}"
    index = 0
    while index < len(messages):
        message = messages[index]
        assert not isinstance(message, ToolMessage), f"an answer to nothing:\n{shown}"
        index += 1
        if not isinstance(message, AIMessage):
            continue
        wanted = Counter(call_ids(message))
        assert None not in wanted, f"a call without an id:\n{shown}"
        assert set(wanted.values()) <= {1}, f"two calls of one turn share an id:\n{shown}"
        answered: Counter[str | None] = Counter()
        while index < len(messages) and isinstance(answer := messages[index], ToolMessage):
            answered[answer.tool_call_id] += 1
            index += 1
        assert answered <= wanted, f"a call was answered twice, or was never made:\n{shown}"
        if not (waiting and index == len(messages)):
            assert answered == wanted, f"a call was not answered:\n{shown}"


def _detail(message: Any) -> str:
    if isinstance(message, AIMessage):
        return f"{message.text!r} {call_ids(message)}"
    return f"{getattr(message, 'tool_call_id', '')} {message.text!r}"
