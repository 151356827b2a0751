"""BFCL's prompts, functions and possible answers, as `bfcl-eval` or its repository holds them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toolrm_guard import foreign
from toolrm_guard.bfcl.categories import FileName, none_right
from toolrm_guard.bfcl.lines import Line, Unread, read_lines
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.foreign import BadField, Json

_TYPES = {
    "dict": "object", "float": "number", "tuple": "array", "long": "integer", "double": "number",
    "hashmap": "object", "arraylist": "array", "set": "array", "char": "string", "byte": "integer",
    "short": "integer", "bigint": "integer",
}  # fmt: skip
_SCHEMA_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One single-turn prompt.

    Attributes:
        accept: The possible answers, `{name: {argument: allowed values}}` each; empty where no
            call is right.
        generation: Of the file that it stands in: `v1` to `v4`.
    """

    id: str
    generation: str
    tools: tuple[Json, ...]
    messages: tuple[Json, ...]
    accept: tuple[Json, ...] = field(default=())

    @property
    def calls(self) -> tuple[Json, ...]:
        """A right answer, made of the first allowed values; empty where no call is right."""
        return tuple(first_values(self.accept))


def prompt_folder(path: str | Path | None = None) -> Path:
    """Return the folder with BFCL's prompts; None takes those of the installed `bfcl-eval`.

    Raises:
        ConfigurationError: If it is neither given nor installed.
    """
    spec = find_spec("bfcl_eval") if path is None else None
    installed = spec.submodule_search_locations if spec else None
    folder = Path(installed[0], "data") if installed else Path(path or "").expanduser()
    if not folder.is_dir() or (path is None and not installed):
        raise ConfigurationError(
            f"no BFCL prompts at {str(path) if path else None!r}: install bfcl-eval (without its "
            "dependencies), or give the folder of its BFCL_v*_*.json files as `prompts`"
        )
    return folder


def read_prompts(folder: Path, category: str) -> Iterator[Prompt | Unread]:
    """Yield the prompts of a category, with their possible answers."""
    answers: dict[str, Any] = {}
    for _, row in category_lines(folder / "possible_answer", category):
        if isinstance(row, Line):
            answers[str(row.value.get("id"))] = row.value.get("ground_truth")
    for file, row in category_lines(folder, category):
        if isinstance(row, Unread):
            yield row
            continue
        try:
            yield _prompt(row.value, answers, file)
        except BadField as exc:
            key = str(row.value.get("id", row.where))
            yield Unread(where=key, reason=exc.reason, detail=str(exc))


def category_lines(folder: Path, category: str) -> Iterator[tuple[FileName, Line | Unread]]:
    """Yield the rows of a category's files in a folder, by the name of the file."""
    for path in sorted(folder.glob("*.json")):
        name = FileName.parse(path.name)
        if name is not None and name.kind == "prompts" and name.category == category:
            for row in read_lines(path):
                yield name, row


def _prompt(raw: Mapping[str, Any], answers: Mapping[str, Any], file: FileName) -> Prompt:
    key = foreign.text_of(raw, "id")
    turns = question_turns(raw.get("question"))
    if len(turns) > 1:
        raise BadField("multi_turn", f"{key} has {len(turns)} turns, which must be executed")
    functions = raw.get("function")
    listed = functions if isinstance(functions, list) else [functions]
    without = none_right(file.category, file.generation)
    if not without and file.category.endswith("relevance"):
        raise BadField("no_reference", f"{key}: any relevant call is right, none is named")
    if not without and key not in answers:
        raise BadField("no_reference", f"{key} has no possible answer")
    return Prompt(
        id=key,
        generation=file.generation,
        tools=tuple(json_schema_tool(function) for function in listed),
        messages=turns[0] if turns else (),
        accept=() if without else tuple(answer_list(answers[key])),
    )


def question_turns(question: Any) -> list[tuple[Json, ...]]:
    """Return the messages of each turn: v1 asks in text, v2 in messages, later ones in turns.

    Raises:
        BadField: `wrong_type` or `missing_field`.
    """
    turns = question if isinstance(question, list) else [{"role": "user", "content": question}]
    if not turns or not isinstance(turns[0], list):
        turns = [turns]
    return [
        tuple(
            foreign.said(foreign.text_of(said, "role"), foreign.text_of(said, "content"))
            for said in (foreign.mapping(item, "a message") for item in turn)
        )
        for turn in turns
    ]


def json_schema_tool(raw: object) -> Json:
    """Return a function with its parameters as JSON Schema.

    Raises:
        BadField: `bad_tool`.
    """
    tool = foreign.tool(raw)
    return {**tool, "parameters": json_schema(tool["parameters"])}


def json_schema(schema: Any) -> Any:
    """Return BFCL's schema as JSON Schema: `dict` is an object, `any` no constraint."""
    if not isinstance(schema, Mapping):
        return schema
    turned = dict(schema)
    kind = turned.get("type")
    if isinstance(kind, str):
        known = _TYPES.get(kind.lower(), kind.lower())
        if known in _SCHEMA_TYPES:
            turned["type"] = known
        else:
            del turned["type"]
            turned |= {} if known == "any" else {"x-type": kind}
    if isinstance(turned.get("properties"), Mapping):
        turned["properties"] = {k: json_schema(v) for k, v in turned["properties"].items()}
    if "items" in turned:
        turned["items"] = json_schema(turned["items"])
    return turned


def answer_list(truth: Any) -> list[Json]:
    """Return possible answers one call each; v1 holds one object for several functions.

    Where v1 asks for several calls of one function it numbers them (`f_1`, `f_2`); what the name
    is then depends on the tools, so those answers stay with the generation that wrote them.

    Raises:
        BadField: `wrong_type`.
    """
    if isinstance(truth, list):
        return [dict(foreign.mapping(item, "an answer")) for item in truth]
    return [{name: allowed} for name, allowed in foreign.mapping(truth, "an answer").items()]


def first_values(accept: Sequence[Mapping[str, Any]]) -> Iterator[Json]:
    """Yield calls with the first allowed value of each argument; "" allows to leave it out.

    Raises:
        BadField: `wrong_type`.
    """
    for item in accept:
        for name, arguments in item.items():
            given = foreign.mapping(arguments, "the arguments of an answer")
            chosen = {key: _first(allowed) for key, allowed in given.items() if not _free(allowed)}
            yield {"name": name, "arguments": chosen}


def _free(allowed: Any) -> bool:
    return isinstance(allowed, list) and (not allowed or "" in allowed[:1])


def _first(allowed: Any) -> Any:
    value = allowed[0] if isinstance(allowed, list) and allowed else allowed
    if isinstance(value, Mapping):
        return {key: _first(inner) for key, inner in value.items() if not _free(inner)}
    if isinstance(value, list):
        return [_first([item]) if isinstance(item, Mapping) else item for item in value]
    return value
