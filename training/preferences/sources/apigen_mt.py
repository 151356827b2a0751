"""APIGen-MT 5k: dialogs of several turns in the ShareGPT layout, with the domain's policy.

The same layout serves other conversions, such as Glaive's: name them by `source` and `licence`. Its
domains are those of tau-bench: keep it away from evaluations on it.
"""

from collections.abc import Iterator
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

HUB = "Salesforce/APIGen-MT-5k"


def read(
    path: str | None, *, source: str = "apigen_mt", licence: str | None = "CC-BY-NC-4.0"
) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a dialog; the policy is its system message."""

    def convert(row: Row) -> Iterator[Trajectory]:
        system = row.value.get("system")
        first = [fields.said("system", fields.text_of(row.value, "system"))] if system else []
        yield Trajectory(
            id=row.where,
            source=source,
            licence=licence,
            tools=fields.tools(fields.list_of(row.value, "tools")),
            messages=(*first, *_messages(fields.list_of(row.value, "conversations"))),
            group=f"{source}:{row.where}",
        )

    return adapt(read_rows(path, hub=HUB), convert)


def _messages(turns: list[Any]) -> Iterator[Json]:
    asked: str | None = None
    for raw in turns:
        turn = fields.mapping(raw, "a turn")
        value = fields.text_of(turn, "value")
        match turn.get("from"):
            case "human":
                yield fields.said("user", value)
            case "gpt":
                yield fields.said("assistant", value)
            case "function_call":
                calls = _calls(value)
                asked = calls[-1]["name"] if calls else None
                yield fields.said("assistant", "", calls)
            case "observation":
                yield fields.said("tool", value, name=asked)
            case other:
                raise BadField("unknown_role", f"a turn is from {other!r}")


def _calls(value: str) -> list[Json]:
    parsed = fields.literal(value, "a function_call")
    return [fields.call(raw) for raw in (parsed if isinstance(parsed, list) else [parsed])]
