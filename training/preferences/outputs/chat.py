"""Rows in the OpenAI chat shape, and the columns that every shape carries."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message, parse_messages
from toolrm_guard.tools import ToolSet
from training.preferences.rows import Context, JsonObject, Pair, Response
from training.preferences.schemas import toolset

_CALL = pa.struct(
    [
        ("id", pa.string()),
        ("type", pa.string()),
        ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
    ]
)
MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("tool_calls", pa.list_(_CALL)),
        ("tool_call_id", pa.string()),
        ("name", pa.string()),
    ]
)
"""Arguments are JSON text, as in OpenAI's API: a column cannot hold objects of any shape."""

ORIGIN = [
    ("id", pa.string()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("chosen_by", pa.string()),
    ("rejected_by", pa.string()),
    ("rejected_error", pa.string()),
    ("chosen_score", pa.float64()),
    ("rejected_score", pa.float64()),
    ("intensity", pa.float64()),
    ("complexity", pa.int32()),
]
"""Where each side came from; the same columns in every shape."""


def origin(pair: Pair) -> dict[str, Any]:
    """Return the values of `ORIGIN`."""
    return {
        "id": pair.id,
        "source": pair.context.source,
        "licence": pair.context.licence,
        "chosen_by": pair.chosen.by,
        "rejected_by": pair.rejected.by,
        "rejected_error": pair.rejected.error,
        "chosen_score": pair.chosen.score,
        "rejected_score": pair.rejected.score,
        "intensity": pair.intensity,
        "complexity": pair.complexity,
    }


def openai_messages(messages: Sequence[JsonObject]) -> list[dict[str, Any]]:
    """Return messages in OpenAI's shape; results get the ids of the calls before them, in order."""
    shaped: list[dict[str, Any]] = []
    waiting: list[str] = []
    for number, raw in enumerate(messages):
        message: dict[str, Any] = {"role": raw["role"], "content": raw["content"]}
        if raw.get("tool_calls"):
            message["tool_calls"] = openai_calls(raw["tool_calls"], number)
            waiting = [call["id"] for call in message["tool_calls"]]
        if raw["role"] == "tool":
            message["tool_call_id"] = waiting.pop(0) if waiting else None
            message["name"] = raw.get("name")
        shaped.append(message)
    return shaped


def openai_turn(response: Response, number: int) -> dict[str, Any]:
    """Return a response as the assistant message at a place of the conversation."""
    message: dict[str, Any] = {"role": "assistant", "content": response.text}
    if response.calls:
        message["tool_calls"] = openai_calls(response.calls, number)
    return message


def openai_calls(calls: Sequence[JsonObject], number: int) -> list[dict[str, Any]]:
    """Return calls with ids that say the message and the place in it."""
    return [
        {
            "id": f"call_{number}_{index}",
            "type": "function",
            "function": {"name": call["name"], "arguments": _json(call["arguments"])},
        }
        for index, call in enumerate(calls)
    ]


def openai_tools(context: Context) -> str:
    """Return the tools as JSON text in OpenAI's shape; trainers read the column so."""
    return _json([{"type": "function", "function": tool} for tool in context.tools])


def parsed(context: Context) -> tuple[tuple[Message, ...], ToolSet]:
    """Return a context in the library's form, for the prompts that serving uses, too."""
    return parse_messages(context.messages), toolset(context.tools)


def candidate(response: Response) -> Candidate:
    """Return a response in the library's form."""
    calls = tuple(Call(name=raw["name"], arguments=raw["arguments"]) for raw in response.calls)
    return Candidate(text=response.text, calls=calls)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
