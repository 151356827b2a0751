"""The served generative model, as the critic and agents use it."""

import pytest

from bench.endpoints import Server
from tests.vllm.servers import VllmProcess

TOOL = {
    "name": "get_weather",
    "strict": True,  # without it vLLM 0.32 constrains nothing, whatever tool_choice says
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Bergen"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


async def test_it_calls_a_tool_with_valid_arguments_when_it_must(chat_server: VllmProcess) -> None:
    async with Server(chat_server.url, chat_server.model) as server:
        [reply] = await server.chat(
            [{"role": "user", "content": "How is the weather in Oslo?"}],
            tools=[TOOL],
            max_tokens=60,
            extra={"tool_choice": "required"},
        )
    [call, *_] = reply.candidate.calls
    assert call.name == "get_weather"
    assert call.arguments["city"] in {"Oslo", "Bergen"}


@pytest.mark.parametrize("choice", ["1", "2"])
async def test_structured_outputs_bind_it_to_a_choice(
    chat_server: VllmProcess, choice: str
) -> None:
    async with Server(chat_server.url, chat_server.model) as server:
        [reply] = await server.chat(
            [{"role": "user", "content": "Say a number."}],
            max_tokens=5,
            extra={"structured_outputs": {"choice": [choice]}},
        )
    assert reply.candidate.text == choice
