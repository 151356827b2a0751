"""`toolrm-guard demo`: run, show progress, print the table, write the figures."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from toolrm_guard.demo.run import CANDIDATES, DemoResult, run
from toolrm_guard.demo.task import Task
from toolrm_guard.demo.tasks import ALL_TASKS
from toolrm_guard.embedded.chat_model import EmbeddedChatModel
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.errors import ConfigurationError


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
    for output in (path, *([json_file] if json_file else [])):
        _check_writable(output)
    n = candidates or CANDIDATES
    console.print(
        f"{len(chosen)} tasks, each run bare and guarded (best of {n}, then correction) "
        "by SmolLM2-135M on this CPU. All of them take about 4 minutes on two cores."
    )
    result = _run_with_progress(console, chosen, path, seed=seed, n=n)
    _print(console, result)
    if json_file:
        json_file.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    return 0


def _run_with_progress(
    console: Console, tasks: Sequence[Task], store: Path, *, seed: int, n: int
) -> DemoResult:
    sampler = EmbeddedSampler()  # shows its own progress when the weights must be prepared
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=2 * len(tasks))

        def on_task(agent: str, task: Task) -> None:
            progress.update(bar, description=f"{agent}: {task.id}")

        def on_done() -> None:
            progress.advance(bar)

        def model_for(task_seed: int) -> EmbeddedChatModel:
            return EmbeddedChatModel(sampler=sampler, seed=task_seed)

        return run(
            tasks, model_for, store=store, seed=seed, n=n, on_task=on_task, on_done=on_done
        )


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


def _check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as exc:
        raise ConfigurationError(
            f"cannot write {str(path)!r} ({exc.strerror}); give a file in a folder of yours"
        ) from exc



