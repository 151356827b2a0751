"""Writing sources for tests, and taking apart what adapters yield."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources import open_source


def lines(path: Path, *rows: object) -> str:
    """Write JSONL; a row that is text or bytes stands as it is."""
    with path.open("wb") as file:
        for row in rows:
            text = row if isinstance(row, (str, bytes)) else json.dumps(row)
            file.write((text if isinstance(text, bytes) else text.encode()) + b"\n")
    return str(path)


def array(path: Path, *rows: object) -> str:
    """Write one JSON array."""
    path.write_text(json.dumps(rows, indent=1))
    return str(path)


def taken(name: str, path: str | None, **options: Any) -> tuple[list[Trajectory], list[Dropped]]:
    """Return what a source yields, apart."""
    return apart(open_source(name, path, **options))


def apart(items: Iterable[Trajectory | Dropped]) -> tuple[list[Trajectory], list[Dropped]]:
    """Return trajectories and what was dropped."""
    everything = list(items)
    return (
        [item for item in everything if isinstance(item, Trajectory)],
        [item for item in everything if isinstance(item, Dropped)],
    )


def reasons(dropped: Iterable[Dropped]) -> list[tuple[str, str]]:
    """Return where and why."""
    return [(item.id, item.reason) for item in dropped]


BAKE: dict[str, Any] = {
    "name": "bake",
    "description": "Bake something.",
    "parameters": {
        "type": "object",
        "properties": {"what": {"type": "string"}, "minutes": {"type": "integer"}},
        "required": ["what"],
    },
}
CALL: dict[str, Any] = {"name": "bake", "arguments": {"what": "bread", "minutes": 40}}
