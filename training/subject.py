"""What edits work on: a context with its right calls, and values to draw from."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.grounding import Evidence
from toolrm_guard.relevance import cut
from toolrm_guard.scorers.request_view import RequestView
from toolrm_guard.tools import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A candidate with its label; `error` names the edit, None for a right one."""

    candidate: Candidate
    right: bool
    error: str | None = None


@dataclass(slots=True)
class ValuePool:
    """Values that references give to arguments of a name: the right kind from another record."""

    by_name: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def learn(self, calls: Iterable[Call]) -> None:
        """Take in the values of some calls."""
        for call in calls:
            for name, value in call.arguments.items():
                if len(self.by_name[name]) < 300:
                    self.by_name[name].append(value)

    def draw(self, rng: random.Random, name: str, like: object) -> object | None:
        """Return another value of the same name and type, or None."""
        found = self.by_name.get(name, ())
        for _ in range(4):
            if found:
                value = rng.choice(found)
                if type(value) is type(like) and value != like:
                    return value
        return None


@dataclass(slots=True)
class Subject:
    """One context with its right calls, and what edits draw on."""

    request: str
    tools: ToolSet
    calls: tuple[Call, ...]
    pool: ValuePool
    rng: random.Random
    view: RequestView = field(init=False)
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        self.request = cut(self.request)
        self.view = RequestView(self.request)
        self.evidence = Evidence((self.request,))

    def spans(self) -> list[str]:
        """Return the quoted and capitalised pieces of the request."""
        found = [" ".join(self.view.surface[i] for i in span) for span in self.view.quoted]
        run: list[str] = []
        for i, word in enumerate(self.view.surface):
            if i in self.view.named:
                run.append(word)
            elif run:
                found.append(" ".join(run))
                run = []
        return list(dict.fromkeys([*found, " ".join(run)] if run else found))

    def numbers(self) -> list[float]:
        """Return the numbers of the request, whole ones as int."""
        return [int(n) if n == int(n) else n for n, _, _ in self.view.numbers if abs(n) < 1e12]


Calls = tuple[Call, ...]
Edit = Callable[[Subject], Calls | None]


NOTHING = object()


def with_arguments(call: Call, arguments: Mapping[str, Any]) -> Call:
    """Return the call with other arguments."""
    return Call(name=call.name, arguments=arguments)


def replaced(calls: Calls, index: int, arguments: Mapping[str, Any]) -> Calls:
    """Return the calls with other arguments in one of them."""
    return (*calls[:index], with_arguments(calls[index], arguments), *calls[index + 1 :])


def choice(rng: random.Random, options: Sequence[object]) -> object | None:
    """Return one of the options; None if there are none."""
    return rng.choice(options) if options else None


def is_number(value: object) -> bool:
    """Tell a number from a switch and from everything else."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fits_type(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value has the schema's declared type."""
    match schema.get("type"):
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return True
