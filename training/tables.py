"""Data sets as rows of named fields, from parquet or JSON lines; what does not fit is refused."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from toolrm_guard.errors import ConfigurationError

Row = dict[str, Any]


class DatasetError(ConfigurationError):
    """A data set does not fit its trainer; the message names what is missing and the remedy."""


def read_table(path: Path, fields: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a file.

    Args:
        path: `.parquet`, or JSON objects one a line, plain or gzipped.
        fields: What every row must have.

    Raises:
        DatasetError: If the file cannot be read, has no rows, or lacks a field.
    """
    rows = _parquet(path) if path.suffix == ".parquet" else _json_lines(path)
    number = 0
    for number, row in enumerate(rows, 1):
        missing = [name for name in fields if row.get(name) is None]
        if missing:
            raise DatasetError(
                f"{path}: row {number} has no {', '.join(missing)} (fields: "
                f"{', '.join(sorted(row))}); this trainer needs {', '.join(fields)}, which "
                "`python -m training.preferences build` writes"
            )
        yield row
    if not number:
        raise DatasetError(f"{path} has no rows")


def digest_of(paths: Sequence[Path]) -> str:
    """Return the sha256 of the files' names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _parquet(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=512):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as exc:
        raise DatasetError(f"{path}: {exc}; give a parquet file or JSON lines") from exc


def _json_lines(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            for number, line in enumerate(file, 1):  # read after the loop fails
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DatasetError(f"{path}:{number}: not a JSON object")
                yield cast("Row", row)
    except (OSError, EOFError, ValueError) as exc:
        if isinstance(exc, DatasetError):
            raise
        raise DatasetError(
            f"{path}:{number + 1}: {exc}; give a parquet file or JSON lines"
        ) from exc
