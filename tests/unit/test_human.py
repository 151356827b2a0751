"""What a human is asked, and how their answer is read: never on a guess."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from toolrm_guard.calls import Call
from toolrm_guard.human import UnreadableAnswer, edited, question, read_answers
from toolrm_guard.verdicts import Ruling

PAY = Call(name="pay", arguments={"to": "bob", "amount": 5}, id="c0")
SEND = Call(name="send", arguments={"to": "ann"}, id="c1")
HELD = [Ruling(call=PAY, verdict="escalate", reason="It is much."), Ruling(call=SEND, verdict=None)]
EDIT = {"name": "pay", "args": {"to": "ann"}}


def test_the_question_has_the_form_of_langchains_middleware() -> None:
    asked = question(HELD, "langchain")
    assert [(r["name"], r["args"]) for r in asked["action_requests"]] == [
        ("pay", {"to": "bob", "amount": 5}),
        ("send", {"to": "ann"}),
    ]
    assert "It is much." in asked["action_requests"][0]["description"]
    assert [c["action_name"] for c in asked["review_configs"]] == ["pay", "send"]
    assert asked["review_configs"][0]["allowed_decisions"] == [
        "approve",
        "edit",
        "reject",
        "respond",
    ]


def test_one_review_config_is_enough_for_two_calls_of_a_tool() -> None:
    assert len(question([HELD[0], HELD[0]], "langchain")["review_configs"]) == 1


def test_the_question_has_the_form_of_agent_inbox_on_request() -> None:
    first, second = question(HELD, "agent_inbox")
    assert first["action_request"] == {"action": "pay", "args": {"to": "bob", "amount": 5}}
    assert all(second["config"].values())


@pytest.mark.parametrize("inbox", ["langchain", "agent_inbox"])
def test_a_question_that_is_asked_again_says_why(inbox: Any) -> None:
    assert "could not be read: 1 decision too few" in str(
        question(HELD, inbox, "1 decision too few")
    )


@pytest.mark.parametrize(
    ("decision", "kind", "call", "message"),
    [
        ("approve", "approve", PAY, ""),
        ("accept", "approve", PAY, ""),
        ({"type": "approve"}, "approve", PAY, ""),
        ({"type": "accept", "args": None}, "approve", PAY, ""),
        ({"type": "reject"}, "reject", PAY, ""),
        ({"type": "reject", "message": "No."}, "reject", PAY, "No."),
        ({"type": "ignore", "args": None}, "reject", PAY, ""),
        ({"type": "respond", "message": "Paid."}, "respond", PAY, "Paid."),
        ({"type": "response", "args": "Paid."}, "respond", PAY, "Paid."),
        (
            {"type": "edit", "edited_action": EDIT},
            "edit",
            Call(name="pay", arguments={"to": "ann"}, id="c0"),
            "",
        ),
        (
            {"type": "edit", "args": {"action": "pay", "args": {"to": "ann"}}},
            "edit",
            Call(name="pay", arguments={"to": "ann"}, id="c0"),
            "",
        ),
    ],
)
def test_a_decision_of_either_form_is_read(
    decision: Any, kind: str, call: Call, message: str
) -> None:
    for value in ([decision], {"decisions": [decision]}):
        [answer] = read_answers(value, HELD[:1])
        assert (answer.kind, answer.call, answer.call.id) == (kind, call, "c0")
        assert answer.message == message


def test_answers_are_in_the_order_of_the_calls() -> None:
    answers = read_answers({"decisions": ["approve", "reject"]}, HELD)
    assert [(a.kind, a.call.id) for a in answers] == [("approve", "c0"), ("reject", "c1")]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "approve",
        b"approve",
        {},
        {"decisions": {}},
        {"decisions": "approve"},
        {"decisions": []},
        ["approve", "approve"],
        ["APPROVE"],
        [None],
        [{"kind": "approve"}],
        [{"type": "edit"}],
        [{"type": "edit", "edited_action": "pay"}],
        [{"type": "edit", "edited_action": {"name": "pay"}}],
        [{"type": "edit", "edited_action": {"name": None, "args": {}}}],
        [{"type": "edit", "edited_action": {"name": "pay", "args": "{}"}}],
    ],
)
def test_what_cannot_be_read_is_not_guessed(value: Any) -> None:
    with pytest.raises(UnreadableAnswer):
        read_answers(value, HELD[:1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "args", "decisions", "edited_action", "name", "message"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_no_answer_is_an_approval_but_one_that_says_so(value: Any) -> None:
    try:
        [answer] = read_answers(value, HELD[:1])
    except UnreadableAnswer:
        return
    if answer.kind == "approve":
        assert "approve" in str(value) or "accept" in str(value)


def anthropic() -> AIMessage:
    blocks: list[Any] = [
        "Let me pay.",
        {"type": "text", "text": "Now."},
        {"type": "tool_use", "id": "c0", "name": "pay", "input": {"to": "bob"}},
        {"type": "tool_use", "id": "c1", "name": "send", "input": {"to": "bob"}},
        {"type": "tool_call", "id": "c0", "name": "pay", "args": {"to": "bob"}},
        {"type": "other", "id": "c0"},
    ]
    calls = [
        {"name": "pay", "args": {"to": "bob"}, "id": "c0"},
        {"name": "send", "args": {"to": "bob"}, "id": "c1"},
    ]
    raw = {"id": "c0", "type": "function", "function": {"name": "pay", "arguments": "{}", "x": 1}}
    extra = {"tool_calls": [raw, {**raw, "id": "c1"}, "odd"], "refusal": None}
    return AIMessage(content=blocks, tool_calls=calls, additional_kwargs=extra)


def test_an_edit_reaches_every_place_that_holds_the_call_and_no_other() -> None:
    message = anthropic()
    after = edited(message, Call(name="wire", arguments={"to": "ann"}, id="c0"))
    assert message == anthropic(), "the message itself is not changed"
    assert [(c["name"], c["args"]) for c in after.tool_calls] == [
        ("wire", {"to": "ann"}),
        ("send", {"to": "bob"}),
    ]
    content: Any = after.content
    assert content[2] == {"type": "tool_use", "id": "c0", "name": "wire", "input": {"to": "ann"}}
    assert content[4] == {"type": "tool_call", "id": "c0", "name": "wire", "args": {"to": "ann"}}
    assert [content[i] for i in (0, 1, 3, 5)] == [anthropic().content[i] for i in (0, 1, 3, 5)]
    raw = after.additional_kwargs["tool_calls"]
    assert raw[0]["function"] == {"name": "wire", "arguments": '{"to": "ann"}', "x": 1}
    assert raw[1:] == anthropic().additional_kwargs["tool_calls"][1:]
    assert after.additional_kwargs["refusal"] is None


def test_an_edit_reaches_the_blocks_of_openais_responses() -> None:
    block = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c0",
        "name": "pay",
        "arguments": '{"to": "bob"}',
        "status": "completed",
    }
    other = {**block, "id": "c0", "call_id": "c1"}
    message = AIMessage(
        content=[block, other], tool_calls=[{"name": "pay", "args": {"to": "bob"}, "id": "c0"}]
    )
    after: Any = edited(message, Call(name="wire", arguments={"to": "ann"}, id="c0")).content
    assert after == [{**block, "name": "wire", "arguments": '{"to": "ann"}'}, other]
