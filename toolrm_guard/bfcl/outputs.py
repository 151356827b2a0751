"""Calls out of what models wrote for BFCL: tool calls, tags, JSON, or Python call syntax.

More lenient than the benchmark's own decoders: code fences, missing brackets and several notations
are read. Nothing is executed; values are Python literals or JSON. A call inside prose is neither an
answer in text nor a turn that an agent could execute, and counts as unreadable.
"""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolrm_guard import foreign
from toolrm_guard.foreign import BadField, Json

MAX_CHARS = 100_000
"""A longer output is not decoded: Python's parser takes memory out of proportion."""

_DECLINED = "out_of_domain"
"""What Raven "calls" to say that no function fits."""

_TAGS = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.S)
_FENCE = re.compile(r"```[a-z]*\n?(.*?)```", re.S)
_CALL_IN_PROSE = re.compile(r"[\"']arguments[\"']\s*:|</?tool_call>")
_OPENED = re.compile(r"(\[?)\s*([A-Za-z_][\w.]*)\s*\(")
_CALL_SYNTAX = re.compile(r"\[?\s*[A-Za-z_][\w.]*\s*\(.*\)\s*\]?\s*;?", re.S)


def decode(result: object, names: Sequence[str]) -> tuple[str, list[Json]]:
    """Return the text and the calls of an output; text alone is an answer without a call.

    Args:
        result: A list of `{name: "json arguments"}`, or text.
        names: Of the offered tools: FC modes write `a_b` for `a.b`, which is undone.

    Raises:
        BadField: `unreadable_output` if it holds something like a call that cannot be read.
    """
    try:
        text, calls = _decoded(result, names)
    except (BadField, ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as exc:
        raise BadField("unreadable_output", f"{exc}: {str(result)[:120]!r}") from exc
    dotted = {_underscored(name): name for name in names}
    for call in calls:
        if call["name"] not in names:
            call["name"] = dotted.get(call["name"], call["name"])
    if _DECLINED not in names and [call["name"] for call in calls] == [_DECLINED]:
        return str(result).strip(), []
    return text, calls


def _decoded(result: object, names: Sequence[str]) -> tuple[str, list[Json]]:
    if isinstance(result, list) and result and all(isinstance(part, str) for part in result):
        result = "\n".join(result)  # Gemini's answers in text
    if isinstance(result, list):
        return "", list(_listed(result))
    if not isinstance(result, str):
        raise ValueError(f"a result is {type(result).__name__}, expected text or a list")
    if len(result) > MAX_CHARS:
        raise ValueError(f"{len(result):,} characters; {MAX_CHARS:,} are decoded")
    # Some templates open the thought in the prompt, so that only its end is in the output.
    text = result.rpartition("</think>")[2].strip()
    if "<think>" in text:
        raise ValueError("a thought without an end")
    tagged = _TAGS.findall(text)
    if tagged:
        calls = [call for block in tagged for call in _from_json(block)]
        return _TAGS.sub("", text).strip(), calls
    fence = _FENCE.fullmatch(text)
    bare = (fence[1] if fence else text).strip()
    if re.match(r"[\[{]\s*(?:[\"'{]|\])", bare):
        parsed = foreign.literal(bare, "a call")
        if isinstance(parsed, list) and parsed and all(isinstance(p, str) for p in parsed):
            return _decoded(parsed, names)
        return "", list(_from_json(bare))
    begun = _OPENED.match(bare)  # what was cut off is no text either
    if begun and (begun[1] or begun[2] in names or _CALL_SYNTAX.fullmatch(bare)):
        return "", list(_from_python(bare))
    if text.startswith("```"):
        raise ValueError("code that is no call")
    if _CALL_IN_PROSE.search(text) or _mentions_call(text, names):
        raise ValueError("a call inside prose")
    return text, []


def _mentions_call(text: str, names: Sequence[str]) -> bool:
    """Tell whether an offered name is followed by its arguments, written in any way."""
    spelt = "|".join(re.escape(n) for name in names for n in (name, _underscored(name)))
    return bool(spelt) and re.search(rf"(?:{spelt})(?:\(|[\"']\s*:)", text) is not None


def _underscored(name: str) -> str:
    return re.sub(r"[^\w-]", "_", name)


def _listed(result: list[Any]) -> Iterator[Json]:
    """Yield FC calls: `{name: arguments}` each, or OpenAI's form."""
    for item in result:
        named = foreign.mapping(item, "a call")
        if "name" in named or "function" in named:
            yield foreign.call(_with_arguments(named))
        else:
            for name, arguments in named.items():
                yield foreign.call({"name": name, "arguments": arguments})


def _with_arguments(named: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call with its arguments; fields of another name may hold them, unread.

    Raises:
        ValueError: If there are other fields than those of a call, and no arguments.
    """
    unknown = named.keys() - {"name", "function", "id", "type", "index"}
    if "arguments" not in named and "function" not in named and unknown:
        raise ValueError(f"a call with {', '.join(sorted(map(str, unknown)))} and no arguments")
    return named


def _from_json(text: str) -> Iterator[Json]:
    parsed = foreign.literal(text.strip(), "a call")
    if isinstance(parsed, Mapping) and isinstance(parsed.get("tool_calls"), list):
        parsed = parsed["tool_calls"]
    for raw in parsed if isinstance(parsed, list) else [parsed]:
        named = raw
        if isinstance(raw, Mapping) and "arguments" not in raw and "parameters" in raw:
            named = {"name": raw.get("name"), "arguments": raw["parameters"]}
        yield from _listed([named])


def _from_python(text: str) -> Iterator[Json]:
    """Yield the calls of `[f(a=1), g.h(b='x')]`, with or without the brackets, `;` between."""
    source = text.strip().rstrip(";")
    with warnings.catch_warnings():  # '\d' in an output is no mistake of this program
        warnings.simplefilter("ignore")
        tree = ast.parse(source if source.startswith("[") else f"[{_commas(source)}]", mode="eval")
    if not isinstance(tree.body, ast.List):
        raise ValueError("not a list of calls")
    for node in tree.body.elts:
        if not isinstance(node, ast.Call) or node.args:
            raise ValueError("not a call with named arguments")
        arguments = {k.arg: _value(k.value) for k in node.keywords if k.arg is not None}
        yield {"name": ast.unparse(node.func), "arguments": foreign.plain(arguments)}


def _commas(source: str) -> str:
    return re.sub(r"\)\s*[;\n]\s*(?=[A-Za-z_][\w.]*\s*\()", "), ", source)


def _value(node: ast.expr) -> Any:
    """Return a literal; what JSON spells in its own way (`true`, `null`) is understood."""
    if isinstance(node, ast.Name) and node.id in ("true", "false", "null"):
        return json.loads(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    return ast.literal_eval(node)
