"""What preference data costs: candidates scored a second, and whole builds with their memory.

    python -m bench.pipeline_throughput --records ../shared/data/train/complexfuncbench.jsonl.gz \
        [--sizes 10000 100000] [--engines local ray] [--million] [--rounds 5] [--json OUT]

Rule scorer: recorded candidates against their references, one core, calls parsed outside the clock
("score") and inside it ("parse and score"); beside it the official BFCL AST checker on the same
candidates where `bfcl_eval` is installed. Contenders take turns, round by round. Builds: the
records replicated under other ids and queries until they hold so many candidates, built by
`python -m training.preferences` in a process of its own, whose memory (proportional set size of
the process and all that it started, sampled) is the peak shown.
"""

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from toolrm_guard.calls import Call
from toolrm_guard.labelled import LabelledRecord, read_records
from toolrm_guard.rule_score import Reference

console = Console(stderr=True)

_CONFIG = """
[[sources]]
name = "labelled"
path = "records.jsonl.gz"
[[samplers]]
name = "recorded"
[[samplers]]
name = "perturb"
when = "no_wrong"
options = { count = 2 }
[balance]
target = 30000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A reference with one candidate."""

    record: LabelledRecord
    reference: list[dict[str, Any]]
    candidate: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One contender's candidates a second: median, least and most over the rounds."""

    name: str
    median: float
    least: float
    most: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRun:
    """One whole build.

    Attributes:
        peak_mb: Largest sum of the proportional set sizes of all its processes.
    """

    engine: str
    workers: int
    candidates: int
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Candidates a second."""
        return self.candidates / self.seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = _parser().parse_args(argv)
    records = read_records(args.records)
    cases = list(_cases(records))
    console.print(f"{len(cases):,} candidates of {len(records):,} records")
    rates = scorer_rates(cases, args.rounds)
    sizes = [*args.sizes, *([1_000_000] if args.million else [])]
    runs = []
    for size in sizes:
        for engine in args.engines:
            console.print(f"building {size:,} candidates, {engine}")
            runs.append(build_run(args.records, size, engine, args.workers))
    print(report(rates, runs))
    if args.json:
        found = {"rates": [asdict(r) for r in rates], "builds": [asdict(r) for r in runs]}
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def report(rates: Sequence[Rate], runs: Sequence[BuildRun]) -> str:
    """Return both tables."""
    lines = [
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "",
        "| scorer, one core | candidates/s, median | least | most | rounds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.name} | {r.median:,.0f} | {r.least:,.0f} | {r.most:,.0f} | {r.rounds} |"
        for r in rates
    ]
    if runs:
        lines += ["", "| build | workers | candidates | s | candidates/s | peak MB |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {r.engine} | {r.workers} | {r.candidates:,} | {r.seconds:.0f} | {r.rate:,.0f} "
        f"| {r.peak_mb:,.0f} |"
        for r in runs
    ]
    return "\n".join(lines)


# --- the rule scorer ----------------------------------------------------------------------------


def scorer_rates(cases: Sequence[Case], rounds: int) -> list[Rate]:
    """Return every contender's rate; they take turns, so that a slow minute meets all of them."""
    parsed = [(_calls(case.reference), _calls(case.candidate)) for case in cases]
    contenders: dict[str, Callable[[], object]] = {
        "rule score": lambda: [Reference(right).score(made) for right, made in parsed],
        "rule score, parsing included": lambda: [
            Reference(_calls(case.reference)).score(_calls(case.candidate)) for case in cases
        ],
    }
    checker = _bfcl_checker()
    if checker is None:
        console.print("bfcl_eval is not installed: the official checker is left out")
    else:
        contenders["BFCL AST checker"] = lambda: [checker(case) for case in cases]
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return [
        Rate(
            name=name,
            median=len(cases) / float(np.median(times)),
            least=len(cases) / max(times),
            most=len(cases) / min(times),
            rounds=rounds,
        )
        for name, times in seconds.items()
    ]


