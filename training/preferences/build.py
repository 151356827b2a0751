"""A build: stage after stage, each stored whole before the next begins.

    read -> clean -> sample -> score -> pairs -> balance -> split -> shapes, card, report

A stage's fingerprint covers its settings, the code and the content of the stage before, so a killed
build goes on after its last finished stage, and a changed key makes the first stage that it touches
new. A stage that lost requests to models is asked again.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from toolrm_guard.calls import canonical_json
from toolrm_guard.errors import ConfigurationError
from training.preferences import card, sampling
from training.preferences.balance import balance, columns_of, tie_break
from training.preferences.chain import Chain
from training.preferences.codec import context_from_json, to_json
from training.preferences.config import BuildConfig
from training.preferences.engines import Engine
from training.preferences.funnel import Tally, funnel, funnel_table, is_lost, problems
from training.preferences.inputs import Input
from training.preferences.pairs import Link
from training.preferences.rows import Context, Dropped
from training.preferences.samplers.base import requests_made
from training.preferences.shards import ShardWriter, Stored, finished, read_rows, rows_of
from training.preferences.sources import open_source
from training.preferences.split import split
from training.preferences.writing import write_shapes


@dataclass(kw_only=True)
class Build:
    """One run.

    Attributes:
        config: What to do.
        inputs: The sources' files.
        out: Folder of the dataset; stages lie below it.
        engine: Where row stages run.
        console: Where progress is shown.
    """

    config: BuildConfig
    inputs: list[Input]
    out: Path
    engine: Engine
    console: Console
    _stored: list[Stored] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Build, write everything, and return the report."""
        self._refuse_a_strange_folder()
        self._announce()
        self._stage("read", self._read_settings(), self._read)
        self._chain("clean", {}, Chain(name="clean", config=self.config))
        self._sample()
        pairs = self.config.pairs
        reference = {"include_reference": pairs.include_reference}
        contexts = self._chain("score", reference, Chain(name="score", config=self.config))
        settings = {**pairs.model_dump(), "seed": self.config.seed}
        self._chain("pairs", settings, Chain(name="pairs", config=self.config))
        seed = {"seed": self.config.seed}
        self._stage("balance", {**self.config.balance.model_dump(), **seed}, self._balance)
        selected = self._stage("split", {**self.config.split.model_dump(), **seed}, self._split)
        return self._finish(contexts, selected)

    # --- stages ---------------------------------------------------------------------------------

    def _stage(
        self, name: str, settings: object, make: Callable[[ShardWriter, Tally], dict[str, Any]]
    ) -> Stored:
        """Return a stored stage, made now unless it is there already."""
        before = self._stored[-1].manifest["content"] if self._stored else ""
        fingerprint = hashlib.sha256(
            canonical_json([name, settings, _code_digest(), before]).encode("utf-8")
        ).hexdigest()
        folder = self.out / "stages" / f"{len(self._stored)}-{name}"
        stored = finished(folder, fingerprint)
        if stored is not None and _lost_requests(stored):
            stored = None  # ask again for what is missing; what was answered is cached
        started = time.monotonic()
        if stored is None:
            writer, tally = ShardWriter(folder), Tally()
            extra = make(writer, tally)
            stored = writer.finish(fingerprint, {**tally.as_json(), **extra})
            note = f" in {time.monotonic() - started:.0f} s"
        else:
            note = " (from the last run)"
        self.console.print(f"  {folder.name}: {stored.rows:,} rows{note}")
        self._stored.append(stored)
        return stored

    def _chain(self, name: str, settings: object, chain: Chain) -> Stored:
        before = self._stored[-1]

        def make(writer: ShardWriter, tally: Tally) -> dict[str, Any]:
            # `datasets` cannot read a parquet file without rows.
            shards = before.shards if before.rows else []
            for table in self.engine.run(shards, chain) if shards else ():
                columns = (table.column(c).to_pylist() for c in ("key", "kind", "row"))
                for key, kind, row in zip(*columns, strict=True):
                    if kind == "row":
                        writer.add(row, key)
                    elif kind == "drop":
                        tally.drop(Dropped(**json.loads(row)))
                    else:
                        stage, what, number = row.split("\t")
                        tally.count(stage, what, int(number))
            return {}

        with self._progress(name):
            return self._stage(name, settings, make)

    def _read(self, writer: ShardWriter, tally: Tally) -> dict[str, Any]:
        with self._progress("read"):
            for entry in self.inputs:
                source = entry.source
                for row in open_source(source.name, entry.path, **source.options):
                    tally.read(entry.shown, row)
                    if not isinstance(row, Dropped):
                        writer.add(to_json(row))
        return {}

    def _sample(self) -> None:
        """Run the samplers, those of the workers on the engine, the others here."""
        before = self._stored[-1]
        settings: list[object] = [self.config.seed]
        draws = sampling.make_draws(
            self.config, lambda: map(context_from_json, rows_of(before.shards))
        )
        self._announce_requests(draws, before.rows)
        made = 0
        for number, together in enumerate(sampling.batches(draws)):
            entries = self.config.samplers[made : made + len(together)]
            made += len(together)
            stage_settings = [*settings, number, [entry.model_dump() for entry in entries]]
            if together[0].many:
                self._stage(
                    "sample", stage_settings, self._driver_sampling(together[0], number == 0)
                )
            else:
                chain = Chain(
                    name="sample", config=self.config, draws=tuple(together), first=number == 0
                )
                self._chain("sample", stage_settings, chain)

    def _driver_sampling(
        self, draw: sampling.Draw, first: bool
    ) -> Callable[[ShardWriter, Tally], dict[str, Any]]:
        before = self._stored[-1]

        def make(writer: ShardWriter, tally: Tally) -> dict[str, Any]:
            def given() -> Iterator[Context]:
                for context in map(context_from_json, rows_of(before.shards)):
                    yield sampling.starting(context, self.config) if first else context

            with self._progress(f"sample: {draw.sampler.name}"):
                for row in sampling.sample_in_driver(given, draw, self.config.seed):
                    if isinstance(row, Dropped):
                        tally.drop(row)
                        continue
                    tally.count("sample", "in")
                    tally.count("sample", "out")
                    # One row in, one row out, so the number is the same.
                    writer.add(to_json(row), writer.count)
            if requests := requests_made(draw.sampler):
                tally.count("sample", "requests", requests)
            return {}

        return make

    def _balance(self, writer: ShardWriter, tally: Tally) -> dict[str, Any]:
        before, config = self._stored[-1], self.config.balance
        links = map(Link.from_json, rows_of(before.shards))
        columns = columns_of(
            (
                (x.source, x.intensity, x.complexity, x.natural,
                 tie_break(x.id, self.config.seed), x.content)
                for x in links
            ),
            config.bins,
        )  # fmt: skip
        chosen = balance(columns, config)
        wanted = iter(chosen.rows.tolist())
        following = next(wanted, None)
        for key, origin, row in read_rows(before.shards):
            if key == following:
                writer.add(row, origin)
                following = next(wanted, None)
        tally.count("balance", "in", before.rows)
        tally.count("balance", "out", writer.count)
        left = before.rows - chosen.duplicates - writer.count
        dropped = (
            ("duplicate_pair", chosen.duplicates, "the same pair again"),
            ("not_sampled", left, "the target is reached"),
        )
        return {
            "groups": {name: list(counts) for name, counts in chosen.groups.items()},
            # Counted at once: there may be ten million.
            "drops": [
                {"stage": "balance", "reason": reason, "count": count,
                 "example": {"id": "", "detail": detail}}
                for reason, count, detail in dropped if count
            ],
        }  # fmt: skip

    def _split(self, writer: ShardWriter, tally: Tally) -> dict[str, Any]:
        before = self._stored[-1]
        rows = list(read_rows(before.shards))  # bounded by the target
        links = [Link.from_json(row) for _, _, row in rows]
        made = split(links, self.config.split.validation, self.config.seed)
        for side, (_, origin, row) in zip(made.sides, rows, strict=True):
            writer.add(f"{side}\t{row}", origin)
        tally.count("split", "in", len(rows))
        tally.count("split", "out", len(rows))
        return {
            "split": {
                "validation": made.sides.count("validation"),
                "components": made.components,
                "largest": {"pairs": made.largest[0], "sources": list(made.largest[1])},
                "without_validation": dict(made.without_validation),
            }
        }

    # --- end ------------------------------------------------------------------------------------

    def _finish(self, contexts: Stored, selected: Stored) -> dict[str, Any]:
        self._forget_other_stages()
        # Report and card speak of the data beside them, so they go before it changes.
        for name in _SPEAKS_OF_DATA:
            (self.out / name).unlink(missing_ok=True)
        with self._progress("shapes"):
            started = time.monotonic()
            data = write_shapes(contexts, selected, self.config, self.out / "data")
        self.console.print(f"  shapes in {time.monotonic() - started:.0f} s")
        manifests = [stored.manifest for stored in self._stored]
        stages = funnel(manifests)
        found = problems(stages, self.config.max_lost_share)
        if not selected.rows:
            found.append("no pair is left; see what the stages dropped")
        report = {
            "whole": not found,
            "problems": found,
            "notes": _notes(self.config, selected, data["counts"]),
            "config": self.config.model_dump(mode="json"),
            "inputs": [{"path": i.shown, "sha256": i.sha256} for i in self.inputs],
            "sources": manifests[0].get("sources", {}),
            "funnel": stages,
            "balance": next(m["groups"] for m in manifests if "groups" in m),
            "split": selected.manifest["split"],
            "dataset": data,
        }
        card.write_card(report, self.out)
        text = json.dumps(report, indent=1, ensure_ascii=False)
        partial = self.out / "report.json.partial"
        partial.write_text(text + "\n", encoding="utf-8", newline="\n")
        partial.rename(self.out / "report.json")  # last: a folder with a report is whole
        self.console.print(funnel_table(stages))
        return report

    def _refuse_a_strange_folder(self) -> None:
        """Raise ConfigurationError if the folder holds what no build made: `data` is replaced."""
        found = self.out.iterdir() if self.out.is_dir() else ()
        strange = sorted(path.name for path in found if path.name != "stages")
        if not strange or any((self.out / "stages").glob("[0-9]*-*")) or _is_report(self.out):
            return
        raise ConfigurationError(
            f"--out {self.out} is not empty ({', '.join(strange[:5])}) and holds no earlier build; "
            "name a folder that is new or empty, or one that a build has made"
        )

    def _forget_other_stages(self) -> None:
        """Remove what a build with other samplers, or one that was killed, left behind."""
        current = {stored.folder for stored in self._stored}
        for folder in (self.out / "stages").glob("[0-9]*-*"):
            if folder not in current:
                shutil.rmtree(folder)

    def _read_settings(self) -> object:
        return [[entry.source.model_dump(mode="json"), entry.sha256] for entry in self.inputs]

    # --- what people see ------------------------------------------------------------------------

    def _announce(self) -> None:
        size = sum(entry.bytes for entry in self.inputs) / 1e6
        unhashed = [entry.shown for entry in self.inputs if not entry.sha256]
        self.console.print(
            f"{len(self.inputs)} sources ({size:.1f} MB on disk"
            + (f", and {', '.join(unhashed)} from the hub" if unhashed else "")
            + f"), samplers {', '.join(s.name for s in self.config.samplers)}; at most "
            f"{self.config.balance.target:,} pairs, {self.config.split.validation:,} of them for "
            f"validation, into {self.out}"
        )

    def _announce_requests(self, draws: list[sampling.Draw], contexts: int) -> None:
        asking = [
            entry for entry, draw in zip(self.config.samplers, draws, strict=True) if draw.many
        ]
        if not asking:
            self.console.print(f"{contexts:,} contexts to sample; no model is asked")
        for entry in asking:
            count = entry.options.get("count")
            most = int(contexts * entry.share)
            of = f" of {', '.join(entry.sources)}" if entry.sources else ""
            each = f"{count} responses each" if isinstance(count, int) else "asked once each"
            limit = entry.options.get("max_requests")
            budget = "" if limit is None else f", and no more than {limit:,} (max_requests)"
            self.console.print(
                f"{entry.name}: at most {most:,} contexts{of}, {each}{budget}; what is cached is "
                "not asked again"
            )

    def _progress(self, name: str) -> Progress:
        """Return a line with a clock; `rich` leaves plain output alone."""
        columns = TextColumn("  {task.description}"), TimeElapsedColumn()
        line = Progress(*columns, console=self.console, transient=True)
        line.add_task(name, total=None)
        return line


