"""`toolrm-guard demo`: run, show progress, print the table, write the figures."""

import datetime
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from toolrm_guard.demo.run import CANDIDATES, DemoResult, Pair, run_task, summarize
from toolrm_guard.demo.task import Task
from toolrm_guard.demo.tasks import ALL_TASKS
from toolrm_guard.embedded.chat_model import EmbeddedChatModel
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import check_file, write_text
from toolrm_guard.guard import Guard
from toolrm_guard.store import TraceStore

WORKERS = 2
"""Processes; each draws on one core and holds about 1.5 GB."""


def run_command(
    *,
    json_file: Path | None,
    store: Path | None,
    seed: int,
    tasks: int | None,
    candidates: int | None,
) -> int:
    """Run the demo and print what it measured; return the exit code.

    Raises:
        ConfigurationError: If an output file cannot be written, before anything is run.
    """
    console = Console()
    chosen = _spread(ALL_TASKS, tasks)
    path = store or Path("runs") / f"demo-{datetime.datetime.now():%Y%m%d-%H%M%S}.db"  # noqa: DTZ005  # a file name in the user's own time
    if path.exists() and path.stat().st_size:
        raise ConfigurationError(
            f"{str(path)!r} holds records already, and the demo counts its own; name a new file"
        )
    for output in (path, json_file):
        check_file(output)
    n = candidates or CANDIDATES
    console.print(
        f"{len(chosen)} tasks, each run bare and guarded (best of {n}, then correction) "
        "by SmolLM2-135M on this CPU. All of them take about 4 minutes on two cores."
    )
    result = _run_with_progress(console, chosen, path, seed=seed, n=n)
    _print(console, result)
    if json_file:
        write_text(json_file, json.dumps(result.to_json(), indent=2) + "\n")
    return 0


def _run_with_progress(
    console: Console, tasks: Sequence[Task], store: Path, *, seed: int, n: int
) -> DemoResult:
    ensure_smollm2()  # once, here, with its own progress; the workers then find it
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    TraceStore(store).close()  # makes the tables before two processes want to
    context = multiprocessing.get_context("spawn")
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(WORKERS, context, _start_worker, (store,)) as pool,
    ):
        bar = progress.add_task("tasks, bare and guarded", total=len(tasks))
        running = [pool.submit(_work, task.id, seed, n) for task in tasks]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance(bar)
        except BaseException:  # an interrupt too: no further task may start
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return summarize([future.result() for future in running], store)


_worker: dict[str, Any] = {}
"""What a worker process keeps from task to task: the sampler with its prompt cache, the guard."""


def _start_worker(store: Path) -> None:
    _worker["sampler"] = EmbeddedSampler()
    _worker["guard"] = Guard("lite", store=store)


def _work(task_id: str, seed: int, n: int) -> Pair:
    def model_for(task_seed: int) -> EmbeddedChatModel:
        return EmbeddedChatModel(sampler=_worker["sampler"], seed=task_seed)

    task = next(task for task in ALL_TASKS if task.id == task_id)
    return run_task(task, model_for, _worker["guard"], seed=seed, n=n)


def _print(console: Console, result: DemoResult) -> None:
    bare, guarded = result.bare, result.guarded
    table = Table(title="The same agent on the same seeds")
    table.add_column("")
    table.add_column("bare", justify="right")
    table.add_column("guarded", justify="right")
    rows: list[tuple[str, str, str]] = [
        ("tasks solved", f"{bare.solved} of {bare.tasks}", f"{guarded.solved} of {guarded.tasks}"),
        ("wrong calls executed", str(bare.wrong_calls), str(guarded.wrong_calls)),
        (
            "destructive wrong calls executed",
            str(bare.destructive_wrong_calls),
            str(guarded.destructive_wrong_calls),
        ),
        ("calls blocked that were right", "-", str(result.blocked_right)),
        ("model tokens", f"{bare.tokens:,}", f"{guarded.tokens:,}"),
        (
            "ms the guard added per turn, p50 / p95",
            "-",
            f"{result.added_ms_p50:.1f} / {result.added_ms_p95:.1f}",
        ),
        ("seconds, model included", f"{bare.seconds:.0f}", f"{guarded.seconds:.0f}"),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(
        f"{result.records} reviews recorded in {result.store}; "
        f"they yield {result.pairs} preference pairs."
    )


def _spread(tasks: Sequence[Task], count: int | None) -> Sequence[Task]:
    """Return `count` tasks spread evenly over all of them, so that every toolkit takes part."""
    if count is None or count >= len(tasks):
        return tasks
    return [tasks[index * len(tasks) // count] for index in range(count)]
