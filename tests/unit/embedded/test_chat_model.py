"""The chat model speaks LangChain, draws n in one pass, and repeats itself on the same seed."""

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from tests.unit.embedded.conftest import TOOLS, delete_file, set_volume
from toolrm_guard.embedded.chat_model import EmbeddedChatModel
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.errors import ConfigurationError

ASK = [SystemMessage("You manage files."), HumanMessage("Delete the file report_old.txt.")]


def test_a_bound_model_proposes_a_call_with_id_and_usage(sampler: EmbeddedSampler) -> None:
    model = EmbeddedChatModel(sampler=sampler, seed=1)
    message = model.bind_tools([delete_file, set_volume], tool_choice="any").invoke(ASK)
    assert isinstance(message, AIMessage)
    [call, *_] = message.tool_calls
    assert call["name"] in TOOLS
    assert call["id"]
    assert TOOLS[call["name"]].validator.is_valid(call["args"])
    usage = message.usage_metadata
    assert usage is not None
    assert usage["input_tokens"] > 100
    assert usage["output_tokens"] > 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_runs_with_the_same_seed_are_equal_and_draws_within_one_differ(
    sampler: EmbeddedSampler,
) -> None:
    def run() -> list[AIMessage]:
        model = EmbeddedChatModel(sampler=sampler, seed=7, temperature=1.5)
        bound = model.bind_tools([delete_file, set_volume], tool_choice="any")
        return [bound.invoke(ASK), bound.invoke(ASK), *model.sample(ASK, TOOLS.schemas(), n=2)]

    def proposals(messages: list[AIMessage]) -> list[object]:
        return [(m.content, m.tool_calls, m.response_metadata["seed"]) for m in messages]

    first = proposals(run())
    assert first == proposals(run())
    assert first[0] != first[1]


def test_n_candidates_come_from_one_reading_of_the_prompt(sampler: EmbeddedSampler) -> None:
    model = EmbeddedChatModel(sampler=sampler)
    result = model.generate([ASK], tools=TOOLS.schemas(), tool_choice="any", n=3)
    messages = [generation.message for generation in result.generations[0]]  # type: ignore[union-attr]
    assert len(messages) == 3
    read = [message.usage_metadata["input_tokens"] for message in messages]  # type: ignore[union-attr, index]
    assert read[0] > 100
    assert read[1:] == [0, 0]
    ids = [call["id"] for message in messages for call in message.tool_calls]  # type: ignore[union-attr]
    assert len(set(ids)) == len(ids)
    by_field = EmbeddedChatModel(sampler=sampler, n=2).generate([ASK], tools=TOOLS.schemas())
    assert len(by_field.generations[0]) == 2


async def test_an_async_draw_leaves_the_event_loop_free(sampler: EmbeddedSampler) -> None:
    model = EmbeddedChatModel(sampler=sampler)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    message = await model.bind_tools([delete_file]).ainvoke(ASK)
    messages = await model.asample(ASK, [delete_file], n=2)
    ticking.cancel()
    assert ticks > 3
    assert isinstance(message, AIMessage)
    assert len(messages) == 2


def test_a_conversation_with_calls_and_results_goes_on(sampler: EmbeddedSampler) -> None:
    call = {"name": "delete_file", "args": {"name": "report_old.txt"}, "id": "c1"}
    history = [*ASK, AIMessage("", tool_calls=[call]), ToolMessage("Deleted.", tool_call_id="c1")]
    message = EmbeddedChatModel(sampler=sampler).bind_tools([delete_file]).invoke(history)
    assert message.content or message.tool_calls or message.invalid_tool_calls


def test_tool_choice_narrows_what_is_on_offer(sampler: EmbeddedSampler) -> None:
    model = EmbeddedChatModel(sampler=sampler, max_tokens=60)
    named = model.sample(ASK, TOOLS.schemas(), n=3, tool_choice="set_volume")
    called = [call["name"] for m in named for call in (*m.tool_calls, *m.invalid_tool_calls)]
    assert set(called) == {"set_volume"}
    for message in model.sample(ASK, TOOLS.schemas(), n=3, tool_choice="none"):
        assert message.content
        assert not message.tool_calls
    with pytest.raises(ConfigurationError, match="no_such_tool"):
        model.sample(ASK, TOOLS.schemas(), n=1, tool_choice="no_such_tool")


def test_a_call_that_is_cut_off_is_an_invalid_tool_call(sampler: EmbeddedSampler) -> None:
    model = EmbeddedChatModel(sampler=sampler, max_tokens=18)
    [message] = model.sample(ASK, TOOLS.schemas(), n=1, tool_choice="any")
    assert message.tool_calls == []
    [invalid] = message.invalid_tool_calls
    assert invalid["error"]
