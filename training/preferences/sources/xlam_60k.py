"""xLAM / APIGen function calling 60k: one question, one turn of one or several calls.

`tools` and `answers` are JSON in text, argument types are Python's.
"""

from collections.abc import Iterator

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.python_types import parameters_of
from training.preferences.sources.reading import adapt, read_rows
from training.preferences.sources.row import Row

HUB = "Salesforce/xlam-function-calling-60k"
LICENCE = "CC-BY-4.0"


def read(path: str | None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory of two messages a row."""
    return adapt(read_rows(path, hub=HUB), _convert)


def _convert(row: Row) -> Iterator[Trajectory]:
    query = fields.text_of(row.value, "query")
    calls = [fields.call(raw) for raw in fields.list_of(row.value, "answers")]
    key = str(row.value.get("id", row.where))
    yield Trajectory(
        id=key,
        source="xlam_60k",
        licence=LICENCE,
        tools=tuple(_tool(raw) for raw in fields.list_of(row.value, "tools")),
        messages=(fields.said("user", query), fields.said("assistant", "", calls)),
        group=f"xlam_60k:{key}",
    )


def _tool(raw: object) -> fields.Json:
    tool = fields.tool(raw)
    parameters = tool["parameters"]
    # Derived versions of the dataset hold JSON Schema already; there `type` is a text.
    if not isinstance(parameters.get("type"), str):
        tool["parameters"] = parameters_of(parameters)
    return tool
