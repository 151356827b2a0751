"""`toolrm-guard replay`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from toolrm_guard.cli.arguments import Commands, open_store
from toolrm_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from toolrm_guard.replay.gate import Gate

_GATE = """
A gate is made of comparisons, joined by `and` and `or`. `base` is the baseline's value of what it
is compared with: "accuracy>=base and false_block<=0.02". A value that does not exist, because no
outcome is known, makes its comparison fail. Names:
"""


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    replay = commands.add_parser(
        "replay",
        help="judge stored reviews with another scorer: what would change, and is it better",
        description="Judge the reviews of a trace store again with another scorer or checkpoint, "
        "under the default policy and the scorer's own thresholds. Exit code 0 if the gate passes "
        "or there is none, 1 if it fails, 2 if it cannot be read.",
        epilog=_GATE + _names(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    replay.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    new = replay.add_mutually_exclusive_group(required=True)
    new.add_argument("--scorer", metavar="NAME", help="e.g. lite, local, vllm")
    new.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="of a lite or a ToolRM-Disc")
    replay.add_argument(
        "--baseline",
        default="recorded",
        metavar="WHAT",
        help="a scorer's name, a model's folder, or `recorded`: as it was decided (the default)",
    )
    replay.add_argument("--gate", type=_gate, metavar="EXPRESSION", help="see below")
    replay.add_argument("--html", type=Path, metavar="FILE", help="page of the changed decisions")
    replay.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    replay.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="for one review (default 60)"
    )
    replay.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    replay.set_defaults(run=_run)


def _names() -> str:
    from toolrm_guard.replay.names import NAMES

    return "\n".join(f"  {name:<16} {said}" for name, said in NAMES.items())


def _gate(text: str) -> "Gate":
    from toolrm_guard.replay.gate import Gate, GateError

    try:
        return Gate.parse(text)
    except GateError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard.replay.command import Plan, load, run_command
    from toolrm_guard.scorers.checkpoint import from_folder
    from toolrm_guard.store import store_name

    if not arguments.timeout > 0:
        raise ConfigurationError(f"--timeout {arguments.timeout:g} leaves no time; give seconds")
    plan = Plan(
        scorer=lambda: (
            load(arguments.scorer)
            if arguments.checkpoint is None
            else from_folder(arguments.checkpoint)
        ),
        baseline=arguments.baseline,
        gate=arguments.gate,
        html=arguments.html,
        json=arguments.json,
        timeout_s=arguments.timeout,
        seed=arguments.seed,
        name=store_name(arguments.store),
    )
    with open_store(arguments.store) as store:
        return run_command(store, plan)
