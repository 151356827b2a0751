"""What can be checked about a call without reading the conversation: the schema findings.

`check_call` is exact, but runs jsonschema only on calls that `quick_fit` cannot clear.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from jsonschema import ValidationError
from jsonschema.exceptions import best_match

from toolrm_guard.calls import Call
from toolrm_guard.prompt import has_control_text
from toolrm_guard.quick_fit import quick_fit
from toolrm_guard.tools import Tool, ToolSet

FindingCode = Literal[
    "unknown_tool",
    "malformed_arguments",
    "oversized_arguments",
    "too_deep",
    "missing_required",
    "unexpected_argument",
    "wrong_type",
    "not_in_enum",
    "out_of_range",
    "wrong_format",
    "not_finite",
    "lone_surrogate",
    "control_text",
    "duplicate_call",
    "repeated_call",
    "ungrounded_value",
    "call_count",
    "call_without_fit",
    "missing_call",
    "weak_evidence",
]
Severity = Literal["error", "warning"]

WARNINGS: frozenset[FindingCode] = frozenset(
    {
        "control_text",
        "repeated_call",
        "ungrounded_value",
        "call_count",
        "call_without_fit",
        "missing_call",
        "weak_evidence",
    }
)
"""Codes that may be wrong about a right call; every other code says that a call cannot be right."""

MAX_FINDINGS = 20
"""Findings kept per call: a critique with more helps nobody, and hostile arguments have no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One checkable statement about a call, written to be read by the policy model.

    Attributes:
        code: What is wrong, from a closed list.
        severity: An error cannot be right and blocks execution; a warning lowers trust.
        path: JSON path of the argument inside the call's arguments, e.g. `$.date`; `$` is the call.
        message: Names the argument, the value and what is expected.
        call: Index of the call in the candidate; None for the candidate as a whole.
    """

    code: FindingCode
    severity: Severity
    path: str = "$"
    message: str
    call: int | None = None


def finding(code: FindingCode, message: str, path: str = "$", call: int | None = None) -> Finding:
    """Return a finding with the severity that belongs to its code."""
    severity: Severity = "warning" if code in WARNINGS else "error"
    return Finding(code=code, severity=severity, path=path, message=message, call=call)


def check_call(call: Call, tools: ToolSet) -> tuple[Finding, ...]:
    """Return what is wrong with a call on its own; empty if it fits its tool. Never raises."""
    found: list[Finding] = []
    tool = tools.get(call.name)
    if tool is None:
        found.append(finding("unknown_tool", _unknown_tool(call.name, tools)))
    if call.defect is not None:
        found.append(finding(call.defect.code, f"{_name(call)}: {call.defect.message}"))
    else:
        found += _text_findings(call)
        if tool is not None:
            found += _schema_findings(call, tool)
    return tuple(found[:MAX_FINDINGS])


def json_path(parts: Iterable[str | int]) -> str:
    """Return `$.a.b[0]`; keys that are not identifiers are quoted."""
    path = "$"
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_]\w*", part):
            path += f".{part}"
        else:
            path += f"[{shown(part)}]"
    return path


def leaves(
    value: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield (path, value) of every value that is no container; the depth is bounded by `Call`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def shown(value: object, limit: int = 80) -> str:
    """Return a short, encodable form of a value for a message."""
    text = repr(value[:limit]) if isinstance(value, str) else repr(value)
    text = text if len(text) <= limit else text[:limit] + "..."
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# --- text ---------------------------------------------------------------------------------------


def _text_findings(call: Call) -> Iterator[Finding]:
    """NaN, lone surrogates and control text; the canonical text says whether a walk is needed."""
    text = call.canonical
    if has_control_text(call.name):
        message = f"the tool name {shown(call.name)} holds chat-template text; use a listed name"
        yield finding("control_text", message)
    if not ("<" in text or "\\ud" in text or "NaN" in text or "Infinity" in text):
        return
    for path, value in leaves(call.arguments):
        where = json_path(path)
        if isinstance(value, float) and not math.isfinite(value):
            message = f"`{where}` of {_name(call)} is {value}; JSON has no such number"
            yield finding("not_finite", message, where)
        texts = [text for text in (*path, value) if isinstance(text, str)]
        if any(_has_surrogate(text) for text in texts):
            message = f"`{where}` of {_name(call)} holds a lone surrogate, which is not text"
            yield finding("lone_surrogate", message, where)
        if any(has_control_text(text) for text in texts):
            message = f"`{where}` of {_name(call)} holds chat-template text: {shown(value)}"
            yield finding("control_text", message, where)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


# --- schema -------------------------------------------------------------------------------------

_CODE_OF_KEYWORD: Mapping[str, FindingCode] = {
    "type": "wrong_type",
    "enum": "not_in_enum",
    "const": "not_in_enum",
    "format": "wrong_format",
    "required": "missing_required",
    "dependentRequired": "missing_required",
    "additionalProperties": "unexpected_argument",
    "unevaluatedProperties": "unexpected_argument",
    "propertyNames": "unexpected_argument",
    **dict.fromkeys(
        "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems"
        " maxItems uniqueItems minProperties maxProperties pattern contains".split(),
        "out_of_range",
    ),
}

_COMPOSED = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "not"})


def _schema_findings(call: Call, tool: Tool) -> Iterator[Finding]:
    schema = tool.parameters
    if quick_fit(call.arguments, schema):
        return
    unexpected = list(_unexpected(call.arguments, schema, ()))
    for path, known in unexpected:
        yield _unexpected_finding(call, path, known)
    for code, message, where in _jsonschema_findings(call, tool):
        if code != "unexpected_argument" or not unexpected:
            yield finding(code, message, where)


def _unexpected(
    value: object, schema: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Sequence[str]]]:
    """Yield (path, known names) of arguments that the schema does not name.

    Stricter than JSON Schema, where unnamed arguments are welcome: an argument nobody described
    is an invention, unless `additionalProperties` or `patternProperties` allow it explicitly.
    """
    if not isinstance(schema, Mapping):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unexpected(item, schema.get("items"), (*path, index))
    if not isinstance(value, Mapping):
        return
    properties = schema.get("properties")
    named = properties if isinstance(properties, Mapping) else {}
    closed = _is_closed(schema, bool(path))
    for name, item in value.items():
        if name in named:
            yield from _unexpected(item, named[name], (*path, str(name)))
        elif closed and not _pattern_allows(str(name), schema):
            yield (*path, str(name)), tuple(named)


def _is_closed(schema: Mapping[str, Any], nested: bool) -> bool:
    extra = schema.get("additionalProperties")
    if extra is not None:
        return extra is False
    if not _COMPOSED.isdisjoint(schema):
        return False  # names may be declared elsewhere
    # `{"type": "object"}` without properties is an open map; `"properties": {}` of a tool is not.
    return bool(schema.get("properties")) if nested else "properties" in schema


def _pattern_allows(name: str, schema: Mapping[str, Any]) -> bool:
    patterns = schema.get("patternProperties") or {}
    try:
        return any(re.search(pattern, name) for pattern in patterns)
    except re.error:
        return False


def _unexpected_finding(call: Call, path: tuple[str | int, ...], known: Sequence[str]) -> Finding:
    names = ", ".join(f"`{shown(name)[1:-1]}`" for name in known[:12]) or "no arguments"
    message = f"{_name(call)} has no argument {shown(path[-1])}; it takes {names}"
    return finding("unexpected_argument", message, json_path(path))


def _jsonschema_findings(call: Call, tool: Tool) -> Iterator[tuple[FindingCode, str, str]]:
    try:
        for error in tool.validator.iter_errors(_plain(call.arguments)):
            if not _is_stated_default(error):
                yield _described(call, error)
    except Exception as exc:  # noqa: BLE001  # a schema or value that makes jsonschema itself fail (bad regex,
        # recursive $ref, overflow in multipleOf) leaves the call unproven, which is a finding.
        message = f"arguments of {_name(call)} could not be validated: {type(exc).__name__}"
        yield "malformed_arguments", message, "$"


def _plain(value: object) -> object:
    """Return the value with dict and list in place of other mappings and sequences."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _is_stated_default(error: ValidationError) -> bool:
    """A schema's own default is never held against a call, even if it breaks its own type."""
    schema = error.schema
    if not isinstance(schema, Mapping) or "default" not in schema:
        return False
    default = schema["default"]
    return type(default) is type(error.instance) and default == error.instance


