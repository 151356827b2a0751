"""One machine: `datasets.Dataset.map` with worker processes."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import pyarrow as pa

from training.preferences.chain import BATCH_ROWS, OUTPUT
from training.preferences.engines import Work

CHUNK_SHARDS = 16
"""Shards mapped at a time: `datasets` keeps input and output of a map as memory-mapped files, and
this bounds them, whatever the size of the stage."""


class LocalEngine:
    """Maps chunk after chunk; one worker means no process of its own."""

    def __init__(self, workers: int, scratch: Path) -> None:
        self._workers = workers
        self._scratch = scratch

    def run(self, shards: Sequence[Path], work: Work) -> Iterator[pa.Table]:
        """Yield what `work` makes of the shards, in order."""
        datasets.disable_progress_bars()
        for start in range(0, len(shards), CHUNK_SHARDS):
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir(parents=True)
            yield from self._chunk(shards[start : start + CHUNK_SHARDS], work)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def close(self) -> None:
        """Remove the scratch folder."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _chunk(self, shards: Sequence[Path], work: Work) -> Iterator[pa.Table]:
        rows = datasets.Dataset.from_parquet(
            [str(shard) for shard in shards], cache_dir=str(self._scratch)
        )
        if not len(rows):
            return
        mapped = rows.with_format("arrow").map(
            work,
            batched=True,
            batch_size=BATCH_ROWS,
            num_proc=min(self._workers, len(rows)) if self._workers > 1 else None,
            remove_columns=rows.column_names,
            features=datasets.Features.from_arrow_schema(OUTPUT),
            load_from_cache_file=False,
            cache_file_name=str(self._scratch / "mapped.arrow"),
            # Hashing the function would say nothing: the cache is thrown away.
            new_fingerprint="0" * 16,
        )
        for batch in mapped.with_format("arrow").iter(batch_size=1024):
            yield batch.cast(OUTPUT)
