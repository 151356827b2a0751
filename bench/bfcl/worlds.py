"""BFCL's multi-turn tools, executed: the world a dialog acts on, and whether a turn did its job.

The tools are those of the installed `bfcl-eval`; nothing a model wrote is evaluated as code: a call
is looked up by name and given its literal arguments. A turn is right as the official multi-turn
checker sees it: after it the public state of every tool equals that after the reference's calls,
and every result of the reference's calls is among the results so far.
"""

import ast
import copy
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from toolrm_guard.bfcl.lines import Line, read_lines
from toolrm_guard.bfcl.prompts import json_schema_tool
from toolrm_guard.errors import ConfigurationError, MissingExtraError
from toolrm_guard.foreign import BadField, Json, list_of, mapping

TOOL_TIMEOUT_S = 2.0
"""A call that takes longer is an error: `power(base=9, exponent=10**9)` would not come back."""

Classes = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The tools: their classes by name, and the files that describe their functions."""

    classes: Classes
    documents: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call with literal arguments."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()


@dataclass(slots=True)
class World:
    """The tools of one dialog with their state.

    Attributes:
        tools: Instances by the name of their class.
        results: What every call so far returned, as text.
    """

    tools: dict[str, Any]
    results: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, classes: Classes, involved: Sequence[str], config: Mapping[str, Any]) -> "World":
        """Return the world as a dialog finds it.

        Raises:
            BadField: `unknown_tool_class`.
        """
        tools = {}
        for name in involved:
            if name not in classes:
                known = ", ".join(sorted(classes))
                raise BadField("unknown_tool_class", f"no tool class {name!r}; known are {known}")
            tools[name] = classes[name]()
            if hasattr(tools[name], "_load_scenario"):
                tools[name]._load_scenario(copy.deepcopy(config.get(name, {})), long_context=False)
        return cls(tools)

    def branch(self) -> "World":
        """Return a copy that can go on by itself."""
        return World(copy.deepcopy(self.tools), list(self.results))

    def run(self, steps: Sequence[Step]) -> list[str]:
        """Execute calls one after another; return their results, which are also kept."""
        found = [self._run(step) for step in steps]
        self.results += found
        return found

    def _run(self, step: Step) -> str:
        method = None
        for tool in self.tools.values():
            if not step.name.startswith("_") and callable(getattr(tool, step.name, None)):
                method = getattr(tool, step.name)
        if method is None:
            return f"Error during execution: there is no tool {step.name!r}"
        try:
            with _at_most(TOOL_TIMEOUT_S):
                value = method(
                    *copy.deepcopy(step.positional), **copy.deepcopy(dict(step.arguments))
                )
        except Exception as exc:  # noqa: BLE001  # tools raise anything on bad arguments
            return f"Error during execution: {exc}"
        if isinstance(value, str):
            return value
        try:
            return json.dumps(value) if isinstance(value, dict) else str(value)
        except (TypeError, ValueError):  # some return objects inside
            return str(value)

    def state_matches(self, expected: "World") -> bool:
        """Tell whether every public attribute of the expected world's tools has the same value."""
        return all(
            getattr(self.tools[name], key, None) == value
            for name, tool in expected.tools.items()
            for key, value in vars(tool).items()
            if not key.startswith("_")
        )

    def has_results(self, expected: Sequence[str]) -> bool:
        """Tell whether every expected result is there, as often as expected, in any order."""
        left = list(self.results)
        for result in expected:
            if result not in left:
                return False
            left.remove(result)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """One multi-turn prompt.

    Attributes:
        turns: What the user says in each turn.
        truth: The reference's calls of each turn.
    """

    id: str
    generation: str
    turns: tuple[tuple[Json, ...], ...]
    truth: tuple[tuple[Step, ...], ...]
    involved: tuple[str, ...]
    config: Mapping[str, Any]
    tools: tuple[Json, ...]

    def world(self, classes: Classes) -> World:
        """Return the world as the dialog finds it."""
        return World.start(classes, self.involved, self.config)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so long; off the main thread, where no signal arrives, never."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    handler = signal.signal(signal.SIGALRM, _stop)
    # Whoever runs this may have a timer of their own; it goes on afterwards.
    before = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def _stop(_number: int, _frame: object) -> None:
    raise TimeoutError(f"no result after {TOOL_TIMEOUT_S} s")


def installed_backend() -> Backend:
    """Return the tools of the installed `bfcl-eval`.

    Raises:
        MissingExtraError: If `bfcl_eval` or what its tools import is not installed.
    """
    name = "bfcl_eval.constants.executable_backend_config"
    try:
        config = import_module(name)
        documents: Mapping[str, str] = config.MULTI_TURN_FUNC_DOC_FILE_MAPPING
        classes = {
            key: getattr(import_module(module), key)
            for key, module in config.CLASS_FILE_PATH_MAPPING.items()
            if not key.startswith(("WebSearch", "Memory"))  # they need the network, or models
        }
    except ImportError as exc:
        raise MissingExtraError(
            f"the multi-turn tools cannot be imported ({exc}): pip install --no-deps bfcl-eval, "
            "and mpmath"
        ) from exc
    return Backend(classes=classes, documents=documents)


def functions_of(
    folder: Path, documents: Mapping[str, str], involved: Sequence[str], excluded: Sequence[str]
) -> tuple[Json, ...]:
    """Return the functions that a dialog offers, parameters as JSON Schema.

    Raises:
        BadField: `unknown_tool_class` or `bad_tool`.
        ConfigurationError: If a file is not there.
    """
    found = []
    for name in involved:
        if name not in documents:
            raise BadField("unknown_tool_class", f"no functions are known for {name!r}")
        for line in read_lines(folder / "multi_turn_func_doc" / documents[name]):
            if not isinstance(line, Line):
                raise ConfigurationError(f"{line.where}: {line.detail}")
            tool = json_schema_tool(line.value)
            if tool["name"] not in excluded:
                found.append(tool)
    return tuple(found)


def truth_of(row: Mapping[str, Any]) -> tuple[tuple[Step, ...], ...]:
    """Return the reference's calls of each turn.

    Raises:
        BadField: If one is not a call with literal arguments.
    """
    return tuple(
        tuple(_parsed(str(text)) for text in turn)
        for turn in list_of(mapping(row, "an answer"), "ground_truth")
    )


def _parsed(text: str) -> Step:
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("not a call of one function")
        return Step(
            name=node.func.id,
            positional=tuple(ast.literal_eval(item) for item in node.args),
            arguments={k.arg or "": ast.literal_eval(k.value) for k in node.keywords},
        )
    except (ValueError, SyntaxError) as exc:
        raise BadField("bad_answer", f"a reference call cannot be read ({exc}): {text!r}") from exc
