"""Calls and candidates: what a model proposes, in one canonical form.

Model output is hostile input. Whatever cannot be read (malformed JSON, 10 MB of arguments, a
thousand levels of nesting) becomes a `Call` with a `defect`, never an exception: a defective call
is reported as a finding and can never be approved.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from toolrm_guard.errors import InvalidConversationError

MAX_ARGUMENT_CHARS = 200_000
"""Canonical arguments longer than this are a defect: no tool call needs them, and hashing,
validating and storing them would hold up the agent."""

MAX_ITEMS = 2_000
"""Keys and list items in the arguments of one call; every check is at least linear in them."""

MAX_CALLS = 64
"""Calls in one turn; what comes after is a defect."""

MAX_DEPTH = 64
"""Far below the interpreter's recursion limit, so that no library underneath can overflow."""

MAPPING = (dict, Mapping)
"""For `isinstance` on hot paths: a dict is known at once, an abstract class asks its registry."""

_ATOMS = (str, int, float)

DefectCode = Literal["malformed_arguments", "oversized_arguments", "too_deep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Why the arguments of a call could not be taken as they are."""

    code: DefectCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One function name with its arguments.

    Attributes:
        name: The tool's name as the model wrote it.
        arguments: The arguments; empty when `defect` is set.
        id: The provider's call id, absent in data that has none. Not part of the identity.
        defect: Set when the arguments could not be read.
        canonical: Compact JSON of name and arguments with sorted keys; equal calls have equal text.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = field(default=None, compare=False)
    defect: Defect | None = None
    canonical: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        depth, items = _extent(self.arguments)
        if self.defect is None and depth > MAX_DEPTH:
            self._reject("too_deep", f"arguments are nested deeper than {MAX_DEPTH} levels")
        elif self.defect is None and items > MAX_ITEMS:
            self._reject("oversized_arguments", f"arguments hold more than {MAX_ITEMS:,} items")
        canonical = canonical_json({"arguments": self.arguments, "name": self.name})
        if len(canonical) > MAX_ARGUMENT_CHARS:
            self._reject("oversized_arguments", _oversized(len(canonical)))
        if self.defect is not None:
            # Never equal to a sound call: an approval for `f({})` must not cover an unreadable `f`.
            canonical = canonical_json({"defect": self.defect.code, "name": self.name[:200]})
        object.__setattr__(self, "canonical", canonical)

    def _reject(self, code: DefectCode, message: str) -> None:
        object.__setattr__(self, "arguments", {})
        object.__setattr__(self, "defect", Defect(code=code, message=message))

    @property
    def digest(self) -> str:
        """Sha256 of the canonical form, in hex: what an approval is bound to."""
        return hashlib.sha256(self.canonical.encode("utf-8", "surrogatepass")).hexdigest()

    @classmethod
    def parse(cls, raw: object) -> "Call":
        """Read a call from an OpenAI tool call, a LangChain one, or `{"name", "arguments"}`.

        A call without a name, or with unreadable arguments, has a defect.

        Raises:
            InvalidConversationError: If it has none of these shapes.
        """
        if isinstance(raw, Call):
            return raw
        fields = _as_mapping(raw, ("id", "function", "name", "arguments"))
        function = fields.get("function")
        inner = _as_mapping(function, ("name", "arguments")) if function is not None else fields
        name = inner.get("name")
        arguments, defect = _read_arguments(inner.get("arguments", inner.get("args")))
        if not isinstance(name, str):
            name, arguments, defect = "", {}, _malformed("the call names no tool")
        call_id = fields.get("id")
        return cls(
            name=name,
            arguments=arguments,
            id=call_id if isinstance(call_id, str) else None,
            defect=defect,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One proposed assistant turn: zero or more calls, and its text. No call is a candidate too."""

    text: str = ""
    calls: tuple[Call, ...] = ()

    @property
    def canonical(self) -> str:
        """Order-free canonical form of the calls; every text-only turn has the same, empty one."""
        return "\n".join(sorted(call.canonical for call in self.calls))

    @classmethod
    def parse(cls, raw: object) -> "Candidate":
        """Read a candidate from text, an OpenAI assistant message or a LangChain `AIMessage`.

        Raises:
            InvalidConversationError: If the shape is none of these.
        """
        if isinstance(raw, Candidate):
            return raw
        if isinstance(raw, str):
            return cls(text=raw)
        fields = _as_mapping(raw, ("content", "tool_calls", "invalid_tool_calls"))
        # LangChain keeps what it could not parse apart; for us it is a call with a defect.
        proposed = [*(fields.get("tool_calls") or ()), *(fields.get("invalid_tool_calls") or ())]
        return cls(
            text=content_text(fields.get("content")),
            calls=tuple(
                call if index < MAX_CALLS else _one_too_many(call)
                for index, call in enumerate(map(Call.parse, proposed))
            ),
        )


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=repr)


def canonical_json(value: object) -> str:
    """Return compact ASCII JSON with sorted keys; what JSON lacks is written by its repr.

    ASCII keeps lone surrogates as escapes, so the text can always be encoded and hashed.
    """
    try:
        return _ENCODER.encode(value)
    except TypeError:  # keys of mixed types cannot be sorted; JSON would write them as text anyway
        return _ENCODER.encode(_text_keys(value))


def content_text(content: object) -> str:
    """Return the text of a message's content: a string, or the text blocks of a list."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        blocks = (b if isinstance(b, str) else _block_text(b) for b in content)
        return "\n".join(text for text in blocks if text)
    return str(content)


def _block_text(block: object) -> str:
    text = block.get("text") if isinstance(block, Mapping) else None
    return text if isinstance(text, str) else ""


def _as_mapping(raw: object, known: Sequence[str]) -> Mapping[str, Any]:
    """View a dict, a pydantic model or a plain object (LangChain, openai) as a mapping."""
    if isinstance(raw, MAPPING):
        return cast("Mapping[str, Any]", raw)
    found = {key: getattr(raw, key) for key in known if hasattr(raw, key)}
    if not found:
        raise InvalidConversationError(
            f"cannot read {_short(raw)}: expected an OpenAI-style dict, a LangChain message, "
            "or a Candidate"
        )
    return found


def _read_arguments(raw: object) -> tuple[Mapping[str, Any], Defect | None]:
    """Return the arguments as a mapping, or an empty one and the reason."""
    if raw is None:
        return {}, None
    if isinstance(raw, MAPPING):
        return cast("Mapping[str, Any]", raw), None
    if not isinstance(raw, str):
        return {}, _malformed(f"arguments are {type(raw).__name__}, not a JSON object")
    if not raw.strip():
        return {}, None
    if len(raw) > MAX_ARGUMENT_CHARS:
        return {}, Defect(code="oversized_arguments", message=_oversized(len(raw)))
    try:
        parsed = json.loads(raw)
    except RecursionError:
        message = f"arguments are nested deeper than {MAX_DEPTH} levels"
        return {}, Defect(code="too_deep", message=message)
    except ValueError as exc:
        return {}, _malformed(f"arguments are not JSON ({exc}): {_short(raw)}")
    if not isinstance(parsed, dict):
        return {}, _malformed(f"arguments are a JSON {type(parsed).__name__}, not an object")
    return parsed, None


def _oversized(chars: int) -> str:
    return f"arguments hold {chars:,} characters; {MAX_ARGUMENT_CHARS:,} are allowed"


def _one_too_many(call: Call) -> Call:
    message = f"the turn holds more than {MAX_CALLS} calls"
    defect = Defect(code="oversized_arguments", message=message)
    return Call(name=call.name, id=call.id, defect=defect)


def _malformed(message: str) -> Defect:
    return Defect(code="malformed_arguments", message=message)


def _extent(value: Mapping[str, Any]) -> tuple[int, int]:
    """Return how deep containers nest and how many items they hold, counted up to the limits.

    Without recursion; a cycle is too deep, and parts that are shared are visited once a level.
    """
    level: list[object] = [value]
    items = 0
    for depth in range(MAX_DEPTH + 1):
        children: dict[int, object] = {}
        for item in level:
            inside = item.values() if isinstance(item, MAPPING) else item
            items += len(cast("Sized", inside))
            if items > MAX_ITEMS:
                return depth, items
            for child in cast("Iterable[object]", inside):
                if not isinstance(child, _ATOMS) and isinstance(child, (*MAPPING, list, tuple)):
                    children[id(child)] = child
        if not children:
            return depth, items
        level = list(children.values())
    return MAX_DEPTH + 1, items


def _text_keys(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _text_keys(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_text_keys(item) for item in value]
    return value


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
