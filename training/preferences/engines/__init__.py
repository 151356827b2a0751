"""Where the row stages run: worker processes of `datasets`, or Ray Data.

An engine takes shards and a `Chain`, and yields what the chain makes of them in the order of the
shards. It knows nothing of stages, and its batches may be cut anywhere between rows.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from toolrm_guard.errors import MissingExtraError

EngineName = Literal["local", "ray"]
Work = Callable[[pa.Table], pa.Table]


class Engine(Protocol):
    """Runs a function over the rows of shards."""

    def run(self, shards: Sequence[Path], work: Work) -> Iterator[pa.Table]:
        """Yield tables of `chain.OUTPUT` in the order of the input rows."""
        ...

    def close(self) -> None:
        """Give back what the engine holds."""
        ...


def make_engine(name: EngineName, workers: int, scratch: Path) -> Engine:
    """Return an engine; `scratch` is a folder that it may fill and must empty.

    Raises:
        MissingExtraError: If the engine's packages are not installed.
    """
    try:
        if name == "local":
            from training.preferences.engines.local import LocalEngine

            return LocalEngine(workers, scratch)
        from training.preferences.engines.ray import RayEngine

        return RayEngine(workers)
    except ImportError as exc:
        extra = "train" if name == "local" else "ray"
        raise MissingExtraError(
            f"engine {name!r} needs {exc.name!r}; pip install 'toolrm-guard[{extra}]'"
        ) from exc
