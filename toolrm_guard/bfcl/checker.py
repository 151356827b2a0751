"""Whether calls are among BFCL's possible answers, and what is wrong if they are not.

Written from the behaviour of the official AST checker (`bfcl-eval` 2026.3.23), for tools whose
parameters are JSON Schema, and with its error types. Values are compared as it does: text without
case and without blanks and the signs `,./-_*^`; a type must be exactly the stated one, but a whole
number passes for a number, and a value may have the type of the possible answers instead (they name
variables by text).

Where we differ: calls in parallel are matched to the possible answers as a whole, so their order
never matters; the official checker gives each answer the first call that fits, and may run out.
Its `cannot_find_match` carries the error of the closest call after a slash.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolrm_guard.foreign import BadField, mapping
from toolrm_guard.rule_score import CallLike

_KINDS: Mapping[str, type[Any]] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict,
}  # fmt: skip
_MAX_WHOLE = 2**1000
"""Beyond this a whole number is no double; it is then of the wrong type."""

_IGNORED = re.compile(r"[ ,./\-_*^]")
_PARALLEL = "parallel_function_checker_no_order"

Allowed = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the checker says of one answer.

    Attributes:
        error_type: None if the answer is right.
        message: What was found and what was expected; empty if the answer is right.
    """

    error_type: str | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the answer is right."""
        return self.error_type is None


RIGHT = Verdict()


def check(
    split: str,
    tools: Sequence[Mapping[str, Any]],
    accept: Sequence[Mapping[str, Any]] | None,
    calls: Sequence[CallLike],
) -> Verdict:
    """Return the verdict on the calls of one single-turn answer.

    Args:
        split: One of the single-turn splits; it decides how several calls are matched.
        tools: Function schemas, parameters as JSON Schema.
        accept: Possible answers, one call each; None or empty where no call is right.
        calls: What the model called.

    Raises:
        BadField: If the possible answers do not follow their format or name no tool.
    """
    if not accept:
        if not calls:
            return RIGHT
        return _wrong("irrelevance_error:call_made", f"{calls[0].name} is called, no call is right")
    answers = [_answer(item, tools) for item in accept]
    if len(calls) != len(answers):
        found = f"{len(calls)} calls, expected {len(answers)}"
        return _wrong(f"{_checker_of(split)}:wrong_count", found)
    if "parallel" in split:
        return _check_parallel(answers, calls)
    return _check_call(answers[0], calls[0])


@dataclass(frozen=True, slots=True)
class _Answer:
    name: str
    arguments: Mapping[str, Any]
    properties: Mapping[str, Any]
    required: Sequence[str]


def _answer(item: object, tools: Sequence[Mapping[str, Any]]) -> _Answer:
    named = mapping(item, "a possible answer")
    if len(named) != 1:
        raise BadField("bad_answer", f"a possible answer names {len(named)} functions, expected 1")
    name, arguments = next(iter(named.items()))
    tool = next((tool for tool in tools if tool.get("name") == name), None)
    if tool is None:
        offered = ", ".join(str(tool.get("name")) for tool in tools)
        raise BadField("bad_answer", f"a possible answer calls {name!r}; offered are {offered}")
    parameters = mapping(tool.get("parameters") or {}, f"the parameters of {name}")
    return _Answer(
        name,
        {k: _listed(v) for k, v in mapping(arguments, f"the arguments of {name}").items()},
        mapping(parameters.get("properties") or {}, f"the properties of {name}"),
        parameters.get("required") or (),
    )


def _checker_of(split: str) -> str:
    if "parallel" in split:
        return _PARALLEL
    return "multiple_function_checker" if "multiple" in split else "simple_function_checker"


# --- several calls ------------------------------------------------------------------------------


def _check_parallel(answers: Sequence[_Answer], calls: Sequence[CallLike]) -> Verdict:
    table = [[_check_call(answer, call) for call in calls] for answer in answers]
    taken: dict[int, int] = {}  # call -> answer

    def place(answer: int, tried: set[int]) -> bool:
        for call, verdict in enumerate(table[answer]):
            if verdict.ok and call not in tried:
                tried.add(call)
                if call not in taken or place(taken[call], tried):
                    taken[call] = answer
                    return True
        return False

    for index, answer in enumerate(answers):
        if not place(index, set()):
            free = [call for call in range(len(calls)) if call not in taken]
            closest = max(free, key=lambda call: _likeness(answer, calls[call]))
            verdict = table[index][closest]
            return _wrong(f"{_PARALLEL}:cannot_find_match/{verdict.error_type}", verdict.message)
    return RIGHT


def _likeness(answer: _Answer, call: CallLike) -> tuple[bool, int]:
    fits = sum(
        key in answer.arguments
        and key in answer.properties
        and _check_argument(key, value, answer).ok
        for key, value in call.arguments.items()
    )
    return call.name == answer.name, fits


# --- one call -----------------------------------------------------------------------------------


def _check_call(answer: _Answer, call: CallLike) -> Verdict:
    if call.name != answer.name:
        found = f"{call.name} is called, expected {answer.name}"
        return _wrong("simple_function_checker:wrong_func_name", found)
    for key in answer.required:
        if key not in call.arguments:
            found = f"{call.name} lacks the required argument {key!r}"
            return _wrong("simple_function_checker:missing_required", found)
    for key, value in call.arguments.items():
        if key not in answer.properties or key not in answer.arguments:
            found = f"{call.name} has the unexpected argument {key!r}"
            return _wrong("simple_function_checker:unexpected_param", found)
        verdict = _check_argument(key, value, answer)
        if not verdict.ok:
            return verdict
    for key, allowed in answer.arguments.items():
        if key not in call.arguments and "" not in allowed:
            found = f"{call.name} lacks {key!r}, which the request states"
            return _wrong("simple_function_checker:missing_optional", found)
    return RIGHT


def _check_argument(key: str, value: Any, answer: _Answer) -> Verdict:
    schema = answer.properties[key]
    allowed: Allowed = answer.arguments[key]
    kind, nested = _kind(schema), _nested_kind(schema)
    if kind is float and type(value) is int and abs(value) < _MAX_WHOLE:
        value = float(value)
    found = f"{answer.name}.{key} is {value!r}, expected one of {list(allowed)!r}"[:400]
    error = _type_error(value, kind, nested, allowed)
    if error is not None:
        return _wrong(error, f"{found} and the type {kind.__name__}")
    answered = _answered_kind(allowed)
    compare = _COMPARE.get(kind)
    if compare is None or answered not in (None, kind) or type(value) is not kind:
        # A variable stands for the value, or the type has no comparison of its own.
        return RIGHT if value in allowed else _wrong("value_error:others", found)
    error = (_list_of_objects if nested is dict else compare)(value, allowed)
    return RIGHT if error is None else _wrong(error, found)


def _type_error(
    value: Any, kind: type[Any], nested: type[Any] | None, allowed: Allowed
) -> str | None:
    if type(value) is kind:
        if nested is None or any(
            not isinstance(option, list) or all(_item_fits(item, nested, option) for item in value)
            for option in allowed
        ):
            return None
        return "type_error:nested" if allowed else "type_error:simple"
    return None if type(value) is _answered_kind(allowed) else "type_error:simple"


def _item_fits(item: Any, nested: type[Any], option: Allowed) -> bool:
    return type(item) is nested or type(item) is _answered_kind(option)


def _answered_kind(allowed: Allowed) -> type[Any] | None:
    """Return the type of the first value that is allowed; "" only says that none is needed."""
    return next((type(option) for option in allowed if option != ""), None)


def _kind(schema: Any) -> type[Any]:
    """Return the type of an argument; one that is not stated is text, as BFCL takes `any`."""
    name = schema.get("type") if isinstance(schema, Mapping) else None
    return _KINDS.get(name, str) if isinstance(name, str) else str


def _nested_kind(schema: Any) -> type[Any] | None:
    items = schema.get("items") if isinstance(schema, Mapping) else None
    return _kind(items) if _kind(schema) is list and items is not None else None


# --- values -------------------------------------------------------------------------------------


def _text(value: Any) -> Any:
    """Return text without what does not count; anything else as it is."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value


