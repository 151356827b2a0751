"""Rows as the bytes that stage files hold, and the hashes that order and splits rest on."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from toolrm_guard.calls import canonical_json
from training.preferences.rows import Context, Dropped, Pair, Response, Trajectory

Row = Trajectory | Context | Pair | Response | Dropped


def to_json(row: Row) -> str:
    """Return a row as compact ASCII JSON.

    Keys keep their order, since the order of a schema's properties is part of the prompt; the same
    input gives the same order everywhere.
    """
    return json.dumps(_plain(row), separators=(",", ":"))


def trajectory_from_json(text: str) -> Trajectory:
    """Read back a trajectory."""
    raw = json.loads(text)
    targets = raw["targets"]
    return Trajectory(
        id=raw["id"],
        source=raw["source"],
        licence=raw["licence"],
        tools=tuple(raw["tools"]),
        messages=tuple(raw["messages"]),
        targets=None if targets is None else tuple(targets),
        recorded=tuple(_response(item) for item in raw["recorded"]),
        group=raw["group"],
    )


def context_from_json(text: str) -> Context:
    """Read back a context."""
    return _context(json.loads(text))


def turn_key(response: Response) -> str:
    """Return what makes two responses the same turn: calls in any order, and text."""
    return canonical_json([_call_keys(response), response.text.strip()])


def meaning_key(response: Response) -> str:
    """Return what makes two responses the same answer: the calls, or the text where none are.

    Calls are equal where the rule score says so: in any order, and `1` is `1.0`.
    """
    return canonical_json(_call_keys(response) or response.text.strip())


def prompt_key(context: Context) -> str:
    """Return the hash of the messages before the turn.

    Without the tools: the same request with another tool beside it would leak just as well.
    """
    return digest(canonical_json(context.messages))


def shown_key(context: Context) -> str:
    """Return the hash of all that is shown before the turn: messages and tools."""
    return digest(canonical_json([context.messages, context.tools]))


def toolset_key(context: Context) -> str:
    """Return the hash of the tools' names in any order; empty where no tool is offered.

    Names alone: the same tools described in other words would leak just as well.
    """
    names = sorted(str(tool["name"]) for tool in context.tools)
    return digest(canonical_json(names)) if names else ""


def digest(text: str) -> str:
    """Return 128 bits of sha256 in hex: enough to tell billions of rows apart."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def _call_keys(response: Response) -> list[str]:
    return sorted(
        canonical_json([call.get("name"), _one_number(call.get("arguments"))])
        for call in response.calls
    )


def _one_number(value: object) -> object:
    """Return a value with whole floats as integers, as JSON Schema and the rule score see them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _one_number(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_one_number(item) for item in value]
    return value


def _plain(row: Row) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if isinstance(value, (Context, Response)):
            value = _plain(value)
        elif isinstance(value, tuple):
            value = [_plain(item) if isinstance(item, Response) else item for item in value]
        values[field.name] = value
    return values


def _context(raw: Mapping[str, Any]) -> Context:
    return Context(
        id=raw["id"],
        source=raw["source"],
        licence=raw["licence"],
        group=raw["group"],
        tools=tuple(raw["tools"]),
        messages=tuple(raw["messages"]),
        reference=_response(raw["reference"]),
        responses=tuple(_response(item) for item in raw["responses"]),
    )


def _response(raw: Mapping[str, Any]) -> Response:
    return Response(
        text=raw["text"],
        calls=tuple(raw["calls"]),
        by=raw["by"],
        label=raw["label"],
        error=raw["error"],
        score=raw["score"],
    )
