"""A context for the samplers' tests."""

from typing import Any

from training.preferences.rows import Context, Response

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a city on a day.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "day": {"type": "string"},
            "unit": {"type": "string", "enum": ["C", "F"]},
        },
        "required": ["city"],
    },
}
TIDES: dict[str, Any] = {
    "name": "get_tides",
    "description": "The tides of a port.",
    "parameters": {
        "type": "object",
        "properties": {"port": {"type": "string"}},
        "required": ["port"],
    },
}


def context(number: int = 0, *responses: Response, tools: Any = (WEATHER, TIDES)) -> Context:
    """One question about the weather, with an earlier call in its history."""
    return Context(
        id=f"made:{number}:4",
        source="made",
        licence="CC0-1.0",
        group=f"made:{number}",
        tools=tuple(tools),
        messages=(
            {"role": "user", "content": "When is high tide in Hamburg?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"name": "get_tides", "arguments": {"port": "Hamburg"}}],
            },
            {"role": "tool", "content": "14:05", "name": "get_tides"},
            {"role": "assistant", "content": "At 14:05."},
            {"role": "user", "content": f"And the weather in Port Said on day {number}, in C?"},
        ),
        reference=Response(
            calls=(
                {
                    "name": "get_weather",
                    "arguments": {"city": "Port Said", "day": f"{number}", "unit": "C"},
                },
            ),
            by="reference",
        ),
        responses=responses,
    )