def _cases(records: Sequence[LabelledRecord]) -> Iterator[Case]:
    for record in records:
        if record.reference is None or record.reference.tool_calls is None:
            continue
        reference = [call.model_dump() for call in record.reference.tool_calls]
        for candidate in record.candidates:
            if candidate.tool_calls is not None:
                made = [call.model_dump() for call in candidate.tool_calls]
                yield Case(record=record, reference=reference, candidate=made)


def _calls(raw: Sequence[dict[str, Any]]) -> list[Call]:
    return [Call(name=call["name"], arguments=call["arguments"]) for call in raw]


def _bfcl_checker() -> Callable[[Case], object] | None:
    """Return the official checker on a case; None where it is not installed.

    It wants `[{name: arguments}]` and, as an answer, lists of allowed values.
    """
    try:
        module = import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
        language = import_module("bfcl_eval.constants.enums").Language.PYTHON
    except ImportError:
        return None

    def check(case: Case) -> object:
        made = [{call["name"]: call["arguments"]} for call in case.candidate]
        answer = [
            {call["name"]: {key: [value] for key, value in call["arguments"].items()}}
            for call in case.reference
        ]
        kind = "parallel" if len(answer) > 1 else "simple"
        # Its parameter schemas say `dict` where JSON Schema says `object`.
        tools = [
            {**tool, "parameters": {**tool["parameters"], "type": "dict"}}
            for tool in case.record.tools
        ]
        try:
            return module.ast_checker(tools, made, answer, language, kind, "gpt-4o-2024-11-20-FC")
        except (KeyError, TypeError, IndexError):
            return None  # it takes the shape of its own benchmark for granted

    return check


# --- builds -------------------------------------------------------------------------------------


def build_run(records: Path, size: int, engine: str, workers: int) -> BuildRun:
    """Build replicated records in a process of its own.

    Raises:
        SystemExit: If the build fails.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = Path(name)
        candidates = _replicate(records, folder / "records.jsonl.gz", size)
        (folder / "build.toml").write_text(_CONFIG, encoding="utf-8")
        command = [
            sys.executable, "-m", "training.preferences", "build", "--config",
            str(folder / "build.toml"), "--out", str(folder / "out"), "--engine", engine,
            "--workers", str(workers),
        ]  # fmt: skip
        started = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        watch = _Watch(process.pid)
        _, errors = process.communicate()
        seconds = time.monotonic() - started
        peak = watch.stop()
    if process.returncode:
        raise SystemExit(f"the build failed with {process.returncode}:\n{errors[-2000:]}")
    return BuildRun(
        engine=engine, workers=workers, candidates=candidates, seconds=seconds, peak_mb=peak / 1e6
    )


def _replicate(records: Path, target: Path, size: int) -> int:
    """Write records until they hold `size` candidates; each round under ids and queries of its own.

    Otherwise the rounds would be dropped as duplicates, and hang together in the split.
    """
    written = round_ = 0
    with gzip.open(target, "wt", encoding="utf-8", compresslevel=1) as out:
        while written < size:
            for line in _lines(records):
                row = json.loads(line)
                row["id"] += f"~{round_}"
                row["query_id"] = f"{row.get('query_id')}~{round_}"
                row["messages"][0]["content"] += f" ({round_})"
                out.write(json.dumps(row) + "\n")
                written += len(row["candidates"])
                if written >= size:
                    break
            round_ += 1
    return written


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


class _Watch:
    """Samples the memory of a process and its descendants four times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak

    def _run(self) -> None:
        while not self._stopped.wait(0.25):
            self._peak = max(self._peak, sum(map(_set_size, _family(self._pid))))


def _family(root: int) -> list[int]:
    """Return a process and its descendants, by /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def _set_size(pid: int) -> int:
    """Return the proportional set size in bytes: shared pages count once over all processes."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, help="a pack with candidates")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--million", action="store_true", help="build a million candidates, too")
    parser.add_argument("--engines", nargs="*", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    return parser


if __name__ == "__main__":
    main()
