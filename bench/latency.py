"""What one review costs: p50, p95 and p99 of `Guard.areview`, the scorer's own share apart.

    python -m bench.latency --scorer lite --candidates 8 [--records FILE] [--json OUT]

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

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import runs
from toolrm_guard.calls import Call, Candidate
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
        for index, case in enumerate([*cases[:20], *cases]):
            started = time.perf_counter()
            review = await guard.areview(case.messages, case.tools, case.candidates)
            total = (time.perf_counter() - started) * 1e3
            if not review.judged:
                raise RuntimeError(f"a review could not be judged: {review.unjudged_reason}")
            if index >= 20:
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
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--records", type=Path, help="labelled records; made-up ones without it")
    parser.add_argument("--reviews", type=int, default=1000, help="at most (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as stated
    try:
        if arguments.records is None:
            cases = made_up_cases(arguments.candidates, arguments.reviews, arguments.seed)
        else:
            cases = recorded_cases(
                arguments.records, arguments.candidates, arguments.reviews, arguments.seed
            )
        figures = measure(Guard(arguments.scorer), cases)
    except (GuardError, RuntimeError, OSError) as exc:
        print(f"bench.latency: {exc}", file=sys.stderr)
        return 1
    source = arguments.records.name if arguments.records else "made-up records"
    table = Table(
        title=f"{arguments.scorer}, {arguments.candidates} candidates, "
        f"{len(cases)} reviews on {source}, one core"
    )
    for name in ("review p50", "p95", "p99", "scorer p50"):
        table.add_column(f"{name} (ms)", justify="right")
    table.add_row(*(f"{value:.2f}" for value in figures.values()))
    Console().print(table)
    if arguments.json:
        _write(arguments, len(cases), figures)
    return 0


def _write(arguments: argparse.Namespace, reviews: int, figures: dict[str, float]) -> None:
    payload: dict[str, object] = {
        "bench": "latency",
        "run": runs.describe([arguments.records] if arguments.records else [], arguments.seed),
        "scorer": arguments.scorer,
        "candidates": arguments.candidates,
        "reviews": reviews,
        **figures,
    }
    runs.write(arguments.json, payload)


if __name__ == "__main__":
    sys.exit(main())
