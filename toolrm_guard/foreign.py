"""Fields of other projects' rows, read strictly; the code of what is wrong is there to count by."""

import ast
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolrm_guard.errors import ConfigurationError

Json = dict[str, Any]


class BadField(ConfigurationError):
    """A row does not follow its format; `reason` is the fixed code that reports count by."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the code apart from what people read."""
        super().__init__(detail)
        self.reason = reason


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return a field that must be text.

    Raises:
        BadField: `missing_field` or `wrong_type`.
    """
    value = _present(row, key)
    if not isinstance(value, str):
        raise BadField("wrong_type", f"{key} is {type(value).__name__}, expected text")
    return value


def list_of(row: Mapping[str, Any], key: str) -> list[Any]:
    """Return a field that must be a list, or JSON text of one.

    Raises:
        BadField: `missing_field`, `bad_json_field` or `wrong_type`.
    """
    value = _present(row, key)
    if isinstance(value, str):
        value = json_text(value, key)
    if not isinstance(value, list):
        raise BadField("wrong_type", f"{key} is {type(value).__name__}, expected a list")
    return value


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return a value that must be an object.

    Raises:
        BadField: `wrong_type`.
    """
    if not isinstance(value, Mapping):
        raise BadField("wrong_type", f"{what} is {type(value).__name__}, expected an object")
    return cast("Mapping[str, Any]", value)


def json_text(text: str, what: str) -> Any:
    """Return the value of JSON inside a field.

    Raises:
        BadField: `bad_json_field`.
    """
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError) as exc:
        raise BadField("bad_json_field", f"{what} is no JSON ({exc}): {text[:80]!r}") from exc


def literal(text: str, what: str) -> Any:
    """Return the value of JSON or of a Python literal: `{'a': True}` and `{"a": true}` alike.

    Raises:
        BadField: `bad_literal`.
    """
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():  # '\d' in data is no mistake of this program
            warnings.simplefilter("ignore")
            return plain(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as exc:
        raise BadField("bad_literal", f"{what} is neither JSON nor Python: {text[:80]!r}") from exc


def plain(value: Any) -> Any:
    """Return the value with tuples and sets as lists.

    Raises:
        ValueError: If JSON cannot hold it: NaN, bytes, a complex number.
    """
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value, key=repr)]  # a set has no order of its own
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f"JSON has no {type(value).__name__}")


def _key(key: object) -> str:
    return key if isinstance(key, str) else json.dumps(plain(key))


def call(raw: object) -> Json:
    """Return a call as `{"name", "arguments"}`; arguments may be an object or JSON text of one.

    Raises:
        BadField: `bad_call`, `no_call_name` or `bad_arguments`.
    """
    if not isinstance(raw, Mapping):
        raise BadField("bad_call", f"a call is {type(raw).__name__}, expected an object")
    inner = raw.get("function")
    fields = inner if isinstance(inner, Mapping) else raw
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        raise BadField("no_call_name", f"a call names no tool: {str(raw)[:80]}")
    arguments = fields.get("arguments")
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = literal(arguments, f"arguments of {name}")
        except BadField as exc:
            raise BadField("bad_arguments", str(exc)) from exc
    arguments = {} if arguments is None or arguments == "" else arguments
    if not isinstance(arguments, Mapping):
        kind = type(arguments).__name__
        raise BadField("bad_arguments", f"arguments of {name!r} are {kind}, expected an object")
    return {"name": name, "arguments": dict(arguments)}


def tool(raw: object) -> Json:
    """Return a bare function schema: name, description and parameters, and nothing else.

    Raises:
        BadField: `bad_tool`.
    """
    if not isinstance(raw, Mapping):
        raise BadField("bad_tool", f"a tool is {type(raw).__name__}, expected an object")
    inner = raw.get("function")
    fields = inner if isinstance(inner, Mapping) else raw
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        raise BadField("bad_tool", f"a tool has no name: {str(raw)[:80]}")
    parameters = fields.get("parameters", fields.get("input_schema"))
    if parameters is not None and not isinstance(parameters, Mapping):
        kind = type(parameters).__name__
        raise BadField("bad_tool", f"parameters of {name!r} are {kind}, expected an object")
    return {
        "name": name,
        "description": str(fields.get("description") or ""),
        "parameters": dict(parameters) if parameters else {"type": "object", "properties": {}},
    }


def tools(raw: Sequence[object]) -> tuple[Json, ...]:
    """Return bare function schemas.

    Raises:
        BadField: `bad_tool`.
    """
    return tuple(tool(item) for item in raw)


def said(role: str, content: str, calls: Sequence[Json] = (), name: str | None = None) -> Json:
    """Return one message of a trajectory."""
    message: Json = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = list(calls)
    if name:
        message["name"] = name
    return message


def written(value: object) -> str:
    """Return a tool's result as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _present(row: Mapping[str, Any], key: str) -> Any:
    value = row.get(key)
    if value is None:
        raise BadField("missing_field", f"there is no {key}; fields are {', '.join(row)[:120]}")
    return value
