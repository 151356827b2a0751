"""ToolAlpaca: APIs with their functions, and what was asked of them.

The training file has `Instances` with executed steps. The evaluation file has `Golden_Answers`
without results: an answer whose later calls need a result that nobody recorded is dropped, and
where the first step asks the user (`getDetails`), that question is the reference.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row, dropped

LICENCE = "Apache-2.0"

_ASK_USER = "getDetails"
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_PARAMETERS = re.compile(r"\nParameters:\s*(\{.*?\})\s*(?:\nOutput:|\Z)", re.S)
_ARGUMENT = re.compile(
    r"(?P<required>Required\.\s*)?(?P<type>[A-Za-z]+(?:[\[{(<].*?[\]})>])?)\.?\s*"
    r"(?:One of:\s*\[(?P<enum>[^\]]*)\]\.?\s*)?(?P<text>.*)",
    re.S,
)
_TYPES = {
    "string": "string", "integer": "integer", "number": "number", "boolean": "boolean",
    "array": "array", "object": "object", "float": "number", "int": "integer",
}  # fmt: skip


def read(path: str | None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory an instruction; it is on GitHub only, so a path is needed."""
    return adapt(read_rows(path), _convert)


def _convert(row: Row) -> Iterator[Trajectory | Dropped]:
    api = fields.text_of(row.value, "Name")
    tools = tuple(_tools(fields.mapping(row.value.get("Function_Description"), "the functions")))
    for number, dialog in enumerate(_dialogs(row.value)):
        at = f"{row.where}/{number}"
        try:
            messages = tuple(dialog)
        except BadField as exc:  # one instruction of an API, not the others
            yield dropped(exc.reason, at, str(exc))
            continue
        yield Trajectory(
            id=at,
            source="toolalpaca",
            licence=LICENCE,
            tools=tools,
            messages=messages,
            group=f"toolalpaca:{api}",
        )


def _dialogs(api: Mapping[str, Any]) -> list[Iterator[Json]]:
    """Return one iterator of messages an instruction; a bad instruction fails when it is read."""
    if "Instances" in api:
        return [_executed(raw) for raw in fields.list_of(api, "Instances")]
    answers, asked = fields.list_of(api, "Golden_Answers"), fields.list_of(api, "Instructions")
    if len(asked) != len(answers):
        raise BadField("answer_count", f"{len(asked)} instructions, {len(answers)} answers")
    return list(map(_golden, asked, answers))


def _tools(described: Mapping[str, Any]) -> Iterator[Json]:
    for name in described:
        if name == "components":  # OpenAPI's, no function
            continue
        text = fields.text_of(described, name)
        found = _PARAMETERS.search(text)
        arguments = fields.json_text(found[1], f"parameters of {name}") if found else {}
        yield {
            "name": name,
            "description": text.split("\nParameters:")[0],
            "parameters": _schema(fields.mapping(arguments, f"parameters of {name}")),
        }


def _schema(arguments: Mapping[str, Any]) -> Json:
    properties: Json = {}
    required = []
    for name in arguments:
        match = _ARGUMENT.fullmatch(fields.text_of(arguments, name))
        if match is None:
            properties[name] = {"description": arguments[name]}
            continue
        kind = re.split(r"[\[{(<]", match["type"])[0].lower()
        schema: Json = {"type": _TYPES[kind]} if kind in _TYPES else {"x-type": match["type"]}
        if match["enum"] is not None:
            schema["enum"] = [option.strip(" '\"") for option in match["enum"].split(",")]
        if match["text"].strip():
            schema["description"] = match["text"].strip()
        properties[name] = schema
        if match["required"]:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _executed(raw: object) -> Iterator[Json]:
    """Yield an instance of the training file: instruction, steps with results, answer."""
    instance = fields.mapping(raw, "an instance")
    yield fields.said("user", fields.text_of(instance, "input"))
    for step in fields.list_of(instance, "intermediate_steps"):
        if not (isinstance(step, list) and len(step) == 2 and isinstance(step[0], list)):
            raise BadField("bad_step", f"a step is no [[action, input, log], result]: {step!r:.80}")
        action, *given = step[0]
        yield from _step(action, given[0] if given else "", fields.written(step[1]))
    yield fields.said("assistant", fields.text_of(instance, "output"))


def _step(action: object, given: object, result: str) -> Iterator[Json]:
    if action == _ASK_USER:
        yield fields.said("assistant", _question(given))
        yield fields.said("user", result)
        return
    call = fields.call({"name": action, "arguments": given})
    yield fields.said("assistant", "", [call])
    yield fields.said("tool", result, name=call["name"])


def _golden(instruction: object, answer: object) -> Iterator[Json]:
    """Yield an instruction of the evaluation file with its golden calls as one turn."""
    if not isinstance(instruction, str) or not isinstance(answer, list) or not answer:
        raise BadField("wrong_type", "an instruction is no text, or its answer no list of actions")
    yield fields.said("user", instruction)
    actions = [fields.mapping(step, "an action") for step in answer]
    if actions[0].get("Action") == _ASK_USER:
        yield fields.said("assistant", _question(actions[0].get("Action_Input")))
        return
    for action in actions:
        given = str(action.get("Action_Input"))
        if action.get("Action") == _ASK_USER or _PLACEHOLDER.search(given):
            raise BadField("needs_result", f"a call needs what another returns: {given[:80]}")
    calls = [
        fields.call({"name": a.get("Action"), "arguments": a.get("Action_Input")}) for a in actions
    ]
    yield fields.said("assistant", "", calls)


def _question(given: object) -> str:
    try:
        asked = fields.literal(given, "a question") if isinstance(given, str) else given
    except BadField:
        return str(given)  # some questions are bare text
    question = asked.get("Question") if isinstance(asked, Mapping) else None
    return question if isinstance(question, str) else fields.written(asked)
