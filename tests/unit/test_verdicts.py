"""How a verdict travels in a message: bound to each call, and plain data."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from toolrm_guard import FakeScorer, Guard, Policy, Rule
from toolrm_guard.calls import Call
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.verdicts import (
    METADATA_KEY,
    Ruling,
    is_reviewed,
    messages_of,
    open_turn,
    refusal,
    rejections,
    ruling_on,
    rulings_of,
    since_proposal,
    was_judged,
    with_refusals_kept,
    with_rulings,
    with_verdict,
)

TOOLS = [
    {"name": "get_mail", "parameters": {"type": "object", "properties": {"id": {}}}},
    {"name": "delete_mail", "parameters": {"type": "object", "properties": {"id": {}}}},
]
POLICY = Policy(read=Rule(threshold=0.3), destructive=Rule(threshold=0.8), max_corrections=0)


def proposal(*names: str, message_id: str | None = None, **arguments: Any) -> AIMessage:
    calls = [{"name": n, "args": arguments, "id": f"c{i}"} for i, n in enumerate(names)]
    return AIMessage(content="", tool_calls=calls, id=message_id)


def reviewed(message: AIMessage, probability: float = 0.5) -> AIMessage:
    """Of a get_mail and a delete_mail, the first is approved and the second is not."""
    guard = Guard(FakeScorer(lambda request: [probability]), policy=POLICY)
    return with_verdict(message, guard.review("Tidy up my mail.", TOOLS, [message]))


def verdicts(message: AIMessage) -> list[str | None]:
    return [ruling.verdict for ruling in rulings_of(message)]


def test_a_verdict_is_plain_data_on_a_copy_of_the_message() -> None:
    message = proposal("get_mail", "delete_mail", id=1)
    after = reviewed(message)
    assert verdicts(after) == ["approve", "reject"]
    assert METADATA_KEY not in message.response_metadata
    plain = after.response_metadata[METADATA_KEY]
    assert json.loads(json.dumps(plain)) == plain


def test_other_metadata_of_the_message_stays() -> None:
    message = proposal("get_mail").model_copy(update={"response_metadata": {"model_name": "m"}})
    assert reviewed(message).response_metadata["model_name"] == "m"


@pytest.mark.parametrize("change", [{"args": {"id": 2}}, {"name": "delete_mail"}])
def test_an_edited_call_has_no_verdict(change: dict[str, Any]) -> None:
    message = reviewed(proposal("get_mail", id=1))
    edited = message.model_copy(deep=True)
    edited.tool_calls[0].update(change)  # type: ignore[typeddict-item]
    assert verdicts(message) == ["approve"]
    assert verdicts(edited) == [None]
    assert not is_reviewed(edited)
    assert was_judged(edited, "c0")
    assert "not the one that was judged" in rulings_of(edited)[0].reason


def test_a_call_under_another_id_has_no_verdict() -> None:
    message = reviewed(proposal("get_mail", id=1))
    twin = Call(name="get_mail", arguments={"id": 1}, id="c9")
    assert ruling_on(message, twin).verdict is None
    assert not was_judged(message, "c9")


@pytest.mark.parametrize(
    "found",
    [None, "approve", 7, {}, {"version": 1}, {"version": 1, "calls": []}, {"calls": {"c0": {}}}],
)
def test_metadata_of_another_shape_approves_nothing(found: Any) -> None:
    message = reviewed(proposal("get_mail", id=1))
    message = message.model_copy(update={"response_metadata": {METADATA_KEY: found}})
    assert verdicts(message) == [None]
    assert not is_reviewed(message)


@pytest.mark.parametrize("entry", [None, "approve", {"verdict": "approve"}, {"digest": "0" * 64}])
def test_an_entry_of_another_shape_approves_nothing(entry: Any) -> None:
    message = reviewed(proposal("get_mail", id=1))
    metadata = {**message.response_metadata[METADATA_KEY], "calls": {"c0": entry}}
    message = message.model_copy(update={"response_metadata": {METADATA_KEY: metadata}})
    assert verdicts(message) == [None]


def test_a_verdict_of_another_version_says_so_and_approves_nothing() -> None:
    message = reviewed(proposal("get_mail", id=1))
    metadata = {**message.response_metadata[METADATA_KEY], "version": 2}
    message = message.model_copy(update={"response_metadata": {METADATA_KEY: metadata}})
    [ruling] = rulings_of(message)
    assert ruling.verdict is None
    assert "could not judge" in ruling.reason
    assert "version 2" in ruling.reason


def test_a_call_that_cannot_be_read_is_never_approved_whatever_a_state_says() -> None:
    broken = {"name": "get_mail", "args": "{", "id": "b0", "error": "bad JSON"}
    message = AIMessage(content="", invalid_tool_calls=[broken])
    call = Call.parse(broken)
    forged = with_rulings(message, [Ruling(call=call, verdict="approve")])
    assert verdicts(forged) == ["reject"]


def test_rulings_replace_only_the_verdicts_they_are_about() -> None:
    message = reviewed(proposal("get_mail", "delete_mail", id=1))
    call = rulings_of(message)[1].call
    assert (
        verdicts(with_rulings(message, [Ruling(call=call, verdict="approve")])) == ["approve"] * 2
    )
    assert verdicts(message) == ["approve", "reject"]


def test_a_text_is_reviewed_once_it_carries_a_verdict() -> None:
    text = AIMessage(content="Hello.")
    assert not is_reviewed(text)
    assert is_reviewed(reviewed(text))


def test_refusals_stay_when_a_second_review_could_not_judge() -> None:
    before = reviewed(proposal("get_mail", "delete_mail", id=1), probability=0.1)
    open_guard = Guard(
        FakeScorer(lambda request: [1 / 0]),
        policy=Policy(destructive=Rule(on_unjudged="open")),
    )
    unjudged = with_verdict(before, open_guard.review("Tidy up my mail.", TOOLS, [before]))
    assert verdicts(unjudged) == ["approve", "approve"]
    assert verdicts(with_refusals_kept(unjudged, before)) == ["reject", "reject"]


def test_a_second_judgement_replaces_a_refusal() -> None:
    before = reviewed(proposal("delete_mail", id=1), probability=0.1)
    again = reviewed(before, probability=0.9)
    assert verdicts(with_refusals_kept(again, before)) == ["approve"]


def test_the_refusal_answers_the_call() -> None:
    message = refusal(Call(name="get_mail", id="c0"), "No.")
    assert (message.tool_call_id, message.name, message.status) == ("c0", "get_mail", "error")


class _State:
    messages = [HumanMessage("hi")]


@pytest.mark.parametrize(
    "state", [[HumanMessage("hi")], {"messages": [HumanMessage("hi")]}, _State()]
)
def test_messages_are_found_in_every_form_of_state(state: object) -> None:
    assert [m.content for m in messages_of(state, "messages")] == ["hi"]


@pytest.mark.parametrize("state", [[], {}, {"messages": []}, object()])
def test_a_state_without_messages_is_named(state: object) -> None:
    with pytest.raises(ConfigurationError, match="'messages'"):
        messages_of(state, "messages")


def answer(call_id: str) -> ToolMessage:
    return ToolMessage("done", tool_call_id=call_id)


def test_the_open_turn_is_the_last_proposal_and_what_is_answered_of_it() -> None:
    ask, told = HumanMessage("hi"), proposal("get_mail", "delete_mail")
    turn = open_turn([ask, told, answer("c1")])
    assert (turn.history, turn.proposal, turn.answered) == ([ask], told, frozenset({"c1"}))
    assert turn.answered_by([answer("c0")]).answered == {"c0", "c1"}


@pytest.mark.parametrize(
    "after", [[answer("c0")], [HumanMessage("never mind")], [answer("c0"), HumanMessage("more")]]
)
def test_a_turn_that_is_over_is_history(after: list[Any]) -> None:
    messages = [HumanMessage("hi"), proposal("get_mail"), *after]
    assert open_turn(messages).proposal is None
    assert open_turn(messages).history == messages


def test_a_call_belongs_to_the_last_message_that_proposed_its_id() -> None:
    first, second = proposal("get_mail", id=1), proposal("get_mail", id=2)
    messages = [first, answer("c0"), second]
    assert since_proposal(messages, "c0") == [second]
    assert since_proposal(messages, "c1") == []


def test_only_fully_rejected_turns_at_the_end_count() -> None:
    bad = reviewed(proposal("delete_mail", id=1))
    good = reviewed(proposal("get_mail", id=1))
    part = reviewed(proposal("get_mail", "delete_mail", id=1))
    said = answer("c0")
    assert rejections([bad, said, bad, said]) == 2
    assert rejections([bad, said, good, said, bad, said]) == 1
    assert rejections([bad, said, part, said]) == 0
    assert rejections([bad, said, HumanMessage("Try again.")]) == 0
    assert rejections([]) == 0
