"""Glaive function calling v2: a system text with functions, and a chat as one string.

Arguments are JSON inside single quotes, so a call as a whole is no JSON. Rows without functions are
dropped as `no_tools`.
"""

import json
import re
from collections.abc import Iterator

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

HUB = "glaiveai/glaive-function-calling-v2"
LICENCE = "Apache-2.0"

_TURN = re.compile(r"(?:\A|\n\s*\n)\s*(USER|ASSISTANT|FUNCTION RESPONSE):[ ]?")
_CALL = re.compile(
    r'\{\s*"name"\s*:\s*"(?P<name>[^"]+)"\s*(?:,\s*"arguments"\s*:\s*(?P<arguments>.*?))?\s*\}',
    re.S,
)
_SPACE = re.compile(r"\s*")
_END = "<|endoftext|>"
_MARK = "<functioncall>"


def read(path: str | None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a chat that has functions."""
    return adapt(read_rows(path, hub=HUB), _convert)


def _convert(row: Row) -> Iterator[Trajectory]:
    found = tuple(_functions(fields.text_of(row.value, "system")))
    if not found:
        raise BadField("no_tools", "the system text lists no function")
    yield Trajectory(
        id=row.where,
        source="glaive_fc_v2",
        licence=LICENCE,
        tools=found,
        messages=tuple(_messages(fields.text_of(row.value, "chat"))),
        group=f"glaive_fc_v2:{row.where}",
    )


def _functions(system: str) -> Iterator[Json]:
    """Yield the JSON objects that follow the lead-in, one after another without a list."""
    decoder, at = json.JSONDecoder(), system.find("{")
    while 0 <= at < len(system):
        try:
            raw, at = decoder.raw_decode(system, at)
            yield fields.tool(fields.plain(raw))
        except (ValueError, RecursionError) as exc:
            if isinstance(exc, BadField):
                raise
            raise BadField("bad_tool", f"functions are no JSON: {system[at : at + 80]!r}") from exc
        space = _SPACE.match(system, at)
        at = space.end() if space else at


def _messages(chat: str) -> Iterator[Json]:
    _, *parts = _TURN.split(chat)
    if not parts:
        raise BadField("bad_chat", f"no USER: or ASSISTANT: in {chat[:80]!r}")
    asked: str | None = None
    for speaker, raw in zip(parts[::2], parts[1::2], strict=True):
        text = raw.replace(_END, "").strip()
        if speaker == "USER":
            yield fields.said("user", text)
        elif speaker == "ASSISTANT":
            spoken, *calls = text.split(_MARK)
            read_calls = [_call(part) for part in calls]
            asked = read_calls[-1]["name"] if read_calls else asked
            yield fields.said("assistant", spoken.strip(), read_calls)
        else:
            yield fields.said("tool", text, name=asked)


def _call(text: str) -> Json:
    match = _CALL.fullmatch(text.strip())
    if match is None:
        raise BadField("bad_call", f"not of the form name, arguments: {text[:80]!r}")
    arguments = (match["arguments"] or "").strip()
    if len(arguments) > 1 and arguments[0] == arguments[-1] == "'":
        # Apostrophes inside are mostly bare, and in some rows escaped as Python would.
        arguments = arguments[1:-1].replace("\\'", "'")
    return fields.call({"name": match["name"], "arguments": arguments})
