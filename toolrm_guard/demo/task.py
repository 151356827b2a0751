"""What a demo task is: a request, its right calls, and how the world must look afterwards."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from toolrm_guard.demo.toolkits.toolkit import Toolkit, plain


class CallLike(Protocol):
    """Anything with a tool's name and arguments; `toolrm_guard.calls.Call` is one."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def arguments(self) -> Mapping[str, object]:
        """The arguments by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RightCall:
    """One call that a task wants, or at least allows.

    Attributes:
        name: The tool's name.
        arguments: The arguments by name. A tuple lists values that are equally right, the one of
            the reference solution first. Arguments at their default may be left out.
        optional: Whether the task can also be solved without it: a look before the deed.
    """

    name: str
    arguments: Mapping[str, object]
    optional: bool = False

    def reference(self) -> dict[str, object]:
        """Return the arguments with the first of each set of alternatives."""
        return {
            name: value[0] if isinstance(value, tuple) else value
            for name, value in self.arguments.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request to the agent over a freshly seeded toolkit.

    Attributes:
        id: Unique, `toolkit-topic`.
        toolkit: The class whose tools the agent gets.
        request: What the user says.
        right_calls: The right calls, in the order of the reference solution; none if every call
            is wrong.
        end: How the end state differs from the seeded one, as a JSON merge patch (RFC 7396) on
            `Toolkit.snapshot`: None removes a row. A tuple lists equally right values.
    """

    id: str
    toolkit: type[Toolkit]
    request: str
    right_calls: tuple[RightCall, ...] = ()
    end: Mapping[str, object] = field(default_factory=dict)

    def start(self) -> Toolkit:
        """Return a freshly seeded toolkit."""
        return self.toolkit()

    def solved(self, toolkit: Toolkit, executed: Sequence[CallLike]) -> bool:
        """Return whether the wanted change happened and nothing else changed.

        A read leaves no mark on the state, so a read that the task requires must be among the
        executed calls; and where no call is right, none may have been executed.

        Args:
            toolkit: The state the agent left behind; it came from `start`.
            executed: Every call that reached a tool, also those that raised.
        """
        if not _same(_merged(self.start().snapshot(), self.end), toolkit.snapshot()):
            return False
        if not self.right_calls:
            return not executed
        return all(
            any(_matches(self, right, call.name, call.arguments) for call in executed)
            for right in self.right_calls
            if not right.optional and self._effect(right.name) == "read"
        )

    def _effect(self, tool: str) -> object:
        return getattr(getattr(self.toolkit, tool), "effect", None)


def is_right(
    task: Task, name: str, arguments: Mapping[str, object], earlier: Sequence[CallLike]
) -> bool:
    """Return whether a call is one of the task's right calls, made for the first time.

    Case, spare whitespace and trailing punctuation do not matter, nor whether an argument at its
    default is given, nor whether a number is 50 or 50.0.

    Args:
        task: The task at hand.
        name: The called tool.
        arguments: Its arguments.
        earlier: The calls executed before this one, right or wrong.
    """
    return any(
        _matches(task, right, name, arguments)
        and not any(_matches(task, right, call.name, call.arguments) for call in earlier)
        for right in task.right_calls
    )


def _matches(task: Task, right: RightCall, name: str, arguments: Mapping[str, object]) -> bool:
    if name != right.name:
        return False
    parameters = inspect.signature(getattr(task.toolkit, name)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return _same({**defaults, **right.arguments}, {**defaults, **arguments})


def _same(wanted: object, actual: object) -> bool:
    """Return whether `actual` is `wanted`, or one of the alternatives where `wanted` is a tuple."""
    if isinstance(wanted, tuple):
        return any(_same(value, actual) for value in wanted)
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        left = {plain(key): value for key, value in wanted.items()}
        right = {plain(key): value for key, value in actual.items()}
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(wanted, str) and isinstance(actual, str):
        return plain(wanted) == plain(actual)
    # Python counts True as 1, but no tool does.
    return isinstance(wanted, bool) == isinstance(actual, bool) and wanted == actual


def _merged(state: Mapping[str, object], patch: Mapping[str, object]) -> dict[str, object]:
    """Return `state` with the merge patch applied: None removes, mappings merge, else replace."""
    merged = dict(state)
    for key, value in patch.items():
        inner = merged.get(key)
        if value is None:
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(inner, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged
