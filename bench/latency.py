"""What one review costs: p50, p95 and p99 of `Guard.areview`, the scorer's own share apart.

    python -m bench.latency --scorer lite --candidates 8 [--records FILE] [--json OUT]
    python -m bench.latency --grid --disc FOLDER [--vllm URL] [--vllm-no-prefix URL] [--json OUT]

With `--grid`: what one decision costs in each way of scoring it with the same discriminative model
(`bench.discs`), over lengths of context and numbers of candidates. It can be interrupted: with the
same `--json` it goes on where it was.

Conversations, candidates and their order change from review to review, so nothing that a cache
could carry from one to the next is measured. The tools are read before, as `guard_node` reads them
when the graph is built. Recording is off.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from bench import runs
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.cli.arguments import positive
from toolrm_guard.errors import GuardError
from toolrm_guard.guard import Guard
from toolrm_guard.labelled import read_records
from toolrm_guard.tools import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The input of one review, as an agent would hand it over."""

    messages: Sequence[object]
    tools: ToolSet
    candidates: list[Candidate]


def measure(guard: Guard, cases: Sequence[Case]) -> dict[str, float]:
    """Return milliseconds per review, one review per case, after a warm-up on the first few.

    Raises:
        RuntimeError: If a review could not be judged: its time would not be a scorer's.
    """

    async def run() -> tuple[list[float], list[float]]:
        totals, scorings = [], []
        warm_up = cases[:20]
        for index, case in enumerate([*warm_up, *cases]):
            started = time.perf_counter()
            review = await guard.areview(case.messages, case.tools, case.candidates)
            total = (time.perf_counter() - started) * 1e3
            if not review.judged:
                raise RuntimeError(f"a review could not be judged: {review.unjudged_reason}")
            if index >= len(warm_up):
                totals.append(total)
                scorings.append(review.scorer_ms)
        return totals, scorings

    gc.collect()
    totals, scorings = asyncio.run(run())
    p50, p95, p99 = np.percentile(totals, [50, 95, 99])
    return {
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "scorer_p50_ms": float(np.median(scorings)),
    }


def recorded_cases(path: Path, candidates: int, limit: int, seed: int) -> list[Case]:
    """Return cases from labelled records that hold at least that many readable candidates.

    Raises:
        SystemExit: If no record has enough.
    """
    rng = random.Random(seed)
    cases = []
    for record in read_records(path):
        readable = [c.candidate() for c in record.candidates if c.tool_calls is not None]
        if len(readable) >= candidates:
            drawn = rng.sample(readable, candidates)
            cases.append(Case(messages=record.messages, tools=record.toolset(), candidates=drawn))
    if not cases:
        raise SystemExit(f"{path}: no record has {candidates} readable candidates")
    rng.shuffle(cases)
    return cases[:limit]


def made_up_cases(candidates: int, limit: int, seed: int) -> list[Case]:
    """Return cases of our own: eight tools, a short dialogue, candidates that differ in values."""
    rng = random.Random(seed)
    return [_made_up_case(rng, index, candidates) for index in range(limit)]


def _made_up_case(rng: random.Random, index: int, candidates: int) -> Case:
    cities = ["Oslo", "Lyon", "Porto", "Graz", "Bergen", "Turin", "Malmö", "Gdansk"]
    start, goal = rng.sample(cities, 2)
    day = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    seats = rng.randint(1, 6)
    tools: list[dict[str, object]] = [
        _tool(f"{verb}_{noun}") for verb in ("search", "book") for noun in _NOUNS
    ]
    messages = [
        {"role": "system", "content": "You help travellers."},
        {"role": "user", "content": f"Hello, trip number {index} is coming up."},
        {"role": "assistant", "content": "Where do you want to go?"},
        {"role": "user", "content": f"Book {seats} train seats from {start} to {goal} on {day}."},
    ]
    right = {"origin": start, "destination": goal, "day": day, "seats": seats}
    drawn = []
    for _ in range(candidates):
        arguments = dict(right)
        if rng.random() < 0.6:
            key = rng.choice(list(right))
            arguments[key] = rng.choice([start, goal, day, rng.randint(1, 9)])
        drawn.append(Candidate(calls=(Call(name="book_train", arguments=arguments),)))
    return Case(messages=messages, tools=ToolSet.of(tools), candidates=drawn)


