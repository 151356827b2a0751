"""What recording costs the agent: reviews with a store and without, in turns, on one core.

    python -m bench.store_hot_path --json bench/results/store_hot_path.json

The same case is reviewed by both guards, in an order that is drawn each time; the cost is the
median of the differences, with a bootstrap interval over the cases.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import runs
from bench.latency import Case, made_up_cases
from toolrm_guard import FakeScorer, Guard

Floats = npt.NDArray[np.float64]


async def measure(
    off: Guard, on: Guard, cases: Sequence[Case], pause_ms: float, seed: int
) -> Floats:
    """Return milliseconds of each case, (cases, 2, 2): without a store and with one; wall and CPU.

    CPU is that of the agent's own thread: on a machine that others use, the wall clock says more
    of them than of us.
    """
    rng = random.Random(seed)
    times = np.zeros((len(cases), 2, 2))
    for index, case in enumerate([*cases[:50], *cases], start=-50):
        for column in rng.sample((0, 1), 2):
            if pause_ms:  # of any length, or the writer's rhythm meets one of the two more often
                await asyncio.sleep(rng.uniform(0, 2 * pause_ms) / 1e3)
            guard = (off, on)[column]
            started = time.perf_counter(), time.thread_time()
            await guard.areview(case.messages, case.tools, case.candidates, conversation_id="t")
            if index >= 0:
                ended = time.perf_counter(), time.thread_time()
                times[index, column] = [(b - a) * 1e3 for a, b in zip(started, ended, strict=True)]
    return times


def figures(times: Floats, seed: int) -> dict[str, float]:
    """Return medians, and the median difference with its 95% interval."""
    rng = np.random.default_rng(seed)
    p50 = np.median(times, axis=0)
    picks = rng.integers(0, len(times), size=(1000, len(times)))
    costs = np.median(times[picks, 1], axis=1) - np.median(times[picks, 0], axis=1)
    low, high = np.percentile(costs, [2.5, 97.5])
    p95 = np.percentile(times, 95, axis=0)
    return {
        "off_p50_ms": float(p50[0]), "on_p50_ms": float(p50[1]),
        "cost_p50_ms": float(p50[1] - p50[0]), "low_ms": float(low), "high_ms": float(high),
        "off_p95_ms": float(p95[0]), "on_p95_ms": float(p95[1]),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=int, default=2000)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, as stated
    cases = made_up_cases(arguments.candidates, arguments.reviews, arguments.seed)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fake", "lite"):
            fake = FakeScorer(lambda request: [0.9] * len(request.candidates))
            off = Guard(fake if name == "fake" else name)
            for pause_ms in (0.0, 5.0):
                on = Guard(off.scorer, store=Path(folder) / f"{name}{pause_ms}.db")
                assert on.store is not None
                gc.collect()
                times = asyncio.run(measure(off, on, cases, pause_ms, arguments.seed))
                on.store.close()
                for clock, column in (("wall", 0), ("cpu", 1)):
                    setting = f"{name}, {pause_ms:g} ms between, {clock}"
                    found[setting] = figures(times[:, :, column], arguments.seed)
    for name, row in found.items():
        print(f"{name:28}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    if arguments.json:
        described = runs.describe([], arguments.seed)
        given = {"reviews": arguments.reviews, "candidates": arguments.candidates}
        payload = {"bench": "store_hot_path", "run": described, **given, "settings": found}
        runs.write(arguments.json, payload)
    return 0


if __name__ == "__main__":
    sys.exit(main())
