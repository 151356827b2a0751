"""Repair and validate the tools' schemas; drop tools that are listed twice.

Repairs: Python's type names, types as text with `, optional`, `required` inside a property, a
missing parameters object. What is then no JSON Schema takes the trajectory out: a prompt with a
broken tool teaches nothing.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from toolrm_guard.errors import InvalidToolError
from toolrm_guard.tools import Tool, ToolSet
from training.preferences.rows import Dropped, JsonObject, Trajectory

STAGE = "schemas"

_TYPES = {
    "str": "string", "text": "string", "date": "string", "datetime": "string", "char": "string",
    "int": "integer", "long": "integer", "float": "number", "double": "number",
    "bool": "boolean", "list": "array", "tuple": "array", "set": "array", "dict": "object",
    "map": "object", "hashmap": "object", "none": "null",
}  # fmt: skip
_KNOWN = {"string", "integer", "number", "boolean", "array", "object", "null"}
_IN_PLACE = ("allOf", "anyOf", "oneOf")
_MAX_SCHEMA_DEPTH = 48


class BadSchema(ValueError):
    """A tool cannot be repaired; `reason` is the code that reports count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def schemas(trajectory: Trajectory) -> Iterator[Trajectory | Dropped]:
    """Yield the trajectory with sound tools, or why it has none."""
    kept: dict[str, str] = {}
    try:
        for tool in trajectory.tools:
            text = sound_tool(_json(tool))
            name = str(tool["name"])
            if kept.setdefault(name, text) != text:
                detail = f"two tools are called {name!r} and differ; a call could mean either"
                raise BadSchema("tool_name_collision", detail)
    except BadSchema as exc:
        yield Dropped(stage=STAGE, reason=exc.reason, id=trajectory.id, detail=str(exc)[:500])
        return
    tools = tuple(json.loads(text) for text in kept.values())
    yield dataclasses.replace(trajectory, tools=tools)


@lru_cache(maxsize=4096)  # many trajectories offer the same tools, and checking takes milliseconds
def sound_tool(text: str) -> str:
    """Return a tool as JSON with name, description and valid parameters.

    Raises:
        BadSchema: If it has no name, a `$ref` that loops, or parameters beyond repair.
    """
    try:
        return _sound(text)
    except BadSchema:
        raise
    except RecursionError as exc:
        raise BadSchema("ref_loop", f"the schema refers to itself: {text[:200]}") from exc
    except (TypeError, ValueError) as exc:  # whatever stands where a schema should
        raise BadSchema("invalid_schema", f"{exc}: {text[:200]}") from exc


def _sound(text: str) -> str:
    raw = json.loads(text)
    if not raw.get("name"):
        raise BadSchema("unnamed_tool", f"a tool has no name: {text[:200]}")
    parameters = raw.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadSchema("invalid_schema", f"{raw['name']!r}: parameters are {parameters!r:.100}")
    loop = ref_loop(parameters)
    if loop is not None:
        raise BadSchema("ref_loop", f"{raw['name']!r}: $ref {loop!r} leads back to itself")
    fixed = _repair(parameters, 0)
    fixed.setdefault("type", "object")
    fixed.setdefault("properties", {})
    description = str(raw.get("description") or "")
    sound = _json({"name": raw["name"], "description": description, "parameters": fixed})
    try:
        parsed_tool(sound)
    except InvalidToolError as exc:
        raise BadSchema("invalid_schema", str(exc)) from exc
    return sound


@lru_cache(maxsize=4096)
def parsed_tool(text: str) -> Tool:
    """Return a tool in the library's form, each distinct schema checked once.

    Raises:
        InvalidToolError: If the schema is not valid.
    """
    return Tool.parse(json.loads(text))


def toolset(tools: Sequence[JsonObject]) -> ToolSet:
    """Return tools that passed this stage in the library's form."""
    return ToolSet(parsed_tool(_json(tool)) for tool in tools)


def ref_loop(schema: JsonObject) -> str | None:
    """Return a `$ref` that reaches itself without taking a step into the value; None if none does.

    A tree whose nodes hold nodes is sound: each round goes one level down. `a -> b -> a` never
    ends, whatever the value.
    """
    done: set[str] = set()

    def visit(node: object, path: tuple[str, ...]) -> str | None:
        if not isinstance(node, Mapping):
            return None
        reference = node.get("$ref")
        listed = (node.get(key) for key in _IN_PLACE)
        inner = [item for items in listed if isinstance(items, list) for item in items]
        found = [visit(item, path) for item in inner]
        if isinstance(reference, str) and reference not in done:
            if reference in path:
                return reference
            found.append(visit(_lookup(schema, reference), (*path, reference)))
            done.add(reference)
        return next((loop for loop in found if loop is not None), None)

    for node in _nodes(schema):
        if (loop := visit(node, ())) is not None:
            return loop
    return None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _nodes(schema: object) -> Iterator[Mapping[str, Any]]:
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            yield item
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _lookup(schema: object, reference: str) -> object:
    if not reference.startswith("#"):
        return None
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        schema = schema.get(key) if isinstance(schema, Mapping) else None
    return schema


def _repair(schema: JsonObject, depth: int) -> dict[str, Any]:
    if depth > _MAX_SCHEMA_DEPTH:
        raise BadSchema("too_deep", f"a schema is nested deeper than {_MAX_SCHEMA_DEPTH} levels")
    fixed = dict(schema)
    _repair_type(fixed)
    properties = fixed.get("properties")
    if isinstance(properties, Mapping):
        fixed["properties"], required = _repair_properties(properties, depth)
        listed = fixed.get("required")
        listed = listed if isinstance(listed, list) else []
        named = [name for name in listed if isinstance(name, str) and name in properties]
        fixed["required"] = list(dict.fromkeys([*named, *required]))
    elif "required" in fixed and not isinstance(fixed["required"], list):
        del fixed["required"]  # `required: true` of a property; its parent has taken note of it
    if isinstance(fixed.get("items"), Mapping):
        fixed["items"] = _repair(fixed["items"], depth + 1)
    for key in _IN_PLACE:
        if isinstance(fixed.get(key), list):
            fixed[key] = [
                _repair(item, depth + 1) if isinstance(item, Mapping) else item
                for item in fixed[key]
            ]
    return fixed


def _repair_properties(
    properties: Mapping[str, Any], depth: int
) -> tuple[dict[str, Any], list[str]]:
    """Return the repaired properties, and those that say themselves that they are required."""
    fixed, required = {}, []
    for name, raw in properties.items():
        inner = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(inner, Mapping):
            fixed[name] = inner
            continue
        if inner.get("required") is True:
            required.append(name)
        fixed[name] = _repair(inner, depth + 1)
    return fixed, required


def _repair_type(schema: dict[str, Any]) -> None:
    """Put JSON Schema's name in place of another's: `List[int], optional` is an array."""
    raw = schema.get("type")
    if not isinstance(raw, str) or raw in _KNOWN:
        return
    name = raw.lower().partition(",")[0].partition("[")[0].partition("<")[0].strip()
    kind = name if name in _KNOWN else _TYPES.get(name)
    if kind is None:
        del schema["type"]  # `any`, or a name that says nothing to a validator
        schema.setdefault("x-type", raw)
    else:
        schema["type"] = kind
