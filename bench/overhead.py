"""What the guard adds to an agent's turn when the scorer takes no time, beside its peers.

    python -m bench.overhead [--turns K] [--only NAME,...] [--json OUT]

Without a framework, a decision over N candidates: `Guard.areview` against its_hub's Best-of-N.
Inside one, a turn of model, guard and one tool call: LangGraph and `create_agent`, bare and
guarded, and LangChain's AutoModeMiddleware. Peers that are not installed are left out, and it says
so.

All contenders of one cell (N, concurrency) run interleaved in random order in one process, on the
same turns, decisions apart from turns, since a graph's turn in between leaves caches cold; garbage
is collected between rounds and not within. A sample is one gather of
`concurrency` turns; its time is divided by them. CPU time is that of the process, all threads: it
says the same as wall time on an idle machine, and still says it on a busy one. Records are off.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.contenders.decisions import (
    Contender,
    Kind,
    Turn,
    guard_contenders,
    its_hub_contenders,
    turns,
)

Floats = NDArray[np.float64]
Build = Callable[[int, Sequence[Turn]], list[Contender]]

CANDIDATES = (1, 4, 16)
CONCURRENCY = (1, 16, 64)
MIN_SAMPLES = 8
"""Gathers per contender and cell at least, however many turns each of them holds."""

PEER = "its_hub"
PACKAGES = ("toolrm-guard", "its-hub", "langgraph", "langchain", "langchain-typesafe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender in one cell.

    Attributes:
        p50_ms: Median milliseconds per turn, over samples.
        p95_ms: The 95th percentile of the same.
        per_s: Turns per second at the median.
        cpu_ms: Median CPU milliseconds per turn.
        added_ms: Median above the bare twin's; None without a twin.
        added_ci95: Its bootstrap interval over samples.
        added_cpu_ms: The same of CPU time.
        added_cpu_ci95: Its bootstrap interval over samples.
        peer_ratio: Median over its_hub's; None for other kinds and without its_hub.
        peer_ratio_ci95: Its bootstrap interval over samples.
    """

    name: str
    kind: str
    n: int
    concurrency: int
    samples: int
    p50_ms: float
    p95_ms: float
    per_s: float
    cpu_ms: float
    added_ms: float | None = None
    added_ci95: tuple[float, float] | None = None
    added_cpu_ms: float | None = None
    added_cpu_ci95: tuple[float, float] | None = None
    peer_ratio: float | None = None
    peer_ratio_ci95: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What one contender took, in milliseconds per turn; both (samples,)."""

    wall: Floats
    cpu: Floats


async def sample(
    contenders: Sequence[Contender],
    cases: Sequence[Turn],
    *,
    concurrency: int,
    samples: int,
    rng: random.Random,
) -> dict[str, Times]:
    """Return the times of each contender, after a warm-up of two samples.

    Sample i of every contender ran in the same round, so the arrays are paired.
    """
    times: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in contenders}
    gc.collect()
    gc.freeze()  # what is loaded by now is not looked at again between samples
    gc.disable()
    try:
        for _ in range(samples + 2):
            drawn = rng.choices(cases, k=concurrency)
            gc.collect()
            for contender in rng.sample(contenders, len(contenders)):
                started, cpu = time.perf_counter(), time.process_time()
                if concurrency == 1:
                    await contender.run(drawn[0])
                else:
                    await asyncio.gather(*(contender.run(turn) for turn in drawn))
                took = time.perf_counter() - started, time.process_time() - cpu
                times[contender.name].append(took)
    finally:
        gc.enable()
        gc.unfreeze()
    scaled = {name: np.array(took[2:]).T * 1e3 / concurrency for name, took in times.items()}
    return {name: Times(wall=wall, cpu=cpu) for name, (wall, cpu) in scaled.items()}


def compared(
    one: Floats, other: Floats, how: Callable[[Floats, Floats], Floats], rounds: int = 1000
) -> tuple[float, tuple[float, float]]:
    """Return a comparison of two medians and its 95% bootstrap interval.

    Args:
        one: (samples,) milliseconds.
        other: (samples,) milliseconds; sample i ran in the same round as `one[i]`, so rounds are
            drawn and the noise of the machine that both met cancels.
        how: `np.subtract` or `np.divide`.
        rounds: Of the bootstrap.
    """
    drawn = np.random.default_rng(0).integers(len(one), size=(rounds, len(one)))
    spread = how(np.median(one[drawn], axis=1), np.median(other[drawn], axis=1))
    low, high = np.quantile(spread, (0.025, 0.975))
    [between] = how(np.median(one, keepdims=True), np.median(other, keepdims=True))
    return float(between), (float(low), float(high))


def rows_of(
    contenders: Sequence[Contender], times: Mapping[str, Times], *, n: int, concurrency: int
) -> list[Row]:
    """Return one row per contender, in their order."""
    rows = []
    for contender in contenders:
        own = times[contender.name]
        median = float(np.median(own.wall))
        added = added_cpu = ratio = None
        if contender.twin is not None and contender.twin in times:
            bare = times[contender.twin]
            added = compared(own.wall, bare.wall, np.subtract)
            added_cpu = compared(own.cpu, bare.cpu, np.subtract)
        if contender.kind == "decision" and PEER in times and contender.name != PEER:
            ratio = compared(own.wall, times[PEER].wall, np.divide)
        rows.append(
            Row(
                name=contender.name,
                kind=contender.kind,
                n=n,
                concurrency=concurrency,
                samples=len(own.wall),
                p50_ms=median,
                p95_ms=float(np.quantile(own.wall, 0.95)),
                per_s=1e3 / median,
                cpu_ms=float(np.median(own.cpu)),
                added_ms=added[0] if added else None,
                added_ci95=added[1] if added else None,
                added_cpu_ms=added_cpu[0] if added_cpu else None,
                added_cpu_ci95=added_cpu[1] if added_cpu else None,
                peer_ratio=ratio[0] if ratio else None,
                peer_ratio_ci95=ratio[1] if ratio else None,
                note=contender.note,
            )
        )
    return rows


def installed() -> tuple[list[Build], list[str]]:
    """Return what builds the contenders that can run here, and why the others cannot."""
    builds: list[Build] = [guard_contenders]
    absent = []
    probe = turns(1, 1)
    try:
        its_hub_contenders(1, probe)
        builds.append(its_hub_contenders)
    except ImportError as exc:
        absent.append(f"its_hub: {exc}; pip install 'toolrm-guard[bench]'")
    try:
        from bench.contenders import turns as graphs
    except ImportError as exc:
        absent.append(f"LangGraph, create_agent: {exc}; pip install 'toolrm-guard[langchain]'")
        return builds, absent
    builds += [graphs.graph_contenders, graphs.agent_contenders]
    try:
        graphs.auto_mode_contenders(1, probe)
        builds.append(graphs.auto_mode_contenders)
    except ImportError as exc:
        absent.append(f"AutoModeMiddleware: {exc}; pip install langchain-typesafe")
    return builds, absent


def chosen(contenders: Sequence[Contender], only: Sequence[str]) -> list[Contender]:
    """Return the contenders whose name holds one of the words, with the twins they need."""
    if not only:
        return list(contenders)
    wanted = {c.name for c in contenders if any(word.lower() in c.name.lower() for word in only)}
    wanted |= {c.twin for c in contenders if c.name in wanted and c.twin}
    return [c for c in contenders if c.name in wanted]


def measure(builds: Sequence[Build], *, per_cell: int, only: Sequence[str], seed: int) -> list[Row]:
    """Return every row; says on stderr which cell runs."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for n in CANDIDATES:
        cases = turns(n, 100, seed)
        contenders = chosen([c for build in builds for c in build(n, cases)], only)
        for concurrency in CONCURRENCY if contenders else ():
            print(f"N={n}, {concurrency} at a time ...", file=sys.stderr, flush=True)
            samples = max(MIN_SAMPLES, per_cell // concurrency)
            for kind in get_args(Kind):
                alike = [contender for contender in contenders if contender.kind == kind]
                times = asyncio.run(
                    sample(alike, cases, concurrency=concurrency, samples=samples, rng=rng)
                )
                rows += rows_of(alike, times, n=n, concurrency=concurrency)
    return rows


def facts() -> dict[str, object]:
    """Return what the numbers depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table_of(rows: Sequence[Row]) -> Table:
    """Return the rows as a table, and a section per cell."""
    table = Table(title="Milliseconds per turn at zero scorer latency; [95% interval]")
    for head in ("N", "at a time", "contender"):
        table.add_column(head, no_wrap=True)
    for head in ("p50", "p95", "turns/s", "CPU", "added", "added CPU", f"ratio to {PEER}"):
        table.add_column(head, justify="right", no_wrap=True)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        ends = following is None or (row.n, row.concurrency, row.kind) != (
            following.n,
            following.concurrency,
            following.kind,
        )
        table.add_row(
            str(row.n),
            str(row.concurrency),
            row.name,
            f"{row.p50_ms:.3f}",
            f"{row.p95_ms:.3f}",
            f"{row.per_s:,.0f}",
            f"{row.cpu_ms:.3f}",
            _interval(row.added_ms, row.added_ci95, "+.2f"),
            _interval(row.added_cpu_ms, row.added_cpu_ci95, "+.2f"),
            _interval(row.peer_ratio, row.peer_ratio_ci95, ".2f"),
            end_section=ends,
        )
    return table


def notes_of(rows: Sequence[Row]) -> Table:
    """Return what each contender does and does not do; for one N, they say the same of all."""
    table = Table(title="What each of them does", show_lines=False)
    table.add_column("contender", no_wrap=True)
    table.add_column("notes")
    for name, note in {row.name: row.note for row in rows if row.note}.items():
        table.add_row(name, note)
    return table


def _interval(value: float | None, interval: tuple[float, float] | None, form: str) -> str:
    if value is None or interval is None:
        return ""
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--turns", type=int, default=120, help="per contender and cell, at least (default 120)"
    )
    parser.add_argument("--only", default="", metavar="NAME,...", help="parts of contenders' names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    if arguments.turns < 1:
        parser.error("--turns must be at least 1")
    given = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "bench.overhead", *given])
    machine = facts()
    builds, absent = installed()
    print(command)
    print(", ".join(f"{name}: {value}" for name, value in machine.items()))
    for reason in absent:
        print(f"left out: {reason}")
    print(
        f"{len(CANDIDATES) * len(CONCURRENCY)} cells of {arguments.turns} turns or more per "
        f"contender: about {max(arguments.turns, 100) / 60:.0f} min of an idle core",
        flush=True,
    )
    only = [word.strip() for word in arguments.only.split(",") if word.strip()]
    started = time.perf_counter()
    rows = measure(builds, per_cell=arguments.turns, only=only, seed=arguments.seed)
    if not rows:
        print(f"bench.overhead: no contender matches --only {arguments.only!r}", file=sys.stderr)
        return 1
    console = Console(width=140)
    console.print(table_of(rows))
    console.print(notes_of(rows))
    print(f"took {time.perf_counter() - started:.0f} s")
    if arguments.json:
        report = {"command": command, **machine, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
