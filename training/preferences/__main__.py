"""Build a preference dataset from the command line.

    python -m training.preferences build --config C --out DIR [--engine local|ray] [--workers N]

Exit code 0: the build is whole. 1: it is finished, but rows or requests were lost; the report says
which. 2: the configuration is wrong. 130: interrupted; the same command goes on from there.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from toolrm_guard.errors import GuardError
from training.preferences.build import Build
from training.preferences.config import PipelineConfigError, check_entries, read_config
from training.preferences.engines import make_engine
from training.preferences.inputs import find_inputs

console = Console(stderr=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    args = _parser().parse_args(argv)
    try:
        return _build(args)
    except GuardError as exc:
        console.print(f"error: {exc}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on after the last finished stage")
        return 130


def _build(args: argparse.Namespace) -> int:
    if args.workers < 1:
        raise PipelineConfigError(f"--workers is {args.workers}; at least 1 is needed")
    config = read_config(args.config)
    check_entries(config, str(args.config))
    inputs = find_inputs(config, args.data or args.config.parent)
    args.out.mkdir(parents=True, exist_ok=True)
    engine = make_engine(args.engine, args.workers, args.out / "stages" / "scratch")
    try:
        build = Build(config=config, inputs=inputs, out=args.out, engine=engine, console=console)
        report = build.run()
    finally:
        engine.close()
    for note in report["notes"]:
        console.print(f"note: {note}", style="yellow", markup=False)
    for problem in report["problems"]:
        console.print(f"not whole: {problem}", style="red", markup=False)
    console.print(f"report: {args.out / 'report.json'}; card: {args.out / 'README.md'}")
    return 0 if report["whole"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.preferences", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, dest="command")
    build = commands.add_parser("build", help="build a dataset, or go on with one")
    build.add_argument("--config", type=Path, required=True, help="TOML file; see recipes/")
    build.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    build.add_argument("--engine", choices=("local", "ray"), default="local")
    build.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    build.add_argument(
        "--data", type=Path, help="folder that the paths of sources are relative to; default: the "
        "configuration's own",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
