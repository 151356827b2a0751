"""Normalise a trajectory to the Hermes form: four roles, text, calls with objects as arguments.

Arguments that stand as JSON text become objects; those that cannot be read stay as they are, for
`faults` to drop with the turn that holds them. A turn of the assistant that the source wrote as two
messages, what it says and then what it calls, becomes one.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolrm_guard.calls import content_text
from training.preferences.rows import Dropped, JsonObject, Response, Trajectory

STAGE = "normalise"

_ROLES = {
    **{role: role for role in ("system", "user", "assistant", "tool")},
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}
_NOT_IN_NAMES = re.compile(r"[^\w.\-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def normalise(trajectory: Trajectory) -> Iterator[Trajectory | Dropped]:
    """Yield the trajectory in the Hermes form, or why it has none."""
    names = [tool_name(tool.get("name")) for tool in trajectory.tools]
    written = [tool.get("name") for tool in trajectory.tools]
    clash = _collision(written, names)
    if clash is not None:
        yield _drop(trajectory, "tool_name_collision", clash)
        return
    messages = []
    for index, raw in enumerate(trajectory.messages):
        role = _ROLES.get(str(raw.get("role", "")).lower())
        if role is None:
            detail = f"message {index} has role {raw.get('role')!r}; known: {', '.join(_ROLES)}"
            yield _drop(trajectory, "unknown_role", detail)
            return
        messages.append(_message(role, raw))
    messages, targets = _joined(messages, trajectory)
    yield dataclasses.replace(
        trajectory,
        targets=targets,
        tools=tuple(
            {**tool, "name": name} for tool, name in zip(trajectory.tools, names, strict=True)
        ),
        messages=tuple(messages),
        recorded=tuple(_response(response) for response in trajectory.recorded),
    )


def tool_name(raw: object) -> str:
    """Return a name of word characters, dots and dashes, as every serving stack takes it."""
    return _NOT_IN_NAMES.sub("_", _clean(str(raw or "")).strip())


def read_arguments(raw: object) -> object:
    """Return arguments as an object where they are one, or JSON text of one; else as they are."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return {}
    if isinstance(raw, str):
        try:
            parsed = json.loads(raw)
        except (ValueError, RecursionError):
            return raw
        return _clean_value(parsed) if isinstance(parsed, dict) else raw
    return _clean_value(raw)


def _message(role: str, raw: JsonObject) -> JsonObject:
    message: dict[str, Any] = {"role": role, "content": _clean(content_text(raw.get("content")))}
    if raw.get("tool_calls"):
        message["tool_calls"] = [_call(call) for call in raw["tool_calls"]]
    if role == "tool" and raw.get("name"):
        message["name"] = tool_name(raw["name"])
    return message


def _joined(
    messages: list[JsonObject], trajectory: Trajectory
) -> tuple[list[JsonObject], tuple[int, ...] | None]:
    """Return the messages with the halves of a turn in one, and the targets' new places.

    Where a source recorded responses to the second half, they were given the first one: that turn
    stays in two, which `roles` does not let pass.
    """
    last = max(trajectory.targets or (len(messages) - 1,))
    joined: list[JsonObject] = []
    place: list[int] = []
    for index, message in enumerate(messages):
        before = joined[-1] if joined else None
        second = before is not None and _is_first_half(before) and message["role"] == "assistant"
        if before is not None and second and not (trajectory.recorded and index == last):
            texts = [text for text in (before["content"], message["content"]) if text]
            joined[-1] = {**message, "content": "\n".join(texts)}
        else:
            joined.append(message)
        place.append(len(joined) - 1)
    if trajectory.targets is None:
        return joined, None
    # A bad index stays one, for `faults` to name.
    found = (place[t] if 0 <= t < len(place) else -1 for t in trajectory.targets)
    return joined, tuple(dict.fromkeys(found))


def _is_first_half(message: JsonObject) -> bool:
    return message["role"] == "assistant" and not message.get("tool_calls")


def _call(raw: JsonObject) -> JsonObject:
    inner = raw["function"] if isinstance(raw.get("function"), Mapping) else raw
    return {
        "name": tool_name(inner.get("name")),
        "arguments": read_arguments(inner.get("arguments")),
    }


def _response(response: Response) -> Response:
    calls = tuple(_call(call) for call in response.calls)
    return dataclasses.replace(response, text=_clean(response.text), calls=calls)


def _collision(written: Sequence[object], names: Sequence[str]) -> str | None:
    """Say which differently written names are one after normalising; None if none are."""
    first: dict[str, object] = {}
    for raw, name in zip(written, names, strict=True):
        if first.setdefault(name, raw) != raw:
            return f"{first[name]!r} and {raw!r} are both {name!r}; a call could mean either"
    return None


def _clean(text: str) -> str:
    """Return text that UTF-8 can hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _clean_value(value: object) -> object:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_value(item) for item in value]
    return value


def _drop(trajectory: Trajectory, reason: str, detail: str) -> Dropped:
    return Dropped(stage=STAGE, reason=reason, id=trajectory.id, detail=detail)
