"""Inputs that several unit tests share."""

from typing import Any

import pytest

TOOLS: list[dict[str, Any]] = [
    {
        "name": "get_file",
        "description": "Read a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
    {
        "name": "delete_file",
        "description": "Delete a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
]


@pytest.fixture
def tools() -> list[dict[str, Any]]:
    return TOOLS


def proposal(name: str, call_id: str | None = None, **arguments: Any) -> dict[str, Any]:
    """An assistant turn with one call."""
    return {"tool_calls": [{"name": name, "arguments": arguments, "id": call_id}]}
