"""A promotion gate: `accuracy>=base and false_block<=0.02`.

    gate       := comparison, joined by `and` and `or`; parentheses as usual
    comparison := sum (`<` | `<=` | `>` | `>=`) sum, chained at will
    sum        := numbers and names, joined by `+`, `-` and `*`

`base` stands for the baseline's value of the one name that stands beside it in its comparison. A
comparison with a value that does not exist (no turn has a known outcome) does not hold.

Python's own parser reads it, and nothing but the nodes above is ever evaluated.
"""

import ast
import difflib
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.replay.comparison import Comparison
from toolrm_guard.replay.names import BASE, NAMES, WITH_BASE

_MAX_CHARS = 1_000
_MAX_DEPTH = 50

_Values = Mapping[str, float | None]
_COMPARE: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_COMBINE: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


class GateError(ConfigurationError):
    """A gate's expression cannot be read; the message says where and what it may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a gate is passed.

    Attributes:
        passed: Whether the whole expression holds.
        lines: Each comparison with its values, as text.
    """

    passed: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """A parsed gate."""

    text: str
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """Read an expression.

        Raises:
            GateError: If it is empty, too long, no such expression, or names what is not known.
        """
        if len(text) > _MAX_CHARS:
            raise GateError(f"the gate has {len(text):,} characters; {_MAX_CHARS:,} are enough")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise GateError(f"gate {_short(text)} is no expression: {exc}. {_EXAMPLE}") from exc
        _check_condition(tree, text, 0)
        return cls(text, tree)

    def check(self, found: Comparison) -> Verdict:
        """Return whether a replay passes."""
        values, base = _values(found), _base_values(found)
        lines = tuple(
            f"{'holds' if _holds(node, values, base) else 'fails'}: {_shown(node, values, base)}"
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Compare)
        )
        return Verdict(passed=_holds(self._tree, values, base), lines=lines)


_EXAMPLE = "Write e.g. 'accuracy>=base and false_block<=0.02'"


def _check_condition(node: ast.expr, text: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise GateError(f"gate {_short(text)} is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _check_condition(value, text, depth + 1)
    elif isinstance(node, ast.Compare):
        for op in node.ops:
            if type(op) not in _COMPARE:
                raise _refused(node, text, "compare with <, <=, > or >=")
        for side in (node.left, *node.comparators):
            _check_value(side, text, depth + 1)
        _check_base(node, text)
    else:
        raise _refused(node, text, "a gate is made of comparisons, joined by `and` and `or`")


def _check_value(node: ast.expr, text: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise GateError(f"gate {_short(text)} is nested deeper than {_MAX_DEPTH} levels")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if abs(value) > 1e9:
                raise _refused(node, text, "numbers are at most 1e9")
        case ast.Name(id=name):
            if name not in NAMES and name != BASE:
                near = difflib.get_close_matches(name, [*NAMES, BASE], n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise GateError(
                    f"gate {_short(text)} names {name[:40]!r}, which is unknown; {hint}"
                    f"known: {', '.join([*NAMES, BASE])}"
                )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMBINE:
            _check_value(left, text, depth + 1)
            _check_value(right, text, depth + 1)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check_value(operand, text, depth + 1)
        case _:
            raise _refused(node, text, "values are numbers and names, with +, - and *")


def _check_base(node: ast.Compare, text: str) -> None:
    names = set(_names(node))
    if BASE in names and (len(names) != 2 or not names & set(WITH_BASE)):
        raise GateError(
            f"gate {_short(text)}: `base` is the baseline's value of the one name it is compared "
            f"with; compare it with one of {', '.join(WITH_BASE)}"
        )


def _holds(node: ast.expr, values: _Values, base: _Values) -> bool:
    if isinstance(node, ast.BoolOp):
        every = all if isinstance(node.op, ast.And) else any
        return every(_holds(value, values, base) for value in node.values)
    assert isinstance(node, ast.Compare)
    known = _with_base(node, values, base)
    sides = [_value(side, known) for side in (node.left, *node.comparators)]
    return all(
        left is not None and right is not None and _COMPARE[type(op)](left, right)
        for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
    )


def _value(node: ast.expr, known: _Values) -> float | None:
    match node:
        case ast.Name(id=name):
            return known[name]
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]  # checked when it was parsed
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, known)
            return inner if inner is None or isinstance(op, ast.UAdd) else -inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, known), _value(right, known)
            return None if a is None or b is None else _COMBINE[type(op)](a, b)
    raise AssertionError(ast.dump(node))  # nothing else passes the check


def _with_base(node: ast.Compare, values: _Values, base: _Values) -> _Values:
    for name in _names(node):
        if name in base:
            return {**values, BASE: base[name]}
    return values


def _shown(node: ast.Compare, values: _Values, base: _Values) -> str:
    known = _with_base(node, values, base)
    told = [
        f"{name} {'does not exist' if known[name] is None else format(known[name], '.4g')}"
        for name in dict.fromkeys(_names(node))
    ]
    return ast.unparse(node) + (f" ({', '.join(told)})" if told else "")


def _names(node: ast.expr) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _values(found: Comparison) -> dict[str, float | None]:
    low, high = found.interval or (None, None)
    return {
        **{name: getattr(found.new, name) for name in WITH_BASE},
        "changed": len(found.changes) / found.judged if found.judged else None,
        "unjudged": 1 - found.judged / found.reviews if found.reviews else None,
        "known": found.known,
        "gained": found.gained if found.known else None,
        "lost": found.lost if found.known else None,
        "p_value": found.p_value,
        "difference": found.difference,
        "difference_low": low,
        "difference_high": high,
    }


def _base_values(found: Comparison) -> dict[str, float | None]:
    return {name: getattr(found.base, name) for name in WITH_BASE}


def _refused(node: ast.expr, text: str, rule: str) -> GateError:
    try:
        part = ast.unparse(node)
    except RecursionError:  # a thousand characters can nest deep enough
        part = text
    return GateError(f"gate {_short(text)}: {_short(part)} is not allowed; {rule}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
