"""How far a candidate's calls agree with a reference: the rule score of ToolRM (arXiv 2510.26167).

0 if the number of calls differs from the reference, or a call is repeated identically; otherwise
the mean over the reference calls of the best similarity among the candidate's calls of the same
name, where similarity is the number of identical key-value pairs over the number of distinct keys
on either side.

What the paper leaves open is decided here: two calls without arguments are alike (1); no calls on
both sides are alike (1), whatever the texts say. Values are compared as JSON values: the order of
an object's keys does not matter, that of a list's items does; `1` and `1.0` are one number, as in
JSON Schema, and neither `true` nor `"1"` is a 1. One candidate call may be the best for two
reference calls, as in the definition.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol


class CallLike(Protocol):
    """Anything with a name and arguments, such as `toolrm_guard.calls.Call`."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def arguments(self) -> Mapping[str, object]:
        """The arguments."""
        ...


_Frozen = tuple[str, dict[str, Hashable]]


class Reference:
    """A right turn's calls, prepared once to score any number of candidates."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Sequence[CallLike]) -> None:
        self._calls = [_freeze(call) for call in calls]

    def score(self, calls: Sequence[CallLike]) -> float:
        """Return the rule score in [0, 1] of a candidate's calls."""
        if len(calls) != len(self._calls):
            return 0.0
        if not calls:
            return 1.0
        candidate = [_freeze(call) for call in calls]
        if len(candidate) > 1 and _repeats(candidate):
            return 0.0
        return sum(_best(call, candidate) for call in self._calls) / len(self._calls)


def rule_score(reference: Sequence[CallLike], candidate: Sequence[CallLike]) -> float:
    """Return the rule score in [0, 1] of a candidate's calls against the reference's.

    Not symmetric where several calls share a name: the mean runs over the reference calls.
    """
    return Reference(reference).score(candidate)


def has_repeats(calls: Sequence[CallLike]) -> bool:
    """Tell whether two calls have the same name and identical arguments."""
    return _repeats([_freeze(call) for call in calls])


def _best(call: _Frozen, candidate: Sequence[_Frozen]) -> float:
    name, arguments = call
    best = 0.0
    for other, values in candidate:
        if other == name:
            best = max(best, _similarity(arguments, values))
    return best


def _similarity(left: dict[str, Hashable], right: dict[str, Hashable]) -> float:
    if left == right:
        return 1.0
    same = sum(key in right and right[key] == value for key, value in left.items())
    return same / len(left.keys() | right.keys())


def _repeats(calls: Sequence[_Frozen]) -> bool:
    return any(call in calls[:index] for index, call in enumerate(calls))


def _freeze(call: CallLike) -> _Frozen:
    return call.name, {
        # Text is most of what calls carry and stands for itself.
        key: value if type(value) is str else _frozen(value)
        for key, value in call.arguments.items()
    }


def _frozen(value: object) -> Hashable:
    """Return a hashable form; equal forms are equal JSON values and no others."""
    if isinstance(value, bool):
        return ("bool", value)  # True == 1 in Python
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)  # no JSON, but a call must equal itself
    if isinstance(value, Mapping):
        return ("object", frozenset((str(key), _frozen(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return ("array", *map(_frozen, value))
    if value is None or isinstance(value, (str, int, float)):
        return value
    return ("other", repr(value))
