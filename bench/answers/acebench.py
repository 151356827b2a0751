"""Whether an answer to an ACEBench prompt is right, as ACEBench's checker decides it.

Written from the behaviour of its `model_eval/checker.py` and `eval_main.py`, with its error types.
Text is compared without case, blanks and the signs `,./-_*^`, and may say more than is expected.

What the official checker does not compare, it accepts: numbers and booleans at the top level, and
any value whose type is the expected answer's but not the schema's. `strict` compares these as well.
Where we differ: a call without arguments is right where none are expected, and the `_1`, `_2` that
tell parallel answers apart are only taken off names that no tool has.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from toolrm_guard.rule_score import CallLike

_KINDS: Mapping[str, type[Any]] = {
    "string": str, "any": str, "integer": int, "int": int, "number": int, "float": float,
    "boolean": bool, "array": list, "list": list, "tuple": list, "list(string)": list,
    "list(enum)": list, "objectArray": list, "object": dict, "dict": dict,
}  # fmt: skip
_IGNORED = re.compile(r"[\s,./\-_*^]")
_NUMBERED = re.compile(r"_\d+$")
_PHRASES = (
    ("incomplete", "Missing necessary parameters"),
    ("error", "There is incorrect value"),
    ("irrelevant", "the limitations of the function"),
)


def check_normal(
    tools: Sequence[Mapping[str, Any]], truth: object, calls: Sequence[CallLike], *, strict: bool
) -> str | None:
    """Return what is wrong with the calls, or None.

    Args:
        tools: Schemas with JSON-Schema-like `parameters`.
        truth: {function: arguments}, or a list of such alternatives.
        calls: Of the answer.
        strict: Compare what the official checker leaves out.
    """
    alternatives = truth if isinstance(truth, list) else [truth]
    errors = [_check_one(tools, each, calls, strict=strict) for each in alternatives]
    return None if None in errors else errors[0]


def check_special(category: str, truth: object, text: str) -> str | None:
    """Return what is wrong with an answer that must point out a problem, or None."""
    phrase = next(phrase for part, phrase in _PHRASES if part in category)
    if phrase not in text:
        return "error_detection"
    if "irrelevant" in category or not isinstance(truth, Mapping):
        return None
    named = [value for values in truth.values() for value in _listed(values)]
    if "incomplete" in category:
        named += truth.keys()
    return None if all(str(value) in text for value in named) else "error_correction"


def _listed(values: object) -> list[object]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def expected_calls(
    tools: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and arguments of the calls of one alternative."""
    offered = {tool["name"] for tool in tools}
    return [
        (name if name in offered else _NUMBERED.sub("", name), arguments or {})
        for name, arguments in truth.items()
    ]


def _check_one(
    tools: Sequence[Mapping[str, Any]], truth: Any, calls: Sequence[CallLike], *, strict: bool
) -> str | None:
    expected = expected_calls(tools, truth)
    if len(calls) != len(expected):
        return "wrong functions number"
    if Counter(call.name for call in calls) != Counter(name for name, _ in expected):
        return "function_mismatch"
    schemas = {tool["name"]: tool.get("parameters") or {} for tool in tools}
    for name, arguments in expected:
        errors = [
            _check_call(call.arguments, arguments, schemas.get(name, {}), strict=strict)
            for call in calls
            if call.name == name
        ]
        if None not in errors:
            return errors[0]
    return None


def _check_call(
    found: Mapping[str, Any],
    expected: Mapping[str, Any],
    schema: Mapping[str, Any],
    *,
    strict: bool,
) -> str | None:
    if not found and not expected:
        return None
    if not found or not expected:
        return "wrong_param"
    if any(key not in found for key in schema.get("required") or ()):
        return "lack_args"
    properties = schema.get("properties") or {}
    for key, value in found.items():
        if key not in properties or key not in expected:
            return "addition_args"
        error = _check_value(value, expected[key], properties[key], strict=strict)
        if error is not None:
            return error
    return None


def _check_value(
    value: Any, expected: Any, schema: Mapping[str, Any], *, strict: bool
) -> str | None:
    kind = _KINDS.get(str(schema.get("x-type") or schema.get("type")))
    if isinstance(value, str) and value in ("true", "false"):
        value = value == "true"
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is kind:
        compared = type(expected) is kind
    elif type(value) is type(expected) or value == expected:
        compared = False
    else:
        return "type_error"
    if not compared or isinstance(value, (bool, int, float)):
        same = _plain(value) == _plain(expected) or _fits(value, expected)
        return "value_error" if strict and not same else None
    if isinstance(value, str):
        return None if _plain(expected) in _plain(value) else "value_error:string"
    if isinstance(value, dict):
        return None if _fits(value, expected) else "value_error"
    if any(isinstance(item, dict) for item in expected):
        if len(value) != len(expected):
            return "value_error:list_dict_count"
        return None if all(map(_fits, value, expected)) else "value_error"
    same = [_plain(item) for item in value] == [_plain(item) for item in expected]
    return None if same else "value_error:list/tuple"


def _fits(value: Any, expected: Any) -> bool:
    """Tell whether a nested value says what is expected: same keys, and text that contains it."""
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and value.keys() == expected.keys()
            and all(_fits(value[key], expected[key]) for key in expected)
        )
    if isinstance(value, str) and value in ("true", "false"):
        value = value == "true"
    return str(_plain(expected)) in str(_plain(value))


def _plain(value: Any) -> Any:
    """Return text in the form in which it is compared; anything else as it is."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value
