"""`x-sensitive: true` in a tool's schema: which argument values are nobody's business."""

import marshal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEYWORD = "x-sensitive"

Schema = Mapping[str, Any]
Mask = Callable[[object], object]
"""What becomes of a sensitive leaf: a string, a number or a bool; never None."""

_SAME_VALUE = ("allOf", "anyOf", "oneOf", "if", "then", "else")


SchemaOf = Callable[[str], Schema | None]
"""From a tool's name to the parameters by which the values of its calls are hidden."""


def sensitive_schemas(tools: Sequence[Mapping[str, Any]]) -> SchemaOf:
    """Return what tells the parameters of a tool by its name; None if they mark no value.

    A name that is not on offer may be a marked tool's, misspelt: what any of them marks counts.
    """
    offered = {str(tool.get("name")) for tool in tools}
    marked = {
        str(tool.get("name")): tool["parameters"]
        for tool in tools
        if isinstance(tool.get("parameters"), Mapping) and _is_marked(tool["parameters"])
    }
    unknown = _of_any(marked.values()) if marked else None
    return lambda name: marked.get(name) if name in offered else unknown


def _of_any(schemas: Iterable[Schema]) -> Schema:
    """Return a schema that marks each parameter that one of them marks, and no other."""
    branches: list[Schema] = []
    definitions: dict[str, dict[str, Any]] = {"$defs": {}, "definitions": {}}
    for schema in schemas:
        properties = schema.get("properties")
        known = properties.items() if isinstance(properties, Mapping) else ()
        # One level down, so that the other arguments are not taken for a marked one, misspelt.
        branches.append({**schema, "properties": {key: {"anyOf": [own]} for key, own in known}})
        for place, found in definitions.items():
            inner = schema.get(place)
            found.update(inner if isinstance(inner, Mapping) else {})
    return {"anyOf": branches, **definitions}


def masked(schema: Schema, value: object, mask: Mask) -> Any:
    """Return the value with every leaf under a sensitive schema replaced by `mask(leaf)`.

    All branches of `anyOf` and the like count, whether or not the value fits them: it is safer to
    hide too much.
    """
    return _masked(schema, value, _Walk(root=schema, mask=mask), set())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    root: Schema
    mask: Mask

    def resolve(self, reference: object) -> object:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: object = self.root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(key)
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found


def _masked(schema: object, value: Any, walk: _Walk, seen: set[int]) -> Any:
    """Return the value masked by one schema; `seen` are those that were applied to it already."""
    if not isinstance(schema, Mapping) or id(schema) in seen:
        return value
    seen.add(id(schema))  # a schema may refer to itself
    if schema.get(KEYWORD) in (True, "true"):
        return every_leaf(value, walk.mask)
    if "$ref" in schema:
        value = _masked(walk.resolve(schema["$ref"]), value, walk, seen)
    for keyword in _SAME_VALUE:
        inner = schema.get(keyword)
        for branch in inner if isinstance(inner, list) else (inner,):
            value = _masked(branch, value, walk, seen)
    if isinstance(value, Mapping):
        return _masked_object(schema, value, walk)
    if isinstance(value, (list, tuple)):
        first = schema.get("prefixItems") or ()
        rest = schema.get("items")
        return [
            _masked(first[i] if i < len(first) else rest, item, walk, set())
            for i, item in enumerate(value)
        ]
    return value


def _masked_object(schema: Schema, value: Mapping[str, Any], walk: _Walk) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    patterns = schema.get("patternProperties")
    # A key is not matched with its pattern: every pattern counts for every key.
    others = [schema.get("additionalProperties"), *(patterns or {}).values()]
    if any(
        isinstance(p, Mapping) and p.get(KEYWORD) in (True, "true") for p in properties.values()
    ):
        # A key that no schema knows may be the sensitive one, misspelt.
        others.append({KEYWORD: True})
    done = {}
    for key, item in value.items():
        seen: set[int] = set()
        for inner in [properties[key]] if key in properties else others:
            item = _masked(inner, item, walk, seen)
        done[key] = item
    return done


def every_leaf(value: Any, mask: Mask) -> Any:
    """Return the value with every leaf but None replaced."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: every_leaf(item, mask) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [every_leaf(item, mask) for item in value]
    return mask(value)


def _is_marked(schema: object) -> bool:
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            if item.get(KEYWORD) in (True, "true"):
                return True
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def fingerprint(tools: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return bytes that are equal for equal tools; None where there are none such."""
    try:
        return marshal.dumps(tools, 0)  # type: ignore[arg-type]  # what it cannot write, it says
    except ValueError:
        return None
