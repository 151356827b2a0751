"""Agents by the hundred on one store: does memory stay flat, does the queue, and how fast is it?

    python -m bench.store_soak --minutes 10 --json bench/results/store_soak.json

Each agent reviews a turn, reports the outcome of its call, and thinks for a while. Every minute
what is older than a minute is deleted, as an operator with a retention would. Before and after,
the writer's speed is measured: the queue is filled while it is held up, and then it drains.
"""

import argparse
import asyncio
import datetime
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import runs
from bench.latency import Case, made_up_cases
from toolrm_guard import FakeScorer, Guard, TraceStore
from toolrm_guard.records import OutcomeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state at one moment: seconds since the start, MB of memory, entries waiting, written."""

    at_s: float
    rss_mb: float
    queued: int
    written: int


def drain(guard: Guard, store: TraceStore, cases: Sequence[Case], entries: int) -> dict[str, float]:
    """Return how fast the writer builds, redacts and commits; half are reviews, half outcomes."""
    taken, gate = threading.Event(), threading.Event()

    def hold() -> OutcomeRecord:
        taken.set()
        gate.wait()
        now = datetime.datetime.now(datetime.UTC)
        return OutcomeRecord(call_id="held", kind="task", ok=True, created_at=now)

    store.put(hold)
    taken.wait()
    for index in range(entries // 2):
        case = cases[index % len(cases)]
        review = guard.review(case.messages, case.tools, case.candidates, conversation_id="drain")
        guard.record_outcome(
            f"d{index}", ok=True, kind="execution", content="booked", conversation_id="drain",
            call=review.candidate.calls[0],
        )  # fmt: skip
    wall, cpu = time.perf_counter(), time.process_time()
    gate.set()
    if not store.flush(600):
        raise RuntimeError(f"the store lost entries: {store.health}")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"records": entries, "per_wall_s": entries / wall, "per_cpu_s": entries / cpu}


async def agent(guard: Guard, name: str, cases: Sequence[Case], pause_s: float, end: float) -> int:
    """Work until the end; return how many turns were wrong, late or unjudged: there are none."""
    rng, wrong, turn = random.Random(name), 0, 0
    bare = Guard(guard.scorer)
    while time.monotonic() < end:
        await asyncio.sleep(rng.expovariate(1 / pause_s))
        case = cases[rng.randrange(len(cases))]
        talk = f"{name}.{turn // 20}"
        review = await guard.areview(
            case.messages, case.tools, case.candidates, conversation_id=talk
        )
        if turn % 50 == 0:  # what it would have been without a store
            same = await bare.areview(case.messages, case.tools, case.candidates)
            wrong += (same.decision, same.chosen) != (review.decision, review.chosen)
        wrong += not review.judged
        guard.record_outcome(
            f"{name}.{turn}", ok=True, kind="execution", content="booked",
            call=review.candidate.calls[0], conversation_id=talk,
        )  # fmt: skip
        turn += 1
    return wrong


async def soak(
    guard: Guard, store: TraceStore, cases: Sequence[Case], agents: int, rate: float, minutes: float
) -> tuple[list[Sample], int]:
    """Run the agents; return a sample a second, and the turns that went wrong."""
    start = time.monotonic()
    end = start + 60 * minutes
    pause_s = 2 * agents / rate  # a turn is two records
    working = [
        asyncio.create_task(agent(guard, f"agent{n}", cases, pause_s, end)) for n in range(agents)
    ]
    samples: list[Sample] = []
    forgotten = start
    while time.monotonic() < end:
        await asyncio.sleep(1.0)
        health, now = store.health, time.monotonic()
        samples.append(
            Sample(at_s=now - start, rss_mb=_rss_mb(), queued=health.queued, written=health.written)
        )
        if now - forgotten > 60:
            forgotten = now
            old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
            await asyncio.to_thread(store.delete_before, old)
    return samples, sum(await asyncio.gather(*working))


def slope_per_minute(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of the last 80% of a series, per minute."""
    first = len(at_s) // 5
    return float(np.polyfit(np.asarray(at_s[first:]) / 60, np.asarray(values[first:]), 1)[0])


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _figures(samples: Sequence[Sample]) -> dict[str, float]:
    at_s = [s.at_s for s in samples]
    rss, queued = [s.rss_mb for s in samples], [float(s.queued) for s in samples]
    fifth = len(samples) // 5
    return {
        "records_per_s": (samples[-1].written - samples[0].written) / (at_s[-1] - at_s[0]),
        "rss_mb_after_a_fifth": float(np.median(rss[fifth : fifth + 30])),
        "rss_mb_at_the_end": float(np.median(rss[-30:])),
        "rss_slope_mb_per_minute": slope_per_minute(at_s, rss),
        "queue_median": float(np.median(queued)),
        "queue_p99": float(np.percentile(queued, 99)),
        "queue_slope_per_minute": slope_per_minute(at_s, queued),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--rate", type=float, default=300.0, help="records per second, all agents")
    parser.add_argument("--drain", type=int, default=10_000, help="records per measured drain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, as stated
    cases = made_up_cases(2, 500, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        store = TraceStore(Path(folder) / "traces.db", capacity=arguments.drain + 1)
        with store:
            guard = Guard(FakeScorer(lambda request: [0.9, 0.2]), store=store)
            drains = [drain(guard, store, cases, arguments.drain) for _ in range(3)]
            given = (arguments.agents, arguments.rate, arguments.minutes)
            samples, wrong = asyncio.run(soak(guard, store, cases, *given))
            flushed = store.flush(60)
            drains += [drain(guard, store, cases, arguments.drain) for _ in range(3)]
            health = store.health
    figures: dict[str, object] = {
        "minutes": arguments.minutes, "agents": arguments.agents, **_figures(samples),
        "wrong_turns": wrong, "dropped": health.dropped, "failed": health.failed,
        "flushed": flushed, "drains": drains,
        "writer_per_cpu_s_median": float(np.median([d["per_cpu_s"] for d in drains])),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:26} {value}")
    if arguments.json:
        described = runs.describe([], arguments.seed)
        runs.write(arguments.json, {"bench": "store_soak", "run": described, **figures})
    return int(bool(wrong or health.dropped or health.failed or not flushed))


if __name__ == "__main__":
    sys.exit(main())
