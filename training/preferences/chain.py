"""The stages that look at one row at a time, as one picklable function over a batch.

Whatever an engine is, it gives batches of (key, row) to a `Chain` and gets back rows, drops and
counts. All that is written follows from these, so no engine can change the output.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from training.preferences import (
    codec,
    difficulty,
    faults,
    normalise,
    pairs,
    references,
    roles,
    sampling,
    schemas,
    scoring,
    segment,
)
from training.preferences.config import BuildConfig
from training.preferences.rows import Dropped

Step = Callable[[Any], Iterable[Any]]
ChainName = Literal["clean", "sample", "score", "pairs"]
Kind = Literal["row", "drop", "count"]

OUTPUT = pa.schema(
    [
        ("key", pa.int64()), ("kind", pa.string()), ("row", pa.large_string()),
    ]
)  # fmt: skip

BATCH_ROWS = 64
"""Rows that a worker gets at a time: contexts can be 100 KB each."""

UNITS: Mapping[str, tuple[str, str]] = {
    "normalise": ("trajectories", "trajectories"),
    "schemas": ("trajectories", "trajectories"),
    "roles": ("trajectories", "trajectories"),
    "faults": ("trajectories", "trajectories"),
    "segment": ("trajectories", "contexts"),
    "references": ("contexts", "contexts"),
    "sample": ("contexts", "contexts"),
    "rule_score": ("contexts", "contexts"),
    "difficulty": ("contexts", "contexts"),
    "pairs": ("contexts", "pairs"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Some consecutive stages.

    Attributes:
        name: Which.
        config: The build's configuration; workers get it whole.
        draws: For `sample`: the samplers that run in workers.
        first: For `sample`: whether these are the first samplers.
    """

    name: ChainName
    config: BuildConfig
    draws: tuple[sampling.Draw, ...] = ()
    first: bool = False

    def steps(self) -> list[tuple[str, Step]]:
        """Return the stages by name, in order."""
        config = self.config
        if self.name == "clean":
            return [
                ("normalise", normalise.normalise),
                ("schemas", schemas.schemas),
                ("roles", roles.roles),
                ("faults", faults.faults),
                ("segment", segment.segment),
                ("references", references.references),
            ]
        if self.name == "sample":
            draw = partial(
                sampling.sample,
                draws=self.draws,
                seed=config.seed,
                recorded=not self.first or config.samplers[0].name == "recorded",
            )
            return [("sample", draw)]
        if self.name == "score":
            score = partial(
                scoring.score_responses, include_reference=config.pairs.include_reference
            )
            return [("rule_score", score), ("difficulty", difficulty.difficulty)]
        link = partial(
            pairs.pairs,
            edits_chosen=config.pairs.edits_chosen,
            max_complexity=config.pairs.max_complexity,
            max_per_context=config.pairs.max_per_context,
            seed=config.seed,
        )
        return [("pairs", link)]

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows that the stages make of a batch, in order, with drops and counts."""
        decode = codec.trajectory_from_json if self.name == "clean" else codec.context_from_json
        out: list[tuple[int, Kind, str]] = []
        steps = self.steps()
        counts: dict[tuple[str, str], int] = {}
        keys, texts = batch.column("key").to_pylist(), batch.column("row").to_pylist()
        for key, text in zip(keys, texts, strict=True):
            for kind, made in _run(steps, decode(text), counts):
                out.append((key, kind, made))
        for (stage, what), number in sorted(counts.items()):
            out.append((keys[-1], "count", f"{stage}\t{what}\t{number}"))
        arrays = [pa.array(column, field.type) for column, field in _columns(out)]
        return pa.Table.from_arrays(arrays, schema=OUTPUT)


def _columns(out: list[tuple[int, Kind, str]]) -> Iterator[tuple[list[Any], Any]]:
    for index, field in enumerate(OUTPUT):
        yield [row[index] for row in out], field


def _run(
    steps: list[tuple[str, Step]], row: Any, counts: dict[tuple[str, str], int]
) -> Iterator[tuple[Kind, str]]:
    """Send one row through the stages; yield drops as they occur, then what is left."""
    rows = [row]
    for name, step in steps:
        made = []
        for item in rows:
            counts[name, "in"] = counts.get((name, "in"), 0) + 1
            for result in _guarded(name, step, item):
                if isinstance(result, Dropped):
                    yield "drop", codec.to_json(result)
                else:
                    counts[name, "out"] = counts.get((name, "out"), 0) + 1
                    made.append(result)
        rows = made
    for item in rows:
        yield "row", item.to_json() if isinstance(item, pairs.Link) else codec.to_json(item)


def _guarded(name: str, step: Step, item: Any) -> Iterator[Any]:
    """Run a stage; a row that is nested beyond the interpreter's stack is dropped, not fatal."""
    try:
        yield from step(item)
    except RecursionError:
        yield Dropped(stage=name, reason="too_deep", id=item.id, detail="nested too deeply")
