from tests.training.preferences.made import (
    call,
    kept,
    reasons,
    response,
    result,
    said,
    trajectory,
    user,
)
from training.preferences.normalise import normalise


def test_arguments_as_json_text_become_objects() -> None:
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "weather",
            "arguments": '{"city": "Oslo"}'}}]}  # fmt: skip
    (row,) = kept(normalise(trajectory(user(), turn)))
    assert row.messages[1]["tool_calls"] == [call(city="Oslo")]
    assert row.messages[1]["content"] == ""


def test_arguments_that_cannot_be_read_stay_for_the_next_stage_to_name() -> None:
    turn = said("", {"name": "weather", "arguments": '{"city": "Os'})
    (row,) = kept(normalise(trajectory(user(), turn)))
    assert row.messages[1]["tool_calls"][0]["arguments"] == '{"city": "Os'


def test_roles_of_other_formats_get_the_four_names() -> None:
    messages = [{"role": "human", "content": "hi"}, {"role": "gpt", "content": [{"text": "yo"}]}]
    (row,) = kept(normalise(trajectory(*messages)))
    assert [(m["role"], m["content"]) for m in row.messages] == [
        ("user", "hi"),
        ("assistant", "yo"),
    ]


def test_an_unknown_role_drops_the_trajectory() -> None:
    assert reasons(normalise(trajectory({"role": "narrator", "content": ""}))) == ["unknown_role"]


def test_tool_names_that_collide_after_normalising_drop_the_trajectory() -> None:
    tools = ({"name": "get weather"}, {"name": "get/weather"})
    assert reasons(normalise(trajectory(tools=tools))) == ["tool_name_collision"]


def test_a_renamed_tool_is_renamed_in_calls_and_records_too() -> None:
    turn = said("", call("get weather", city="Oslo"))
    recorded = (response(call("get weather")),)
    row = kept(
        normalise(trajectory(user(), turn, tools=({"name": "get weather"},), recorded=recorded))
    )[0]
    assert row.tools[0]["name"] == "get_weather"
    assert row.messages[1]["tool_calls"][0]["name"] == "get_weather"
    assert row.recorded[0].calls[0]["name"] == "get_weather"


def test_lone_surrogates_become_text_that_can_be_written() -> None:
    row = kept(normalise(trajectory(user("\ud800"), said("", call(city="\udfff")))))[0]
    assert row.messages[0]["content"] == "\ufffd"
    assert row.messages[1]["tool_calls"][0]["arguments"] == {"city": "\ufffd"}


def test_what_is_said_and_what_is_called_are_one_turn() -> None:
    turns = (user(), said("Let me see."), said("", call(city="Oslo")), result(), said("Rain."))
    (row,) = kept(normalise(trajectory(*turns, targets=(1, 2, 4))))
    assert [m["role"] for m in row.messages] == ["user", "assistant", "tool", "assistant"]
    assert row.messages[1] == said("Let me see.", call(city="Oslo"))
    assert row.targets == (1, 3)


def test_a_turn_with_recorded_responses_to_its_second_half_stays_in_two() -> None:
    turns = (user(), said("Let me see."), said("", call(city="Oslo")))
    (row,) = kept(normalise(trajectory(*turns, targets=(2,), recorded=(response(),))))
    assert len(row.messages) == 3
    assert row.targets == (2,)
