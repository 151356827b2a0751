"""`toolrm-guard`: the command line. A module a command; each loads only what it needs to run."""

import argparse
import sys
from collections.abc import Sequence

from toolrm_guard import __version__
from toolrm_guard.cli import (
    calibrate,
    cascade,
    demo,
    doctor,
    export,
    forget,
    harvest,
    replay,
    report,
    traces,
)
from toolrm_guard.errors import GuardError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except GuardError as exc:
        print(f"toolrm-guard: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolrm-guard: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolrm-guard",
        description="Score, select and correct an agent's tool calls before they execute.",
    )
    parser.add_argument("--version", action="version", version=f"toolrm-guard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        demo,
        report,
        calibrate,
        cascade,
        export,
        doctor,
        harvest,
        forget,
        replay,
        traces,
    ):
        command.add(commands)
    return parser
