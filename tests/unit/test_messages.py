"""Conversations from either world read alike."""

from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from toolrm_guard.errors import InvalidConversationError
from toolrm_guard.messages import Message, parse_messages

OPENAI = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Where is it?"}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}]},
    {"role": "tool", "tool_call_id": "1", "content": "here", "status": "success"},
]  # fmt: skip
LANGCHAIN = [
    SystemMessage("Be brief."),
    HumanMessage("Where is it?"),
    AIMessage("", tool_calls=[{"id": "1", "name": "find", "args": {"x": 1}}]),
    ToolMessage("here", tool_call_id="1"),
]


def test_openai_and_langchain_messages_read_alike() -> None:
    assert parse_messages(OPENAI) == parse_messages(LANGCHAIN)
    assert [m.role for m in parse_messages(OPENAI)] == ["system", "user", "assistant", "tool"]


def test_a_plain_request_is_one_user_message() -> None:
    assert parse_messages("Hi") == (Message(role="user", text="Hi"),)


@pytest.mark.parametrize("raw", [{"content": "x"}, {"role": "wizard"}, 3])
def test_a_message_without_a_known_role_is_named(raw: object) -> None:
    with pytest.raises(InvalidConversationError, match="expected one of system, user"):
        parse_messages([raw])


def test_the_messages_of_the_openai_client_are_read() -> None:
    function = SimpleNamespace(name="get_mail", arguments='{"folder": "inbox"}')
    call = SimpleNamespace(id="c1", type="function", function=function)
    message = Message.parse(SimpleNamespace(role="assistant", content=None, tool_calls=[call]))
    assert message.role == "assistant"
    assert message.calls[0].arguments == {"folder": "inbox"}
