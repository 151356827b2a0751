"""Join the selected links with their contexts and write every shape, one context at a time."""

import dataclasses
import gzip
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from toolrm_guard.errors import GuardError
from training.preferences.balance import intensity_bin
from training.preferences.codec import context_from_json
from training.preferences.config import BuildConfig
from training.preferences.outputs import FORMATS
from training.preferences.pairs import Link
from training.preferences.rows import Context, Pair
from training.preferences.scoring import is_edit, rule_scores
from training.preferences.shards import PARQUET, Stored, read_rows


class LostRowsError(GuardError):
    """Stages do not fit together: a pair has no context."""


GROUP_ROWS = 256
"""Records a row group: part of the format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a context's pairs stand; see `outputs.Place`."""

    side: str
    first: int
    seed: int


def joined(contexts: Stored, selected: Stored) -> Iterator[tuple[str, list[Pair]]]:
    """Yield (side, pairs) of every context that has selected pairs, in the order of contexts.

    Both files rise by the number of the context, so neither is held in memory.
    """
    links = groupby(read_rows(selected.shards), key=lambda row: row[1])
    wanted = next(links, None)
    seen: Counter[str] = Counter()
    for key, _, text in read_rows(contexts.shards):
        if wanted is None:
            return
        if wanted[0] != key:
            continue
        context = _unique(context_from_json(text), seen)
        rows = [row.split("\t", 1) for _, _, row in wanted[1]]
        yield rows[0][0], [_pair(context, Link.from_json(link)) for _, link in rows]
        wanted = next(links, None)


def write_shapes(
    contexts: Stored, selected: Stored, config: BuildConfig, folder: Path
) -> dict[str, Any]:
    """Write every shape below `folder`; return the counts that the card is made of.

    The folder takes its name, and the place of an older one, when all is written.

    Raises:
        LostRowsError: If the stages do not hold the context of every selected pair.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stats = Stats(config.balance.bins)
    counts: Counter[str] = Counter()
    files: dict[str, _File] = {}
    try:
        for side, pairs in joined(contexts, selected):
            place = Standing(side=side, first=counts[side], seed=config.seed)
            counts[side] += len(pairs)
            for pair in pairs:
                stats.add(pair, side)
            for shape in config.output.shapes:
                for name, record in FORMATS[shape].records(pairs, place):
                    path = f"{shape}/{name}/{side}" if name else f"{shape}/{side}"
                    if path not in files:
                        schema = FORMATS[shape].schemas[name]
                        files[path] = (
                            _Lines(partial / path)
                            if schema is None
                            else _Rows(partial / path, schema)
                        )
                    files[path].add(record)
    finally:
        for file in files.values():
            file.close()
    if counts.total() != selected.rows:
        raise LostRowsError(
            f"{counts.total():,} pairs were written, {selected.rows:,} were selected: stage files "
            f"below {selected.folder.parent} have changed; remove that folder and build again"
        )
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return stats.as_json()


class Stats:
    """Counts of the dataset, all in fixed order."""

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._counts: dict[str, Counter[str]] = {}
        self._licences: dict[str, set[str | None]] = {}
        self._tools: dict[str, set[str]] = {"train": set(), "validation": set()}
        self._held_sets: Counter[frozenset[str]] = Counter()

    def add(self, pair: Pair, side: str) -> None:
        """Count a pair."""
        source = pair.context.source
        bin_ = str(intensity_bin(pair.intensity, self._bins))
        self._licences.setdefault(source, set()).add(pair.context.licence)
        offered = frozenset(str(tool["name"]) for tool in pair.context.tools)
        self._tools[side] |= offered
        if side == "validation":
            self._held_sets[offered] += 1
        decided = _decided_by(pair)
        if decided != "rule":
            by_label = self._counts.setdefault("label_by_source", Counter())
            by_label[source] += 1
        natural = "edit" if is_edit(pair.rejected) else "natural"
        for name, value in (
            ("side", side),
            ("source", source),
            ("validation_by_source" if side == "validation" else "train_by_source", source),
            ("natural_by_source" if natural == "natural" else "edit_by_source", source),
            ("intensity", bin_),
            ("complexity", str(pair.complexity)),
            ("rejected", natural),
            ("error", f"{natural}: {pair.rejected.error or 'unnamed'}"),
            ("chosen_by", pair.chosen.by),
            ("decided_by", decided),
            ("rejected_by", "edit" if natural == "edit" else pair.rejected.by),
        ):
            self._counts.setdefault(name, Counter())[value] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the counts, most frequent first, and the licences."""
        counts = {
            name: dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
            for name, counter in sorted(self._counts.items())
        }
        licences = {
            source: sorted(found, key=lambda name: (name is None, name or ""))
            for source, found in sorted(self._licences.items())
        }
        return {"counts": counts, "licences": licences, "tools": self._tool_overlap()}

    def _tool_overlap(self) -> Mapping[str, int]:
        train, held = self._tools["train"], self._tools["validation"]
        sets = self._held_sets.items()
        return {
            "train": len(train),
            "validation": len(held),
            "in_both": len(train & held),
            "validation_pairs_with_a_tool_of_train": sum(n for names, n in sets if names & train),
        }


def _decided_by(pair: Pair) -> str:
    """Say whether a source's label made the chosen side right, and what the rule alone says."""
    chosen, rejected = rule_scores(pair.context, pair.chosen, pair.rejected)
    if pair.chosen.score == chosen:
        return "rule"
    return "label, rule agrees" if chosen > rejected else "label, rule sees no such difference"


class _Rows:
    """A parquet file under way; memory holds one row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._rows: list[Any] = []
        self._writer = pq.ParquetWriter(path.with_suffix(".parquet"), schema, **PARQUET)

    def add(self, record: Any) -> None:
        self._rows.append(record)
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


class _Lines:
    """A gzipped JSONL file under way, without name and time in its header."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._raw = path.with_suffix(".jsonl.gz").open("wb")
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0, compresslevel=6)
        self._file = io.BufferedWriter(cast("Any", zipped))

    def add(self, record: Any) -> None:
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        self._file.write(line.encode("utf-8") + b"\n")

    def close(self) -> None:
        self._file.close()
        cast("BinaryIO", self._raw).close()


_File = _Rows | _Lines


def _unique(context: Context, seen: Counter[str]) -> Context:
    """Return the context under an id of its own, should a source have given one twice."""
    seen[context.id] += 1
    if seen[context.id] == 1:
        return context
    return dataclasses.replace(context, id=f"{context.id}~{seen[context.id]}")


def _pair(context: Context, link: Link) -> Pair:
    chosen, rejected = context.responses[link.chosen], context.responses[link.rejected]
    return Pair(
        id=f"{context.id}:{link.chosen}>{link.rejected}",
        context=context,
        chosen=chosen,
        rejected=rejected,
        intensity=link.intensity,
        complexity=link.complexity,
    )