def _notes(
    config: BuildConfig, selected: Stored, counts: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Return what a reader should know that does not make the build less whole."""
    notes = []
    made = selected.manifest["split"]
    natural = counts.get("rejected", {}).get("natural", 0) / max(selected.rows, 1)
    if natural < config.balance.min_natural_share:
        notes.append(
            f"{natural:.1%} natural errors instead of {config.balance.min_natural_share:.0%}: all "
            "distinct ones of the sources are in"
        )
    if selected.rows < config.balance.target:
        notes.append(
            f"{selected.rows:,} pairs; the target of {config.balance.target:,} was not met"
        )
    if made["validation"] < config.split.validation:
        notes.append(
            f"{made['validation']:,} pairs for validation instead of {config.split.validation:,}: "
            "no further component fits without a leak"
        )
    for source, smallest in made["without_validation"].items():
        notes.append(
            f"no pair of {source} is held out: its smallest component, {smallest:,} pairs, is "
            "more than its share"
        )
    return notes


def _lost_requests(stored: Stored) -> bool:
    return any(
        drop["stage"] == "sample" and is_lost("sample", drop["reason"])
        for drop in stored.manifest["drops"]
    )


_SPEAKS_OF_DATA = ("report.json", "README.md")


def _is_report(out: Path) -> bool:
    try:
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and {"funnel", "dataset", "split"} <= report.keys()


@cache
def _code_digest() -> str:
    """Return the hash of the code that stages may run; new code makes every stage new.

    All of the library counts: a list of the modules that matter would be wrong some day.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for file in sorted(_sources(root)):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    yield from (root / "toolrm_guard").rglob("*.py")
    yield from (root / "training").glob("*.py")
    yield from (root / "training" / "preferences").rglob("*.py")
