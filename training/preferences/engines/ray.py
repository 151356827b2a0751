"""Many machines: the same function on Ray Data, on a cluster by RAY_ADDRESS or started here."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

with warnings.catch_warnings():
    # Ray's own use of what pydantic, numpy and its runtime announce as deprecated.
    warnings.simplefilter("ignore")
    import ray
    import ray.data

from training.preferences.chain import BATCH_ROWS, OUTPUT
from training.preferences.engines import Work

OBJECT_STORE_BYTES = 256 * 2**20
"""Of a Ray started here. Blocks beyond it spill to disk; on a cluster its own setting holds."""


class RayEngine:
    """Streams blocks through the cluster; the stage files must lie where every node sees them."""

    def __init__(self, workers: int) -> None:
        self._started = not ray.is_initialized()
        address = os.environ.get("RAY_ADDRESS")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._started and address:
                ray.init(address=address, log_to_driver=False)
            elif self._started:
                ray.init(
                    num_cpus=workers,
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # a plan for every stage

    def run(self, shards: Sequence[Path], work: Work) -> Iterator[pa.Table]:
        """Yield what `work` makes of the shards, in order.

        Raises:
            RuntimeError: If blocks come out of order; what was written is then not used.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not `read_parquet`: it lists several files in threads, which race for fsspec's module
            # for http (2.60.0, without aiohttp: "cannot import name 'HTTPFileSystem'").
            paths = [{"path": str(shard.resolve())} for shard in shards]
            files = ray.data.from_items(paths, override_num_blocks=len(paths))
            rows = files.map_batches(_read, batch_format="pyarrow", batch_size=1)
            made = rows.map_batches(
                work, batch_format="pyarrow", batch_size=BATCH_ROWS, zero_copy_batch=True
            )
            last = -1
            for table in made.iter_batches(
                batch_format="pyarrow", batch_size=None, prefetch_batches=1
            ):
                if not table.num_rows:
                    continue
                keys = table.column("key").to_pylist()
                if keys[0] < last or keys != sorted(keys):
                    raise RuntimeError("Ray Data gave blocks out of order; preserve_order is on")
                last = keys[-1]
                yield table.cast(OUTPUT)

    def close(self) -> None:
        """Stop the Ray that was started here; a cluster stays."""
        if self._started:
            ray.shutdown()


def _read(batch: pa.Table) -> pa.Table:
    """Return the rows of one shard, read where the work is."""
    return pq.read_table(batch.column("path")[0].as_py(), memory_map=False)
