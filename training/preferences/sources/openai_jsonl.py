"""Generic OpenAI-style JSONL: `messages` with `tool_calls`, and `tools`, one dialog a line.

Reads the fine-tuning format too: `weight` 0 on an assistant message means that it is no reference,
and `functions` with `function_call` are the older spelling.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from toolrm_guard.calls import content_text
from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

_ROLES = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
    "tool": "tool", "function": "tool",
}  # fmt: skip


def read(
    path: str | None, *, source: str = "openai_jsonl", licence: str | None = None
) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a line.

    Args:
        path: A file, a folder, or a hub name.
        source: What reports and the balance over sources call it.
        licence: SPDX name of the data, which the format cannot state.
    """

    def convert(row: Row) -> Iterator[Trajectory]:
        listed = "tools" if row.value.get("tools") else "functions"
        if not row.value.get(listed):
            raise BadField("no_tools", "neither tools nor functions are given")
        raw = [fields.mapping(m, "a message") for m in fields.list_of(row.value, "messages")]
        key = str(row.value.get("id") or row.where)
        yield Trajectory(
            id=key,
            source=source,
            licence=licence,
            tools=fields.tools(fields.list_of(row.value, listed)),
            messages=tuple(_messages(raw)),
            targets=_targets(raw),
            group=f"{source}:{key}",
        )

    return adapt(read_rows(path), convert)


def _targets(raw: list[Mapping[str, Any]]) -> tuple[int, ...] | None:
    if all(message.get("weight") is None for message in raw):
        return None
    return tuple(
        index
        for index, message in enumerate(raw)
        if message.get("role") == "assistant" and message.get("weight") != 0
    )


def _messages(raw: list[Mapping[str, Any]]) -> Iterator[Json]:
    called: dict[str, str] = {}
    for message in raw:
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise BadField("unknown_role", f"a message has role {role!r}")
        calls = [] if role != "assistant" else _calls(message, called)
        name = message.get("name") or called.get(str(message.get("tool_call_id")))
        content = content_text(message.get("content"))
        yield fields.said(_ROLES[role], content, calls, name if _ROLES[role] == "tool" else None)


def _calls(message: Mapping[str, Any], called: dict[str, str]) -> list[Json]:
    """Return the calls of a message, and keep the names by their ids."""
    single = message.get("function_call")
    raw = message.get("tool_calls") or ([single] if single else [])
    if not isinstance(raw, list):
        raise BadField("bad_call", f"tool_calls is {type(raw).__name__}, expected a list")
    calls = [fields.call(item) for item in raw]
    for item, call in zip(raw, calls, strict=True):
        if isinstance(item.get("id"), str):
            called[item["id"]] = call["name"]
    return calls
