"""The canonical records of the data packs: a context, its reference, and labelled model outputs.

The reference becomes the last turn. Where a record has none, the first candidate that is labelled
right stands in for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from toolrm_guard.labelled import LabelledCandidate, LabelledRecord, Turn
from training.preferences.rows import Dropped, Response, Trajectory
from training.preferences.sources.fields import BadField, Json, call, said, text_of, tools
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

LICENCES: Mapping[str, str | None] = {
    "api_bank": "Apache-2.0",
    "apollo_tau": "MIT",
    "bfcl-v4": None,  # the prompts are Apache-2.0, most of the outputs state no licence
    "complexfuncbench": None,
    "glaive_demo": "Apache-2.0",
    "mcptoolbench": None,
    "mtu_bench": "Apache-2.0",
    "nestful": "Apache-2.0",
    "seal_tools": "Apache-2.0",
    "tooltalk": "MIT",
    "ultratool": None,
}
"""By a record's source, after the packs' READMEs; None where the source states none."""


def read(path: str | None, *, licence: str | None = None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a record, whose last message is the reference.

    A candidate that the pack could not read is dropped by itself, at the stage `responses`.

    Args:
        path: A pack, or a folder of packs.
        licence: Of sources that `LICENCES` does not list.
    """

    def convert(row: Row) -> Iterator[Trajectory | Dropped]:
        record = _record(row)
        yield _trajectory(record, LICENCES.get(record.source, licence))
        for number, candidate in enumerate(record.candidates):
            if candidate.tool_calls is None:
                detail = f"{candidate.model}: {(candidate.raw or '')[:200]!r}"
                at = f"{record.id}#{number}"
                yield Dropped(stage="responses", reason="unreadable_output", id=at, detail=detail)

    return adapt(read_rows(path), convert)


def _record(row: Row) -> LabelledRecord:
    try:
        return LabelledRecord.model_validate(row.value)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadField("bad_record", f"{where}: {first['msg']}") from exc


def _trajectory(record: LabelledRecord, licence: str | None) -> Trajectory:
    messages = [*(_message(raw) for raw in record.messages), _answer(_reference(record))]
    return Trajectory(
        id=record.id,
        source=record.source,
        licence=licence,
        tools=tools(record.tools),
        messages=tuple(messages),
        targets=(len(messages) - 1,),
        recorded=tuple(_response(c) for c in record.candidates if c.tool_calls is not None),
        group=f"{record.source}:{record.group}",
    )


def _reference(record: LabelledRecord) -> Turn:
    if record.reference is not None and record.reference.tool_calls is not None:
        return record.reference
    for candidate in record.candidates:
        if candidate.correct and candidate.tool_calls is not None:
            return candidate
    raise BadField("no_reference", f"{record.id}: no reference, and no candidate labelled right")


def _answer(turn: Turn) -> Json:
    return said("assistant", turn.content or "", _calls(turn))


def _response(candidate: LabelledCandidate) -> Response:
    return Response(
        text=candidate.content or "",
        calls=tuple(_calls(candidate)),
        by=candidate.model,
        label=candidate.correct,
        error=candidate.error_type,
    )


def _calls(turn: Turn) -> list[Json]:
    return [{"name": c.name, "arguments": c.arguments} for c in turn.tool_calls or ()]


def _message(raw: Mapping[str, Any]) -> Json:
    content = raw.get("content")
    if content is not None and not isinstance(content, str):
        raise BadField("wrong_type", f"content of a message is {type(content).__name__}")
    calls = [call(item) for item in raw.get("tool_calls") or ()]
    return said(text_of(raw, "role"), content or "", calls, raw.get("name"))
