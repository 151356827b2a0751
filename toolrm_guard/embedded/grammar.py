"""What the embedded policy may write: a grammar of schema-valid Hermes tool calls, and of text."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from toolrm_guard.errors import InvalidToolError
from toolrm_guard.tools import ToolSet

CALL_OPENER = "<tool_call>\n"

MAX_CALLS = 2
"""Calls in one turn; left alone, a small model repeats itself for ever."""

MAX_STRING_CHARS = 48
"""Longest free string (no enum, pattern or format): a small model often finds no closing quote."""

MAX_ITEMS = 4
"""Length of an array that its schema does not bound."""

MAX_TEXT_CHARS = 160
"""Length of a turn in plain text."""

_CHARACTER = r"[^{}<>\[\]\"\\\x00-\x1f]"
"""What a free string is made of. Code and markup are what the model falls into when it is lost."""

_FIRST = r"[\w/+]"
"""What a free string begins with; so it is never empty."""

_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_BOUNDING = ("enum", "const", "pattern", "format")
_LENGTHS = ("minLength", "maxLength")
_MIXED_IN = ("allOf", "$ref", "patternProperties")
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "prefixItems")


class Grammars:
    """Compiled grammars for one tokenizer; a tool set is compiled once."""

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a fast transformers tokenizer for llguidance, which takes about a second."""
        self._tokenizer: LLTokenizer = from_tokenizer(tokenizer)
        self.mask_words = (self._tokenizer.vocab_size + 31) // 32
        self._compiled = lru_cache(maxsize=32)(self._compile)

    def calls(self, tools: ToolSet) -> LLMatcher:
        """Return a fresh matcher of one to `MAX_CALLS` calls.

        Raises:
            InvalidToolError: If a schema uses what the grammar engine cannot express.
        """
        # The text is the key: a tool set has no hash, and equal schemas give equal grammars.
        return self._compiled(call_grammar(tools)).deep_copy()

    def text(self) -> LLMatcher:
        """Return a fresh matcher of a short turn in plain text, in which no tag can open."""
        return self._compiled(f"start: /[^<]{{1,{MAX_TEXT_CHARS}}}/").deep_copy()

    def _compile(self, lark: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(lark))
        if matcher.is_error():
            raise InvalidToolError(
                f"the tool schemas cannot be compiled to a grammar: {matcher.get_error()[:500]}; "
                "simplify the schema that it names"
            )
        return matcher


def call_grammar(tools: ToolSet) -> str:
    """Return the Lark grammar of one to `MAX_CALLS` calls to these tools."""
    rules = [
        f'start: call ("\\n" call){{0,{MAX_CALLS - 1}}}',
        f'call: {json.dumps(CALL_OPENER)} body "}}\\n</tool_call>"',
        "body: " + " | ".join(f"body_{index}" for index in range(len(tools))),
    ]
    for index, tool in enumerate(tools.values()):
        opening = f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": '
        schema = {**bounded(tool.parameters), "x-guidance": _JSON_STYLE}
        rules += [
            f"body_{index}: {json.dumps(opening, ensure_ascii=False)} arguments_{index}",
            f"arguments_{index}: %json {json.dumps(schema)}",
        ]
    return "\n".join(rules)


def bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a narrower schema: strings and arrays end, objects hold named properties only.

    What satisfies the result satisfies `schema` too.
    """
    result: dict[str, Any] = dict(schema)
    for key in _NAMED:
        if isinstance(schema.get(key), Mapping):
            result[key] = {name: _inner(value) for name, value in schema[key].items()}
    for key in _LISTED:
        if isinstance(schema.get(key), list):
            result[key] = [_inner(value) for value in schema[key]]
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = _inner(schema[key])
    if _is_free_string(schema):
        least = max(1, int(schema.get("minLength", 1)))
        most = max(least, min(MAX_STRING_CHARS, int(schema.get("maxLength", MAX_STRING_CHARS))))
        result = {key: value for key, value in result.items() if key not in _LENGTHS}
        result["pattern"] = f"^{_FIRST}{_CHARACTER}{{{least - 1},{most - 1}}}$"
    if schema.get("type") == "array":
        result.setdefault("maxItems", max(MAX_ITEMS, int(schema.get("minItems", 0))))
    if "properties" in schema and not any(key in schema for key in _MIXED_IN):
        result.setdefault("additionalProperties", False)
    return result


def _is_free_string(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    text = kinds == "string" or (isinstance(kinds, list) and "string" in kinds)
    return text and schema.get("maxLength") != 0 and not any(key in schema for key in _BOUNDING)


def _inner(schema: Any) -> Any:
    return bounded(schema) if isinstance(schema, Mapping) else schema
