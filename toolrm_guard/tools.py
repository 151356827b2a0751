"""Tools in one form, read from OpenAI schemas, LangChain tools, pydantic models or callables."""

import datetime
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar, cast, get_args

import jsonschema
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, ConfigDict, create_model
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from toolrm_guard.errors import InvalidToolError

Effect = Literal["read", "write", "destructive"]
"""What executing a tool does to the world: nothing, something, something not easily undone."""

_log = logging.getLogger(__name__)

_F = TypeVar("_F", bound=Callable[..., Any])

FORMATS = FormatChecker(formats=["date", "email", "ipv4", "ipv6", "uuid", "regex"])
"""The formats that are checked; any other one is a remark."""


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.datetime.fromisoformat(value))


@FORMATS.checks("time", raises=ValueError)
def _is_time(value: object) -> bool:
    # time.fromisoformat("00:00") is falsy in no version we support, but be explicit.
    return not isinstance(value, str) or datetime.time.fromisoformat(value) is not None


def effect(kind: Effect) -> Callable[[_F], _F]:
    """Mark a function with its effect class, for `ToolSet.of` and the policy.

    Raises:
        InvalidToolError: If `kind` is none of read, write, destructive.
    """
    _check_effect("decorated function", kind)

    def mark(function: _F) -> _F:
        function.effect = kind  # type: ignore[attr-defined]  # functions carry attributes
        return function

    return mark


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One function that the model may call.

    Attributes:
        name: Unique within its `ToolSet`.
        description: What the model reads.
        parameters: JSON Schema (draft 2020-12) of the arguments object.
        effect: The effect class its author stated; None leaves it to the policy.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    effect: Effect | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidToolError(f"a tool has no name (description {self.description!r})")
        if self.effect is not None:
            _check_effect(self.name, self.effect)
        try:
            Draft202012Validator.check_schema(self.parameters)
        except jsonschema.SchemaError as exc:
            where = "/".join(str(part) for part in exc.absolute_path) or "the top level"
            raise InvalidToolError(
                f"tool {self.name!r}: parameters are not valid JSON Schema at {where}: "
                f"{exc.message}; correct the schema before the agent starts"
            ) from exc
        self._check_references()

    def _check_references(self) -> None:
        resource = DRAFT202012.create_resource(self.parameters)
        resolver = Registry().with_resource("", resource).resolver()
        for reference in _references(self.parameters):
            try:
                resolver.lookup(reference)
            except Unresolvable as exc:
                raise InvalidToolError(
                    f"tool {self.name!r}: $ref {reference!r} does not resolve inside its own "
                    "schema; inline it or put it under $defs (nothing is fetched)"
                ) from exc

    @cached_property
    def validator(self) -> Draft202012Validator:
        """The compiled validator; its registry is empty, so that no $ref reaches the network."""
        return Draft202012Validator(
            dict(self.parameters), registry=Registry(), format_checker=FORMATS
        )

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        """The schemas of the named arguments."""
        return cast("Mapping[str, Any]", self.parameters.get("properties") or {})

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the required arguments."""
        return tuple(self.parameters.get("required") or ())

    def schema(self) -> dict[str, Any]:
        """Return the OpenAI function schema, with the effect class as `x-effect` if stated."""
        stated = {} if self.effect is None else {"x-effect": self.effect}
        return {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
            **stated,
        }

    @classmethod
    def parse(cls, raw: object) -> "Tool":
        """Read one tool.

        Raises:
            InvalidToolError: If the shape is unknown or the schema is not valid.
        """
        if isinstance(raw, Tool):
            return raw
        if isinstance(raw, Mapping):
            return cls._from_schema(cast("Mapping[str, Any]", raw))
        if isinstance(raw, type) and issubclass(raw, BaseModel):
            return cls(
                name=raw.__name__,
                description=inspect.getdoc(raw) or "",
                parameters=_arguments_schema(raw),
                effect=getattr(raw, "effect", None),
            )
        if hasattr(raw, "tool_call_schema") and hasattr(raw, "name"):
            return cls._from_langchain(raw)
        if callable(raw):
            return cls._from_callable(raw)
        raise InvalidToolError(
            f"cannot read a tool from {type(raw).__name__}; pass an OpenAI function schema, "
            "a LangChain tool, a pydantic model class or a callable"
        )

    @classmethod
    def _from_schema(cls, raw: Mapping[str, Any]) -> "Tool":
        function = raw.get("function")
        inner = cast("Mapping[str, Any]", function) if isinstance(function, Mapping) else raw
        parameters = inner.get("parameters", inner.get("input_schema"))  # input_schema: Anthropic
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidToolError(
                f"tool {inner.get('name')!r}: parameters are {type(parameters).__name__}, "
                "not a JSON Schema object"
            )
        return cls(
            name=str(inner.get("name") or ""),
            description=str(inner.get("description") or ""),
            parameters=parameters or {"type": "object", "properties": {}},
            effect=inner.get("x-effect", raw.get("x-effect")),
        )

    @classmethod
    def _from_langchain(cls, raw: Any) -> "Tool":
        schema = raw.tool_call_schema  # leaves out injected arguments, which no model writes
        parameters = schema if isinstance(schema, Mapping) else _arguments_schema(schema)
        metadata = raw.metadata or {}
        stated = metadata.get("effect", getattr(getattr(raw, "func", None), "effect", None))
        return cls(
            name=raw.name, description=raw.description or "", parameters=parameters, effect=stated
        )

    @classmethod
    def _from_callable(cls, function: Callable[..., Any]) -> "Tool":
        fields: dict[str, Any] = {}
        signature = inspect.signature(function, eval_str=True)
        name = getattr(function, "__name__", type(function).__name__)
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (annotation, default)
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        return cls(
            name=name,
            description=(inspect.getdoc(function) or "").split("\n\n")[0],
            parameters=_arguments_schema(model),
            effect=getattr(function, "effect", None),
        )


class ToolSet(Mapping[str, Tool]):
    """The tools offered to the model, by name, in the order they were given."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """Index the tools.

        Raises:
            InvalidToolError: If two share a name.
        """
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise InvalidToolError(
                    f"two tools are called {tool.name!r}; rename one, since a call names its tool "
                    "by this alone"
                )
            self._tools[tool.name] = tool

    @classmethod
    def of(cls, tools: "Sequence[object] | ToolSet", *, lenient: bool = False) -> "ToolSet":
        """Read any mix of OpenAI schemas, LangChain tools, pydantic models and callables.

        Args:
            tools: The tools.
            lenient: Whether a named tool with an invalid schema is logged and takes any arguments,
                for agents whose tools come from servers that nobody here can correct.

        Raises:
            InvalidToolError: If a tool cannot be read, is invalid, or shares its name.
        """
        if isinstance(tools, ToolSet):
            return tools
        return cls(_leniently(tool) if lenient else Tool.parse(tool) for tool in tools)

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def schemas(self) -> list[dict[str, Any]]:
        """Return every tool as an OpenAI function schema."""
        return [tool.schema() for tool in self.values()]


def _leniently(raw: object) -> Tool:
    try:
        return Tool.parse(raw)
    except InvalidToolError as exc:
        fields = raw if isinstance(raw, Mapping) else {"name": getattr(raw, "name", None)}
        inner = fields.get("function")
        name = (inner if isinstance(inner, Mapping) else fields).get("name")
        if not isinstance(name, str) or not name:
            raise
        _log.error("%s; its arguments are not checked", exc)
        return Tool(name=name, description="", parameters={"type": "object"})


def _check_effect(name: str, kind: object) -> None:
    if kind not in get_args(Effect):
        known = ", ".join(get_args(Effect))
        raise InvalidToolError(f"tool {name!r}: effect {kind!r} is none of {known}")


def _references(schema: object) -> Iterator[str]:
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            reference = item.get("$ref")
            if isinstance(reference, str):
                yield reference
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _arguments_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema without what the tool says already."""
    schema = _untitled(model.model_json_schema())
    schema.pop("description", None)
    return schema


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop pydantic's generated titles: tokens that tell the model nothing."""
    trimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs"):
            value = {name: _untitled(inner) for name, inner in value.items()}
        elif key == "items" and isinstance(value, dict):
            value = _untitled(value)
        elif key == "anyOf":
            value = [_untitled(inner) for inner in value]
        trimmed[key] = value
    return trimmed


def words(identifier: str) -> str:
    """Split an identifier into lower-case words: `getUserById` and `get_user.by-id` read alike."""
    spaced = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^0-9A-Za-z]+", " ", identifier
    )
    return " ".join(spaced.lower().split())