def _described(call: Call, error: ValidationError) -> tuple[FindingCode, str, str]:
    cause = error
    if error.validator in ("anyOf", "oneOf") and error.context:
        cause = best_match(error.context) or error
    path: tuple[str | int, ...] = tuple(error.absolute_path)
    keyword = str(cause.validator)
    code = _CODE_OF_KEYWORD.get(keyword, "wrong_type")
    if keyword == "required" and cause is error:
        name = _missing_name(error)
        path = (*path, name)
        message = f"{_name(call)} needs {shown(name)}{_hint(error.schema, name)}; it is missing"
    else:
        message = (
            f"`{json_path(path)}` of {_name(call)} is {shown(error.instance)}; {_wanted(error)}"
        )
    return code, message, json_path(path)


def _missing_name(error: ValidationError) -> str:
    # jsonschema yields one error a missing name, whose message starts with the name's repr.
    for name in cast("Sequence[str]", error.validator_value):
        if error.message.startswith(repr(name)):
            return name
    return "?"


def _hint(schema: object, name: str) -> str:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    inner = properties.get(name) if isinstance(properties, Mapping) else None
    if not isinstance(inner, Mapping):
        return ""
    parts = [str(inner[key])[:120] for key in ("type", "description") if inner.get(key)]
    return f" ({': '.join(parts)})" if parts else ""


def _wanted(error: ValidationError) -> str:
    wanted = error.validator_value
    match error.validator:
        case "type":
            return f"expected {' or '.join(wanted) if isinstance(wanted, list) else wanted}"
        case "enum":
            return f"expected one of {shown(wanted, 300)}"
        case "anyOf" | "oneOf":
            kinds = [
                str(s.get("type", s)) for s in cast("list[Any]", wanted) if isinstance(s, dict)
            ]
            return f"expected one of these: {shown(kinds, 200)}"
        case keyword:
            return f"expected {keyword} {shown(wanted)}"


def _name(call: Call) -> str:
    return f"`{shown(call.name)[1:-1]}`"


def _unknown_tool(name: str, tools: ToolSet) -> str:
    if not tools:
        return f"there is no tool {shown(name)}; no tools are offered, so answer in text"
    listed = ", ".join(f"`{known}`" for known in list(tools)[:20])
    return f"there is no tool {shown(name)}; the tools are {listed}"
