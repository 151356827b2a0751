"""Hermes function calling v1: ShareGPT turns with calls and results between tags.

Calls are mostly Python literals. The system message is boilerplate around the tools and is not
kept. Rows without tools (the JSON-mode parts) are dropped as `no_tools`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

HUB = "NousResearch/hermes-function-calling-v1"
LICENCE = "Apache-2.0"

_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.S)
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.S)


def read(
    path: str | None, *, part: str = "func_calling_singleturn"
) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a dialog.

    Args:
        path: A file or folder; None loads `part` from the hub.
        part: Of the hub dataset: `func_calling_singleturn`, `func_calling`, `glaive_func_calling`.
    """
    return adapt(read_rows(path, hub=HUB, part=part), _convert)


def _convert(row: Row) -> Iterator[Trajectory]:
    turns = [fields.mapping(t, "a turn") for t in fields.list_of(row.value, "conversations")]
    key = str(row.value.get("id") or row.where)
    yield Trajectory(
        id=key,
        source="hermes_fc_v1",
        licence=LICENCE,
        tools=fields.tools(_listed(row.value, turns)),
        messages=tuple(_messages(turns)),
        group=f"hermes_fc_v1:{key}",
    )


def _listed(row: Mapping[str, Any], turns: list[Mapping[str, Any]]) -> list[Any]:
    if row.get("tools"):
        return fields.list_of(row, "tools")
    system = "\n".join(str(t.get("value")) for t in turns if t.get("from") == "system")
    # The template may name the tags before it uses them: the last block holds the tools.
    found = _TOOLS.findall(system)
    if not found or not found[-1].strip():
        raise BadField("no_tools", "there are no tools, in their field or in the system message")
    listed = fields.literal(found[-1], "the list of tools")
    return listed if isinstance(listed, list) else [listed]


def _messages(turns: list[Mapping[str, Any]]) -> Iterator[Json]:
    asked: list[Json] = []
    for turn in turns:
        value = fields.text_of(turn, "value")
        match turn.get("from"):
            case "system":
                continue
            case "human":
                yield fields.said("user", value)
            case "gpt":
                asked = [fields.call(fields.literal(c, "a call")) for c in _CALL.findall(value)]
                if value.count("<tool_call>") != len(asked):
                    raise BadField("bad_call", f"a call is never closed: {value[-80:]!r}")
                yield fields.said("assistant", _CALL.sub("", value).strip(), asked)
            case "tool":
                yield from _results(value, asked)
            case other:
                raise BadField("unknown_role", f"a turn is from {other!r}")


def _results(value: str, asked: list[Json]) -> Iterator[Json]:
    blocks = _RESPONSE.findall(value) or [value]
    for index, block in enumerate(blocks):
        name = asked[index]["name"] if index < len(asked) else None
        yield fields.said("tool", block.strip(), name=name)