def _texts(values: Iterable[Any]) -> list[Any]:
    return [_text(value) for value in values]


def _string(value: str, allowed: Allowed) -> str | None:
    fits = _text(value) in [_text(option) for option in allowed if isinstance(option, str)]
    return None if fits else "value_error:string"


def _list(value: list[Any], allowed: Allowed) -> str | None:
    # "" among the options stands for an empty list, too.
    options = [_texts(option) for option in allowed if isinstance(option, (list, str))]
    return None if _texts(value) in options else "value_error:list/tuple"


def _object(value: Mapping[str, Any], allowed: Allowed) -> str | None:
    """Return the error against the last option, or None if one fits."""
    error: str | None = "dict_checker:unclear"
    for option in allowed:
        if not isinstance(option, Mapping):
            continue
        error = _one_object(value, option)
        if error is None:
            return None
    return error


def _one_object(value: Mapping[str, Any], option: Mapping[str, Any]) -> str | None:
    if any(key not in value and "" not in _listed(inner) for key, inner in option.items()):
        return "value_error:dict_key"
    for key, inner in value.items():
        if key not in option:
            return "value_error:dict_key"
        if _text(inner) not in _texts(_listed(option[key])):
            return "value_error:dict_value"
    return None


def _list_of_objects(value: list[Any], allowed: Allowed) -> str | None:
    error: str | None = "list_dict_checker:unclear"
    for option in allowed:
        if not isinstance(option, (list, str)) or len(option) != len(value):
            error = "value_error:list_dict_count"
            continue
        error = None
        for item, expected in zip(value, option, strict=True):
            if not isinstance(item, Mapping):
                return "type_error:nested"
            error = error or _object(item, [expected])
        if error is None:
            return None
    return error


def _listed(allowed: Any) -> list[Any]:
    return allowed if isinstance(allowed, list) else [allowed]


_COMPARE: Mapping[type[Any], Callable[[Any, Allowed], str | None]] = {
    str: _string,
    list: _list,
    dict: _object,
}


def _wrong(error_type: str, message: str) -> Verdict:
    return Verdict(error_type=error_type, message=message)
