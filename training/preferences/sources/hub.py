"""Rows through `datasets`: names on the hub, and parquet files.

Loading from the hub was never run by us: the code is written after the documentation of
`datasets` 5.2. Parquet is tested.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import datasets
import pyarrow

from toolrm_guard.errors import ConfigurationError
from training.preferences.rows import Dropped, JsonObject
from training.preferences.sources.row import Row, dropped


def hub_rows(name: str, part: str | None, split: str) -> Iterator[JsonObject]:
    """Yield the rows of a dataset on the hub, streamed.

    Raises:
        ConfigurationError: If it cannot be loaded.
    """
    try:
        rows: Any = datasets.load_dataset(name, part, split=split, streaming=True)
        for value in rows:
            yield cast("JsonObject", without_none(value))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as exc:
        raise ConfigurationError(
            f"cannot load {name!r} ({part or 'default'}, {split}) from the hub: {exc}; download "
            "its files and give their folder as the path"
        ) from exc


def parquet_rows(file: Path, name: str) -> Iterator[Row | Dropped]:
    """Yield the rows of a parquet file; what is behind a damaged place is lost and says so."""
    index = 0
    try:
        rows: Any = datasets.load_dataset(
            "parquet", data_files=str(file), split="train", streaming=True
        )
        for value in rows:
            yield Row(where=f"{name}[{index}]", value=without_none(value))
            index += 1
    except (pyarrow.ArrowException, datasets.exceptions.DatasetsError, OSError, ValueError) as exc:
        yield dropped("damaged_file", f"{name}[{index}]", f"not read from here on: {exc}")


def without_none(value: Any) -> Any:
    """Return the value without keys that are None, at any depth.

    Arrow gives every object of a column the keys of all of them: the arguments of one function
    come with those of every other as None. A null that the source really wrote is lost with them.
    """
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value
