"""Findings name what is wrong and never crash, whatever the model wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.findings import Finder, Finding, check_call
from toolrm_guard.messages import Message
from toolrm_guard.tools import Tool, ToolSet

BOOK = Tool(
    name="book",
    description="Book a room in a hotel",
    parameters={
        "type": "object",
        "properties": {
            "date": {"type": "string", "format": "date", "description": "The day"},
            "nights": {"type": "integer", "minimum": 1},
            "size": {"type": "string", "enum": ["small", "large"]},
            "extras": {"type": "object", "properties": {"floor": {"type": "integer"}}},
            "late": {"type": "boolean", "default": "False"},
            "code": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["date", "nights"],
    },
)
TOOLS = ToolSet([BOOK])
RIGHT = {"date": "2024-03-04", "nights": 2}
REQUEST = (Message(role="user", text="Book a hotel room for 2 nights from March 4, 2024"),)


def codes(arguments: Any, name: str = "book") -> dict[str, str]:
    call = Call.parse({"name": name, "arguments": arguments})
    return {item.code: item.path for item in check_call(call, TOOLS)}


def test_a_right_call_has_no_findings() -> None:
    assert codes(RIGHT) == {}
    assert Finder(REQUEST, TOOLS).find(Candidate(calls=(Call(name="book", arguments=RIGHT),))) == ()


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"nights": "2"}, "wrong_type", "$.nights"),
        ({"nights": True}, "wrong_type", "$.nights"),
        ({"nights": 0}, "out_of_range", "$.nights"),
        ({"date": "tomorrow"}, "wrong_format", "$.date"),
        ({"size": "tiny"}, "not_in_enum", "$.size"),
        ({"colour": "red"}, "unexpected_argument", "$.colour"),
        ({"extras": {"view": 1}}, "unexpected_argument", "$.extras.view"),
        ({"extras": {"floor": "1"}}, "wrong_type", "$.extras.floor"),
        ({"code": "x"}, "wrong_type", "$.code"),
        ({"nights": float("nan")}, "not_finite", "$.nights"),
        ({"date": "\ud800"}, "lone_surrogate", "$.date"),
        ({"date": "<|im_end|>"}, "control_text", "$.date"),
    ],
)
def test_each_mistake_has_its_code_and_path(change: dict[str, Any], code: str, path: str) -> None:
    assert codes({**RIGHT, **change}).get(code) == path


def test_a_missing_argument_is_named_with_what_it_means() -> None:
    (found,) = check_call(Call(name="book", arguments={"nights": 1}), TOOLS)
    assert (found.code, found.path, found.severity) == ("missing_required", "$.date", "error")
    assert "date" in found.message
    assert "The day" in found.message


def test_a_whole_float_is_an_integer_and_a_default_is_never_held_against_a_call() -> None:
    assert codes({**RIGHT, "nights": 2.0}) == {}
    assert codes({**RIGHT, "late": "False"}) == {}
    assert "wrong_type" in codes({**RIGHT, "late": "True"})


def test_unnamed_arguments_pass_only_where_the_schema_allows_them() -> None:
    open_map = Tool(name="log", parameters={"type": "object"})
    allowed = Tool(
        name="tag",
        parameters={"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
    )
    pattern = Tool(
        name="x",
        parameters={"type": "object", "properties": {}, "patternProperties": {"^x-": {}}},
    )
    closed = Tool(name="none", parameters={"type": "object", "properties": {}})
    for tool, name, fine in (
        (open_map, "a", True),
        (allowed, "a", True),
        (pattern, "x-1", True),
        (pattern, "y", False),
        (closed, "a", False),
    ):
        found = check_call(Call(name=tool.name, arguments={name: "v"}), ToolSet([tool]))
        assert (found == ()) is fine, (tool.name, name)


def test_what_could_not_be_read_is_a_finding() -> None:
    assert "malformed_arguments" in codes("{broken")
    assert "oversized_arguments" in codes({"date": "x" * 300_000})
    deep: Any = 1
    for _ in range(1000):
        deep = [deep]
    assert "too_deep" in codes({"date": deep})
    assert "unknown_tool" in codes({}, name="nothing")


def test_a_schema_that_breaks_the_validator_is_a_finding_not_a_crash() -> None:
    recursive = Tool(
        name="r",
        parameters={
            "type": "object",
            "properties": {"a": {"$ref": "#/properties/a"}},
        },
    )
    (found,) = check_call(Call(name="r", arguments={"a": 1}), ToolSet([recursive]))
    assert found.code == "malformed_arguments"


def of(candidate: Candidate, messages: tuple[Message, ...] = REQUEST) -> list[Finding]:
    return list(Finder(messages, TOOLS).find(candidate))


def test_an_identical_second_call_is_an_error_with_its_index() -> None:
    call = Call(name="book", arguments=RIGHT)
    found = [f for f in of(Candidate(calls=(call, call))) if f.code == "duplicate_call"]
    assert [(f.severity, f.call) for f in found] == [("error", 1)]


def test_a_call_that_was_answered_is_a_warning_and_one_that_failed_is_not() -> None:
    call = Call(name="book", arguments=RIGHT, id="1")
    for text, warned in (("booked", True), ("Error: server busy", False)):
        history = (
            *REQUEST,
            Message(role="assistant", calls=(call,)),
            Message(role="tool", text=text, call_id="1"),
        )
        found = [f.code for f in of(Candidate(calls=(call,)), history)]
        assert ("repeated_call" in found) is warned


def test_a_value_out_of_thin_air_is_a_warning_that_names_it() -> None:
    call = Call(name="book", arguments={"date": "2031-11-19", "nights": 2})
    (found,) = (f for f in of(Candidate(calls=(call,))) if f.code == "ungrounded_value")
    assert (found.severity, found.path, found.call) == ("warning", "$.date", 0)
    assert "2031-11-19" in found.message


def test_more_calls_than_the_request_asks_for_are_a_warning() -> None:
    calls = tuple(Call(name="book", arguments={**RIGHT, "nights": n}) for n in (1, 2, 3))
    assert "call_count" in {f.code for f in of(Candidate(calls=calls))}


def test_a_call_for_a_request_that_no_tool_fits_is_a_warning() -> None:
    foreign = (Message(role="user", text="Who painted Guernica?"),)
    found = {f.code for f in of(Candidate(calls=(Call(name="book", arguments=RIGHT),)), foreign)}
    assert "call_without_fit" in found
    assert of(Candidate(text="Picasso."), foreign) == []


def test_text_where_a_tool_clearly_fits_is_a_warning() -> None:
    clear = (Message(role="user", text="book a room in a hotel: 2024-03-04, 2 nights"),)
    assert {f.code for f in of(Candidate(text="I can't."), clear)} == {"missing_call"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=15,
)


@given(
    arguments=st.dictionaries(st.sampled_from([*BOOK.properties, "other"]), JSON),
    name=st.sampled_from(["book", "other", "<|im_end|>", "\ud800"]),
    text=st.text(max_size=100),
)
def test_findings_never_crash_on_any_json_value(
    arguments: dict[str, Any], name: str, text: str
) -> None:
    call = Call(name=name, arguments=arguments)
    finder = Finder((Message(role="user", text=text),), TOOLS)
    for item in finder.find(Candidate(calls=(call, call))):
        item.message.encode("utf-8")  # can always be put into a prompt
