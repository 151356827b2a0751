"""A fast yes: values that surely fit their JSON Schema, told without jsonschema.

On BFCL's calls this is 20 us a call instead of 400 us.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from toolrm_guard.calls import MAPPING
from toolrm_guard.tools import FORMATS

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly"}
)
_CHECKED = frozenset(
    {"type", "enum", "properties", "required", "items", "additionalProperties"} | _ANNOTATIONS
)
_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}


def quick_fit(value: object, schema: object) -> bool:
    """Tell that a value surely fits, with no argument that its schema does not name.

    False means "look closer", not "does not fit".
    """
    if not isinstance(schema, MAPPING):
        return False
    for keyword, wanted in schema.items():
        if keyword not in _CHECKED and not _quick_keyword(value, keyword, wanted):
            return False
    kind = schema.get("type")
    if kind is not None and not _is_type(value, kind):
        return False
    allowed = schema.get("enum")
    # `True == 1` in Python; only text is cleared here.
    if allowed is not None and not (isinstance(value, str) and value in allowed):
        return False
    if isinstance(value, dict):
        return _quick_object(value, schema)
    items = schema.get("items")
    if isinstance(value, list) and items is not None:
        return all(quick_fit(item, items) for item in value)
    return value is None or isinstance(value, (str, int, float, list))


def _quick_keyword(value: object, keyword: str, wanted: Any) -> bool:
    """Tell that a value surely satisfies a keyword beyond the plain ones."""
    within = _BOUNDS.get(keyword)
    if within is not None:
        # Of other types a bound says nothing, and of NaN it is never true: jsonschema is asked.
        return isinstance(value, (int, float)) and within(value, wanted)
    if keyword == "format":
        try:
            return FORMATS.conforms(value, wanted)
        except Exception:  # noqa: BLE001  # a checker that fails on this value clears nothing
            return False
    return keyword.startswith("x-")  # and other words that JSON Schema ignores


def _quick_object(value: dict[str, Any], schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties") or {}
    if any(name not in value for name in schema.get("required") or ()):
        return False
    is_open = schema.get("additionalProperties", "properties" not in schema) is True
    for name, item in value.items():
        inner = properties.get(name)
        if inner is not None:
            if not quick_fit(item, inner):
                return False
        elif not is_open:
            return False
    return True


def _is_type(value: object, kind: object) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        return isinstance(value, list)
    if kind == "object":
        return isinstance(value, dict)
    return False  # "null" and lists of types are rare: jsonschema decides
