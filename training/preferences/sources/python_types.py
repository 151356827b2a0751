"""Python type names, as some datasets describe arguments, turned into JSON Schema."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN: Mapping[str, str] = {
    "str": "string", "string": "string", "text": "string", "date": "string", "datetime": "string",
    "int": "integer", "integer": "integer", "long": "integer",
    "float": "number", "double": "number", "number": "number",
    "bool": "boolean", "boolean": "boolean",
    "list": "array", "array": "array", "tuple": "array", "set": "array", "sequence": "array",
    "iterable": "array", "frozenset": "array",
    "dict": "object", "object": "object", "mapping": "object", "hashmap": "object",
    "none": "null", "nonetype": "null", "null": "null",
}  # fmt: skip

_GENERIC = re.compile(r"\s*(?:typing\.)?([A-Za-z_.]+)\s*(?:\[(.*)\])?\s*", re.S)
_MAX_NESTING = 16


def schema_of(text: str) -> dict[str, Any]:
    """Return the JSON Schema of a type name: `List[int]` gives an array of integers.

    A name without a twin in JSON Schema gives no constraint and is kept as `x-type`.
    """
    return _schema(text, _MAX_NESTING)


def split_optional(text: str) -> tuple[str, bool]:
    """Return the type name and whether it is marked as one that may be left out.

    `str, optional` and `Optional[str]` are.
    """
    name, comma, mark = text.rpartition(",")
    if comma and mark.strip().lower().startswith("optional"):
        return name.strip(), True
    match = _GENERIC.fullmatch(text)
    if match and match[1].lower() == "optional" and match[2]:
        return match[2].strip(), True
    return text.strip(), False


def parameters_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of `{name: {"type", "description", "default"?}}`.

    An argument is required unless its type says `optional`; a default alone does not make it so,
    because xLAM gives sample values as defaults of required arguments.
    """
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, raw in arguments.items():
        fields: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {"type": str(raw)}
        kind, optional = split_optional(str(fields.get("type", "Any")))
        properties[name] = schema_of(kind)
        for key in ("description", "enum", "default"):
            if fields.get(key) is not None:
                properties[name][key] = fields[key]
        if not optional:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _schema(text: str, left: int) -> dict[str, Any]:
    parts = _split(text, "|")
    if len(parts) > 1:
        return _union(parts, left)
    match = _GENERIC.fullmatch(text)
    if match is None or left == 0:
        return {"x-type": text.strip()}
    name, inner = match[1].lower(), _split(match[2] or "", ",")
    if name == "any":
        return {}
    if name == "optional":
        return _union([*inner, "None"], left)
    if name == "union":
        return _union(inner, left)
    if name == "literal":
        return {"enum": [part.strip("'\" ") for part in inner]}
    kind = _PLAIN.get(name)
    if kind is None:
        return {"x-type": text.strip()}
    schema: dict[str, Any] = {"type": kind}
    if kind == "array" and inner:
        items = [_schema(part, left - 1) for part in inner if part.strip() != "..."]
        same = all(item == items[0] for item in items)
        schema["items"] = items[0] if same else {"anyOf": _distinct(items)}
    elif kind == "object" and len(inner) == 2:
        value = _schema(inner[1], left - 1)
        schema |= {"additionalProperties": value} if value else {}
    return schema


def _union(parts: Sequence[str], left: int) -> dict[str, Any]:
    options = _distinct([_schema(part, left - 1) for part in parts])
    if {} in options:
        return {}
    return options[0] if len(options) == 1 else {"anyOf": options}


def _distinct(schemas: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [schema for at, schema in enumerate(schemas) if schema not in schemas[:at]]


def _split(text: str, sign: str) -> list[str]:
    """Split at a sign outside brackets; nothing from nothing."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == sign and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]