_NOUNS = ("train", "flight", "bus", "hotel")


def _tool(name: str) -> dict[str, object]:
    text = {"type": "string"}
    return {
        "name": name,
        "description": f"{name.replace('_', ' ').capitalize()} for a traveller.",
        "parameters": {
            "type": "object",
            "properties": {
                "origin": {**text, "description": "City to start from"},
                "destination": {**text, "description": "City to go to"},
                "day": {**text, "format": "date", "description": "Day as YYYY-MM-DD"},
                "seats": {"type": "integer", "minimum": 1, "description": "Number of people"},
            },
            "required": ["origin", "destination", "day"],
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scorer", default="lite")
    parser.add_argument("--candidates", type=_numbers, help="default 8; of --grid 1,4,8,16")
    parser.add_argument("--records", type=Path, help="labelled records; made-up ones without it")
    parser.add_argument("--reviews", type=int, default=1000, help="at most (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    grid = parser.add_argument_group("--grid")
    grid.add_argument("--grid", action="store_true", help="compare ways of scoring with one model")
    grid.add_argument("--disc", type=Path, metavar="FOLDER", help="a ToolRM-Disc; needed")
    grid.add_argument("--contexts", type=_numbers, default=(200, 600, 1500), metavar="TOKENS,...")
    grid.add_argument(
        "--padded",
        type=_numbers,
        default=(8,),
        metavar="N,...",
        help="of which a padded batch is timed: it takes as long as one by one (default 8)",
    )
    grid.add_argument("--repeat", type=positive, default=5, help="rounds (default 5)")
    grid.add_argument("--budget", type=float, default=20.0, metavar="MINUTES", help="default 20")
    grid.add_argument("--vllm", metavar="URL", help="a server of the same model in float32")
    grid.add_argument("--vllm-no-prefix", metavar="URL", help="one without prefix caching")
    for name in ("--vllm-pid", "--vllm-no-prefix-pid"):
        grid.add_argument(name, type=positive, help="of the server, to state its processor time")
    grid.add_argument("--band", type=float, default=0.5, help="of the cascade (default 0.5)")
    arguments = parser.parse_args(argv)
    if arguments.grid and arguments.disc is None:
        parser.error("--grid needs --disc, the folder of a ToolRM-Disc")
    arguments.candidates = arguments.candidates or ((1, 4, 8, 16) if arguments.grid else (8,))
    if not arguments.grid and len(arguments.candidates) != 1:
        parser.error("--candidates takes one number without --grid")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as stated
    try:
        return _grid(arguments) if arguments.grid else _review(arguments)
    except (GuardError, RuntimeError, OSError, httpx.HTTPError) as exc:
        print(f"bench.latency: {exc}", file=sys.stderr)
        return 1


def _grid(arguments: argparse.Namespace) -> int:
    from bench.discs import grid  # loads torch, which the bench of a review does without

    return grid.run(arguments)


def _review(arguments: argparse.Namespace) -> int:
    [candidates] = arguments.candidates
    if arguments.records is None:
        cases = made_up_cases(candidates, arguments.reviews, arguments.seed)
    else:
        cases = recorded_cases(arguments.records, candidates, arguments.reviews, arguments.seed)
    figures = measure(Guard(arguments.scorer), cases)
    source = arguments.records.name if arguments.records else "made-up records"
    table = Table(
        title=f"{arguments.scorer}, {candidates} candidates, "
        f"{len(cases)} reviews on {source}, one core"
    )
    for name in ("review p50", "p95", "p99", "scorer p50"):
        table.add_column(f"{name} (ms)", justify="right")
    table.add_row(*(f"{value:.2f}" for value in figures.values()))
    Console().print(table)
    if arguments.json:
        _write(arguments, len(cases), figures)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    """Return rising whole numbers of 1 or more."""
    return tuple(sorted({positive(part) for part in text.split(",")}))


def _write(arguments: argparse.Namespace, reviews: int, figures: dict[str, float]) -> None:
    payload: dict[str, object] = {
        "bench": "latency",
        "run": runs.describe([arguments.records] if arguments.records else [], arguments.seed),
        "scorer": arguments.scorer,
        "candidates": arguments.candidates[0],
        "reviews": reviews,
        **figures,
    }
    runs.write(arguments.json, payload)


if __name__ == "__main__":
    sys.exit(main())
