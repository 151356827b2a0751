"""BUTTON: dialogs whose tools, calls and results stand in the text between tags.

The system message is a fixed template around the tools. Of it only the sentence on parallel calls
is kept, because a right answer depends on it; the rest prescribes tags that a trajectory lacks.
"""

import re
from collections.abc import Iterator
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

LICENCE = "CC-BY-4.0"

_TOOLS = re.compile(r"<tool>(.*?)</tool>", re.S)
_CALL = re.compile(r"<call>(.*?)</call>", re.S)
_FINAL = re.compile(r"<final>(.*?)(?:</final>|\Z)", re.S)
_PARALLEL = re.compile(r"You should call one function at a time[^.]*\.|If possible, you can call "
                       r"multiple functions in parallel[^.]*\.")  # fmt: skip


def read(path: str | None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a dialog; it is on GitHub only, so a path is needed."""
    return adapt(read_rows(path), _convert)


def _convert(row: Row) -> Iterator[Trajectory]:
    turns = [fields.mapping(raw, "a message") for raw in fields.list_of(row.value, "messages")]
    if not turns or turns[0].get("role") not in ("system", "systems"):
        raise BadField("no_tools", "there is no system message, which would list the tools")
    system = fields.text_of(turns[0], "content")
    parallel = _PARALLEL.search(system)
    first = [fields.said("system", parallel[0])] if parallel else []
    yield Trajectory(
        id=row.where,
        source="button",
        licence=LICENCE,
        tools=fields.tools(_listed(system)),
        messages=(*first, *(message for turn in turns[1:] for message in _messages(turn))),
        group=f"button:{row.where}",
    )


def _listed(system: str) -> list[Any]:
    found = _TOOLS.search(system)
    if found is None:
        raise BadField("no_tools", f"no <tool> block in {system[:80]!r}")
    listed = fields.literal(found[1], "the list of tools")
    return listed if isinstance(listed, list) else [listed]


def _messages(turn: Any) -> Iterator[Json]:
    content = fields.text_of(turn, "content")
    match turn.get("role"):
        case "user":
            yield fields.said("user", content)
        case "assistant":
            yield _answer(content)
        case "tool":
            results = fields.literal(content, "the results of a tool")
            for raw in results if isinstance(results, list) else [results]:
                result = fields.mapping(raw, "a result")
                text = fields.written(result.get("results"))
                yield fields.said("tool", text, name=result.get("name"))
        case other:
            raise BadField("unknown_role", f"a message has role {other!r}")


def _answer(content: str) -> Json:
    calls: list[Json] = []
    for block in _CALL.findall(content):
        parsed = fields.literal(block, "a <call> block")
        calls += [fields.call(raw) for raw in (parsed if isinstance(parsed, list) else [parsed])]
    if "<call>" in content and not calls:
        raise BadField("bad_call", f"a <call> is empty or never closed: {content[-80:]!r}")
    final = _FINAL.search(content)
    text = final[1] if final and not calls else _CALL.sub("", content)
    return fields.said("assistant", text.strip(), calls)
