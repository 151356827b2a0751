"""ComplexFuncBench: one request, several rounds of calls against live travel APIs, an answer."""

from collections.abc import Iterator
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

HUB = "THUDM/ComplexFuncBench"
LICENCE = "Apache-2.0"  # as its dataset card states


def read(path: str | None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a request; each result of a round is a tool message of its own."""
    return adapt(read_rows(path, hub=HUB, split="test"), _convert)


def _convert(row: Row) -> Iterator[Trajectory]:
    key = fields.text_of(row.value, "id")
    yield Trajectory(
        id=key,
        source="complexfuncbench",
        licence=LICENCE,
        tools=fields.tools(fields.list_of(row.value, "functions")),
        messages=tuple(_messages(fields.list_of(row.value, "conversations"))),
        group=f"complexfuncbench:{key}",
    )


def _messages(turns: list[Any]) -> Iterator[Json]:
    calls: list[Json] = []
    for raw in turns:
        turn = fields.mapping(raw, "a turn")
        match turn.get("role"):
            case "user":
                yield fields.said("user", fields.text_of(turn, "content"))
            case "assistant":
                calls = [fields.call(item) for item in turn.get("function_call") or ()]
                yield fields.said("assistant", turn.get("content") or "", calls)
            case "observation":
                results = fields.list_of(turn, "content")
                if len(results) != len(calls):
                    detail = f"{len(calls)} calls were answered by {len(results)} results"
                    raise BadField("result_count", detail)
                for call, result in zip(calls, results, strict=True):
                    yield fields.said("tool", fields.written(result), name=call["name"])
            case other:
                raise BadField("unknown_role", f"a turn has role {other!r}")
