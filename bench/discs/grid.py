"""All ways at all lengths and numbers of candidates, round by round, until the budget is spent."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import runs
from bench.discs.rounds import COLD, ONE_BY_ONE, SECOND, Rounds, Sample

BENCH = "latency_grid"
_WIDE = 150

Row = dict[str, object]


def run(arguments: argparse.Namespace) -> int:
    """Measure, print and write."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    asked = {
        "vLLM": (arguments.vllm, arguments.vllm_pid),
        "vLLM, no prefix cache": (arguments.vllm_no_prefix, arguments.vllm_no_prefix_pid),
    }
    servers = {name: server for name, server in asked.items() if server[0]}
    rounds = Rounds(
        arguments.disc,
        arguments.candidates,
        padded=arguments.padded,
        servers=servers,
        band=arguments.band,
    )
    setup: Row = {
        "model": rounds.fingerprint,
        "contexts": list(arguments.contexts),
        "candidates": list(arguments.candidates),
        "padded": list(arguments.padded),
        "band": arguments.band,
        "servers": sorted(servers),
        "dtype": "float32",
        "threads": 1,
    }
    samples = _kept(arguments.json, setup)
    cost_s = rounds.seconds_per_token()
    needed = {context: rounds.tokens(context) * cost_s for context in arguments.contexts}
    console.print(
        f"a round takes about {sum(needed.values()) / 60:.1f} min on this machine as it is now; "
        f"{arguments.repeat} rounds are wanted, the budget is {arguments.budget:g} min, "
        f"{len(samples):,} samples are there already"
    )
    for more in _measured(rounds, arguments, needed, samples, console):
        samples += more
        if arguments.json:
            _write(arguments, setup, samples)
    if not samples:
        print("bench.latency: the budget allows no round; raise --budget", file=sys.stderr)
        return 1
    Console(width=None if sys.stdout.isatty() else _WIDE).print(_table(summary(samples)))
    return 0


def _measured(
    rounds: Rounds,
    arguments: argparse.Namespace,
    needed: dict[int, float],
    samples: Sequence[Sample],
    console: Console,
) -> Iterable[list[Sample]]:
    """Yield the samples of each round and length that is not there yet, as the budget allows."""
    ends = time.monotonic() + arguments.budget * 60
    there = {(sample.round, sample.context) for sample in samples}
    todo = [
        (number, context)
        for number in range(arguments.repeat)
        for context in arguments.contexts
        if (number, context) not in there
    ]
    with Progress(console=console) as progress:
        bar = progress.add_task("rounds", total=len(todo))
        for number, context in todo:
            if time.monotonic() + needed[context] < ends:
                started = time.monotonic()
                progress.update(bar, description=f"round {number + 1}, {context:,} tokens")
                yield rounds.run(context, number, arguments.seed)
                needed[context] = time.monotonic() - started
            progress.advance(bar)


def summary(samples: Sequence[Sample]) -> list[Row]:
    """Return a row for each length, number of candidates and way.

    `ms` is the median; `low` and `high` are the smallest and the largest sample, between which the
    median lies with probability 1 - 2^(1-n). `times` is one by one divided by this way, and for a
    second turn `of_first` the first turn divided by it, both paired by round; `over_needed` is the
    time divided by that which the unique tokens need at the matrix rate measured around it.
    """
    found = []
    keys = dict.fromkeys((s.context, s.candidates, s.way) for s in samples)
    by_key = {
        key: {s.round: s for s in samples if (s.context, s.candidates, s.way) == key}
        for key in keys
    }
    for context, size, way in sorted(keys):
        own = by_key[context, size, way]
        row: Row = {
            "context": context,
            "candidates": size,
            "way": way,
            "n": len(own),
            "prompt": median(s.prompt for s in own.values()),
            **_spread("ms", [s.wall_ms for s in own.values()]),
            **_spread("cpu_ms", [s.cpu_ms for s in own.values() if s.cpu_ms is not None]),
        }
        alone = by_key[context, size, ONE_BY_ONE]
        row |= _ratios("times", alone, own)
        if way == SECOND:
            row |= _ratios("of_first", by_key[context, size, COLD], own)
        if any(s.unique for s in own.values()):
            row["unique"] = median(s.unique or 0 for s in own.values())
            wall = [s.wall_ms / s.needed_wall_ms for s in own.values() if s.needed_wall_ms]
            cpu = [s.cpu_ms / s.needed_cpu_ms for s in own.values() if s.cpu_ms and s.needed_cpu_ms]
            row |= {**_spread("over_needed", wall), **_spread("cpu_over_needed", cpu)}
        if errors := [s.error for s in own.values() if s.error is not None]:
            row["largest_error"] = max(errors)
        if escalated := [s.escalated for s in own.values() if s.escalated is not None]:
            row["escalated"] = sum(escalated) / len(escalated)
        found.append(row)
    return found


def _ratios(name: str, over: dict[int, Sample], under: dict[int, Sample]) -> Row:
    both = over.keys() & under.keys()
    wall = [over[number].wall_ms / under[number].wall_ms for number in both]
    cpu = [
        a / b
        for a, b in ((over[number].cpu_ms, under[number].cpu_ms) for number in both)
        if a is not None and b
    ]
    return {**_spread(name, wall), **_spread(f"cpu_{name}", cpu)}


def _spread(name: str, values: Sequence[float]) -> Row:
    if not values:
        return {}
    return {name: median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


def _table(found: Sequence[Row]) -> Table:
    title = "One decision, float32, one core; ratios of processor time; smallest and largest of n"
    table = Table(title=title)
    # On a busy machine only processor time tells ways apart, so ratios are shown of it.
    for name in ("context", "N", "way", "n", "ms", "cpu ms", "x one by one", "x first", "/ needed"):
        table.add_column(name, justify="left" if name == "way" else "right")
    previous = None
    for row in found:
        group = (row["context"], row["candidates"])
        if previous not in (None, group):
            table.add_section()
        previous = group
        table.add_row(
            f"{row['context']:,}",
            str(row["candidates"]),
            str(row["way"]),
            str(row["n"]),
            _shown(row, "ms"),
            _shown(row, "cpu_ms"),
            _shown(row, "cpu_times"),
            _shown(row, "cpu_of_first"),
            _shown(row, "cpu_over_needed"),
        )
    return table


def _shown(row: Row, name: str) -> str:
    if name not in row:
        return ""
    values = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    shown = [f"{v:,.0f}" if float(str(v)) >= 100 else f"{v:.2f}" for v in values]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _kept(path: Path | None, setup: Row) -> list[Sample]:
    """Return the samples of an interrupted run of the same setup.

    Raises:
        SystemExit: If the file is of another setup.
    """
    if path is None or not path.exists():
        return []
    payload = json.loads(path.read_text(encoding="utf-8"))
    if payload.get("setup") != setup:
        raise SystemExit(f"{path} is of another setup; name another file, or delete it")
    return [Sample(**sample) for sample in payload["samples"]]


def _write(arguments: argparse.Namespace, setup: Row, samples: Sequence[Sample]) -> None:
    payload: Row = {
        "bench": BENCH,
        "run": runs.describe([], arguments.seed),
        "setup": setup,
        "rows": summary(samples),
        "samples": [asdict(sample) for sample in samples],
    }
    runs.write(arguments.json, payload)
