"""Which tool fits, and how many calls a request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.messages import Message
from toolrm_guard.relevance import (
    Relevance,
    enumerated,
    expected_calls,
    latest_request,
    tool_fit,
)
from toolrm_guard.tools import Tool, ToolSet

WEATHER = Tool(
    name="get_weather",
    description="Get the weather forecast of a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
HOTEL = Tool(
    name="book_hotel",
    description="Book a room in a hotel",
    parameters={"type": "object", "properties": {"guest": {"type": "string"}}},
)
TOOLS = ToolSet([WEATHER, HOTEL])


def test_the_tool_that_the_request_names_scores_best() -> None:
    fits = Relevance(TOOLS, "What's the weather forecast for Oslo?").fits
    assert fits["get_weather"].score > fits["book_hotel"].score
    assert fits["get_weather"].share > fits["book_hotel"].share


def test_a_request_for_something_else_fits_no_tool() -> None:
    assert tool_fit(Relevance(TOOLS, "Translate this poem into Latin")) < 0.05
    assert tool_fit(Relevance(TOOLS, "weather forecast please")) > 0.5


def test_a_word_inflected_still_matches() -> None:
    assert Relevance(TOOLS, "booking hotels").fits["book_hotel"].name == 1.0


def test_a_single_question_asks_for_one_call_at_most() -> None:
    count = expected_calls(Relevance(TOOLS, "What is the weather in Oslo?"))
    assert (count.least, count.most) == (1, 1)


def test_requests_for_two_tools_ask_for_two_calls() -> None:
    text = "Get the weather forecast for Oslo. Then book a hotel room for Ann."
    count = expected_calls(Relevance(TOOLS, text))
    assert count.least == 2
    assert count.most >= 2


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("the weather in Boston, Paris and New York", 3),
        ("for A, B, C, and D now", 4),
        ("compare Python and Java", 2),
        ("the weather in Boston", 1),
    ],
)
def test_enumerations_are_counted(text: str, length: int) -> None:
    assert enumerated(text) == length


def test_a_short_answer_is_read_with_the_message_before_it() -> None:
    messages = [
        Message(role="user", text="Book a hotel room for Ann"),
        Message(role="assistant", text="For which day?"),
        Message(role="user", text="Friday."),
    ]
    assert latest_request(messages) == "Book a hotel room for Ann\nFriday."
    assert latest_request([]) == ""


@given(text=st.text(max_size=400))
def test_any_request_can_be_weighed(text: str) -> None:
    relevance = Relevance(TOOLS, text)
    count = expected_calls(relevance)
    assert 1 <= count.most
    assert 0.0 <= tool_fit(relevance) <= 1.0
    assert tool_fit(Relevance(ToolSet([]), text)) == 0.0
