"""Values are recognised in whatever notation they were said."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calls import Call
from toolrm_guard.grounding import GROUNDED, Evidence, anchor_date, ungrounded
from toolrm_guard.messages import Message
from toolrm_guard.tools import Tool

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a loan of $1.2M", 1_200_000),
        ("a loan of 1,200,000 dollars", 1200000.0),
        ("at twenty-five percent", 25),
        ("an interest of 4%", 0.04),
        ("an interest of 4%", 4),
        ("three hundred guests", 300),
        ("on March 4, 2024", "2024-03-04"),
        ("on the 4th of May 2024", "04/05/2024"),
        ("2023年9月25日出发", "2023-09-25"),
        ("at 3 p.m.", "15:00"),
        ("at 15:00", "3:00 PM"),
        ("find NEW-YORK hotels", "New York"),
        ("all the cities", "city"),
        ("in British pounds", "GBP"),
        ("in Boston", "Boston, MA"),
    ],
)
def test_other_notations_of_what_was_said_are_supported(text: str, value: object) -> None:
    assert Evidence([text]).stated(value) >= 0.9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a loan of 5,000 dollars", 7312),
        ("find hotels in Boston", "Vladivostok"),
        ("on March 4, 2024", "2019-11-23"),
        ("my id is abc-1", "xyz-99"),
    ],
)
def test_what_nobody_said_is_not_supported(text: str, value: object) -> None:
    assert Evidence([text]).stated(value) < GROUNDED


def test_values_of_the_schema_itself_are_grounded() -> None:
    evidence = Evidence(["hello"])
    assert evidence.support("celsius", {"enum": ["celsius", "kelvin"]}) == 1.0
    assert evidence.support(17, {"default": 17}) == 1.0
    assert evidence.support("fixed", {"const": "fixed"}) == 1.0
    assert evidence.support("Tbilisi", {"type": "string"}) < GROUNDED


def test_a_code_that_the_description_explains_is_grounded_by_what_it_stands_for() -> None:
    schema = {"type": "integer", "description": "1 for cleaning, 2 for ironing, 7 for cooking"}
    evidence = Evidence(["I need somebody for ironing"])
    assert evidence.support(2, schema) > 0.9
    assert evidence.support(7, schema) < GROUNDED


def test_tomorrow_is_counted_from_the_stated_today() -> None:
    evidence = Evidence(["Today is 2023-09-29. Book it for tomorrow."])
    assert evidence.stated("2023-09-30") == 1.0
    assert evidence.stated("2023-12-24") < 1.0
    assert anchor_date("Today is Monday, January 8, 2024.") is not None
    assert anchor_date("today is 2024-02-31") is None


def test_values_of_earlier_calls_and_results_are_evidence() -> None:
    messages = [
        Message(role="user", text="cancel my order"),
        Message(role="assistant", calls=(Call(name="orders", arguments={"user": "u_77"}),)),
        Message(role="tool", text='{"order": "o_4411"}'),
    ]
    evidence = Evidence.of(messages)
    assert evidence.stated("o_4411") == 1.0
    assert evidence.stated("u_77") == 1.0


def test_only_made_up_short_values_are_reported() -> None:
    tool = Tool(
        name="send",
        parameters={
            "type": "object",
            "properties": {
                "to": {"type": "array", "items": {"type": "string"}},
                "body": {"type": "string"},
                "urgent": {"type": "boolean"},
                "priority": {"type": "string", "enum": ["low", "high"]},
            },
        },
    )
    call = Call(
        name="send",
        arguments={
            "to": ["ann@x.org", "zed@y.org"],
            "body": "Dear Ann, thank you very much for all the work that you have done this year!",
            "urgent": True,
            "priority": "high",
        },
    )
    evidence = Evidence(["Write to ann@x.org and thank her."])
    assert ungrounded(call, tool, evidence) == [("$.to[1]", "zed@y.org")]


def test_ten_megabytes_of_conversation_are_cut_with_the_newest_kept() -> None:
    messages = [
        Message(role="tool", text="x" * 10_000_000),
        Message(role="user", text="my code is 8841"),
    ]
    evidence = Evidence.of(messages)
    assert len(evidence.text) < 50_000
    assert evidence.stated(8841) == 1.0


@given(
    before=st.text(max_size=30),
    value=st.text(alphabet="abcdefghij klmnop", min_size=1, max_size=30).filter(str.strip),
    after=st.text(max_size=30),
)
def test_a_text_copied_word_by_word_is_fully_supported(before: str, value: str, after: str) -> None:
    assert Evidence([f"{before} {value} {after}"]).stated(value) == 1.0


@given(value=st.integers(min_value=0, max_value=10**9))
def test_a_number_copied_digit_by_digit_is_fully_supported(value: int) -> None:
    assert Evidence([f"take {value} of them"]).stated(value) == 1.0
    assert Evidence([f"take {value:,} of them"]).stated(value) == 1.0


@given(text=st.text(max_size=200), value=JSON)
def test_support_of_any_value_is_between_zero_and_one(text: str, value: object) -> None:
    found = Evidence([text]).support(value, {"type": "object"})
    assert math.isfinite(found)
    assert 0.0 <= found <= 1.0
