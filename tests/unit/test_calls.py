"""Calls and candidates: hostile input becomes a defect, never an exception."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calls import MAX_ARGUMENT_CHARS, Call, Candidate, canonical_json
from toolrm_guard.errors import InvalidConversationError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_the_same_arguments_in_another_order_are_the_same_call() -> None:
    first = Call(name="f", arguments={"a": 1, "b": {"x": 1, "y": 2}}, id="1")
    second = Call(name="f", arguments={"b": {"y": 2, "x": 1}, "a": 1}, id="2")
    assert first == second
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": "1"}), ({"a": True}, {"a": 1}), ({"a": None}, {}), ({"a": [1]}, {"a": 1})],
)
def test_other_values_are_another_call(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert Call(name="f", arguments=one).digest != Call(name="f", arguments=other).digest


@given(st.dictionaries(st.text(), json_values))
def test_any_arguments_have_a_digest(arguments: dict[str, Any]) -> None:
    call = Call(name="f", arguments=arguments)
    assert len(call.digest) == 64
    assert call.digest == Call(name="f", arguments=dict(reversed(arguments.items()))).digest


@given(st.text())
def test_any_argument_text_is_read_or_becomes_a_defect(text: str) -> None:
    call = Call.parse({"function": {"name": "f", "arguments": text}})
    if call.defect is None and text.strip():
        assert call.arguments == json.loads(text) or call.arguments != call.arguments
    else:
        assert call.arguments == {}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('{"a": ', "malformed_arguments"),
        ("[1, 2]", "malformed_arguments"),
        ("null", "malformed_arguments"),
        (12, "malformed_arguments"),
        ("[" * 100_000, "too_deep"),
        (json.dumps(nested(100)), "too_deep"),
        (nested(1000), "too_deep"),
        ({"a": "x" * 10_000_000}, "oversized_arguments"),
        ('{"a": "' + "x" * 10_000_000 + '"}', "oversized_arguments"),
    ],
    ids=["cut", "list", "null", "number", "brackets", "text", "dict", "10 MB", "10 MB text"],
)
def test_unreadable_arguments_are_a_defect(arguments: object, code: str) -> None:
    call = Call.parse({"name": "f", "arguments": arguments, "id": "1"})
    assert call.defect is not None
    assert call.defect.code == code
    assert call.arguments == {}
    assert len(call.canonical) < 400


def test_a_cycle_is_too_deep_and_shared_parts_do_not_explode() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    shared: dict[str, Any] = {}
    for _ in range(500):
        shared = {"a": shared, "b": shared}
    for arguments in (cycle, shared):
        defect = Call(name="f", arguments=arguments).defect
        assert defect is not None
        assert defect.code == "too_deep"


def test_a_defective_call_never_equals_a_sound_one() -> None:
    empty = Call(name="f")
    broken = Call.parse({"name": "f", "arguments": "x" * (MAX_ARGUMENT_CHARS + 1)})
    assert broken.arguments == empty.arguments
    assert broken.digest != empty.digest


def test_what_json_lacks_does_not_stop_the_canonical_form() -> None:
    assert canonical_json({1: {"a"}, "b": float("nan")}) == '{"1":"{\'a\'}","b":NaN}'


@pytest.mark.parametrize(
    "raw",
    [
        {"role": "assistant", "content": "hi", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        {"content": [{"type": "text", "text": "hi"}], "tool_calls": [
            {"name": "f", "arguments": {"a": 1}, "id": "1"}]},
        SimpleNamespace(content="hi", tool_calls=[SimpleNamespace(
            id="1", function=SimpleNamespace(name="f", arguments='{"a": 1}'))]),
        Candidate(text="hi", calls=(Call(name="f", arguments={"a": 1}, id="1"),)),
    ],
    ids=["openai dict", "plain", "openai object", "candidate"],
)  # fmt: skip
def test_every_usual_shape_reads_alike(raw: object) -> None:
    candidate = Candidate.parse(raw)
    assert candidate.text == "hi"
    assert candidate.calls == (Call(name="f", arguments={"a": 1}),)
    assert candidate.calls[0].id == "1"


def test_what_langchain_could_not_parse_is_a_call_with_a_defect() -> None:
    raw = {"content": "", "invalid_tool_calls": [{"name": "f", "args": "{", "id": "1"}]}
    [call] = Candidate.parse(raw).calls
    assert call.defect is not None


@pytest.mark.parametrize("raw", [3, object(), {"tool_calls": [3]}])
def test_a_shape_that_is_no_message_is_named(raw: object) -> None:
    with pytest.raises(InvalidConversationError):
        Candidate.parse(raw)


def test_the_order_of_parallel_calls_does_not_matter_to_a_candidate() -> None:
    one, two = Call(name="f", arguments={"a": 1}), Call(name="f", arguments={"a": 2})
    assert Candidate(calls=(one, two)).canonical == Candidate(calls=(two, one)).canonical
    assert Candidate(calls=(one, one)).canonical != Candidate(calls=(one,)).canonical


@pytest.mark.parametrize("raw", [{"arguments": {}}, {"function": {"name": None}}, {"name": 3}])
def test_a_call_that_names_no_tool_has_a_defect(raw: object) -> None:
    call = Call.parse(raw)
    assert call.name == ""
    assert call.defect is not None


def test_endless_lists_and_endless_turns_are_defects() -> None:
    wide = Call(name="f", arguments={"a": list(range(5000))})
    assert wide.defect is not None
    assert wide.defect.code == "oversized_arguments"
    turn = Candidate.parse({"tool_calls": [{"name": "f"}] * 70})
    assert [call.defect is not None for call in turn.calls] == [False] * 64 + [True] * 6
