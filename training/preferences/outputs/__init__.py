"""The shapes in which pairs are written, each a pure function from a context's pairs to records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from training.preferences.config import Shape
from training.preferences.outputs import critique, openrlhf, pointwise, trl, verl
from training.preferences.rows import Pair

Record = Mapping[str, Any]
Records = Callable[[Sequence[Pair], "Place"], Iterator[tuple[str, Record]]]


class Place(Protocol):
    """Where a context's pairs stand."""

    @property
    def side(self) -> str:
        """`train` or `validation`."""
        ...

    @property
    def first(self) -> int:
        """Number of the first pair within its side."""
        ...

    @property
    def seed(self) -> int:
        """The build's seed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One shape.

    Attributes:
        records: Yields (name of the file, record) of all pairs of one context.
        schemas: The files' parquet schemas by name; None is written as gzipped JSON lines.
    """

    records: Records
    schemas: Mapping[str, pa.Schema | None]


FORMATS: Mapping[Shape, Format] = {
    "trl_explicit": Format(records=trl.explicit, schemas={"": trl.EXPLICIT}),
    "trl_implicit": Format(records=trl.implicit, schemas={"": trl.IMPLICIT}),
    "critique": Format(
        records=critique.records,
        schemas={"think": critique.SCHEMA, "no_think": critique.SCHEMA},
    ),
    "pointwise": Format(records=pointwise.records, schemas={"": None}),
    "openrlhf": Format(records=openrlhf.records, schemas={"": openrlhf.SCHEMA}),
    "verl": Format(records=verl.records, schemas={"": verl.SCHEMA}),
}
