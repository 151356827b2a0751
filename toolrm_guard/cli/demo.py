"""`toolrm-guard demo`."""

import argparse
from pathlib import Path

from toolrm_guard.cli.arguments import Commands, positive
from toolrm_guard.errors import MissingExtraError


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    demo = commands.add_parser(
        "demo",
        help="run the same agent bare and guarded, and compare",
        description="Run a LangGraph agent on an embedded 135M model over stateful toolkits, bare "
        "and guarded on the same seeds, and print what each did. Needs no network, GPU or key "
        "once the model is cached.",
    )
    demo.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    demo.add_argument("--store", type=Path, metavar="FILE", help="SQLite file for the records")
    demo.add_argument("--seed", type=int, default=0, help="of the whole run (default 0)")
    demo.add_argument("--tasks", type=positive, metavar="N", help="only N tasks, evenly spread")
    demo.add_argument("--candidates", type=positive, metavar="N", help="per round (default 8)")
    demo.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from toolrm_guard.demo import command
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"the demo needs {exc.name!r}: pip install 'toolrm-guard[lite,local,langgraph]'"
        ) from exc
    return command.run_command(
        json_file=arguments.json,
        store=arguments.store,
        seed=arguments.seed,
        tasks=arguments.tasks,
        candidates=arguments.candidates,
    )
