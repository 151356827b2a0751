"""Stage files: numbered rows in parquet shards, and the manifest that says they are whole.

A stage is written into a folder of another name, which takes its own name only with the manifest
in it. So a folder with the right name is whole, and what a killed build left is never read.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHARD_ROWS = 512
"""Rows a shard; part of the format, since it must not depend on engine or workers."""

SCHEMA = pa.schema([("key", pa.int64()), ("origin", pa.int64()), ("row", pa.large_string())])
PARQUET: dict[str, Any] = {
    "compression": "zstd", "compression_level": 3, "use_dictionary": False,
    "write_statistics": False, "version": "2.6", "store_schema": False,
}  # fmt: skip
"""The writer's settings, spelled out so that no default can change the bytes."""

MANIFEST = "done.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A finished stage.

    Attributes:
        folder: Where its shards lie.
        manifest: Fingerprint, number of rows, and what the report needs of the stage.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def shards(self) -> list[Path]:
        """The shards in order."""
        return sorted(self.folder.glob("part-*.parquet"))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.manifest["rows"])


class ShardWriter:
    """Writes rows in the order in which they come, numbered from 0; memory holds one shard."""

    def __init__(self, folder: Path) -> None:
        self._final = folder
        self._folder = folder.with_name(folder.name + ".partial")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._rows: list[tuple[int, str]] = []
        self._content = hashlib.sha256()
        self.count = 0

    def add(self, row: str, origin: int = 0) -> None:
        """Append a row; `origin` is the number of the row that it was made of."""
        self._rows.append((origin, row))
        self._content.update(f"{origin}\t{row}\n".encode())
        self.count += 1
        if len(self._rows) == SHARD_ROWS:
            self._flush()

    def finish(self, fingerprint: str, report: dict[str, Any]) -> Stored:
        """Write the manifest and give the folder its name."""
        if self._rows or not self.count:
            self._flush()
        content = self._content.hexdigest()
        manifest = {"fingerprint": fingerprint, "content": content, "rows": self.count, **report}
        text = json.dumps(manifest, indent=1, sort_keys=True)
        (self._folder / MANIFEST).write_text(text + "\n", encoding="utf-8", newline="\n")
        shutil.rmtree(self._final, ignore_errors=True)
        self._folder.rename(self._final)
        # As the next run reads it: the report must not hang on which run made the stage.
        return Stored(folder=self._final, manifest=json.loads(text))

    def _flush(self) -> None:
        number, start = divmod(self.count - len(self._rows), SHARD_ROWS)
        assert start == 0
        first = number * SHARD_ROWS
        table = pa.Table.from_arrays(
            [
                pa.array(range(first, first + len(self._rows)), pa.int64()),
                pa.array([origin for origin, _ in self._rows], pa.int64()),
                pa.array([row for _, row in self._rows], pa.large_string()),
            ],
            schema=SCHEMA,
        )
        pq.write_table(table, self._folder / _shard_name(number), **PARQUET)
        self._rows = []


def finished(folder: Path, fingerprint: str) -> Stored | None:
    """Return a stage that is whole and was made in the same way; None if there is none.

    Whole: its shards are numbered without a gap and hold as many rows as the manifest says.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("fingerprint") != fingerprint:
        return None
    stored = Stored(folder=folder, manifest=manifest)
    return stored if _holds_all(stored) else None


def _holds_all(stored: Stored) -> bool:
    shards = stored.shards
    if [shard.name for shard in shards] != [_shard_name(number) for number in range(len(shards))]:
        return False
    try:
        # The footer alone: a build of ten million rows has twenty thousand shards.
        held = sum(pq.read_metadata(shard).num_rows for shard in shards)
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(shards) and held == stored.manifest.get("rows")


def _shard_name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def read_rows(shards: Sequence[Path]) -> Iterator[tuple[int, int, str]]:
    """Yield (key, origin, row) of every row, one shard in memory at a time."""
    for shard in shards:
        yield from table_rows(pq.read_table(shard, memory_map=False))


def table_rows(table: pa.Table) -> Iterator[tuple[int, int, str]]:
    """Yield (key, origin, row) of a table's rows."""
    columns = (table.column(name).to_pylist() for name in ("key", "origin", "row"))
    yield from zip(*columns, strict=True)


def rows_of(shards: Sequence[Path]) -> Iterator[str]:
    """Yield the rows alone."""
    return (row for _, _, row in read_rows(shards))
