"""`toolrm-guard calibrate`."""

import argparse
from pathlib import Path

from toolrm_guard.cli.arguments import Commands, positive


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    calibrate = commands.add_parser(
        "calibrate",
        help="choose thresholds that block right calls no more often than a stated rate",
        description="Choose a threshold per effect class so that, on average over new prompts like "
        "those given, at most the stated share of right calls falls below it (conformal risk "
        "control). Fails if there is too little evidence for the rate.",
    )
    source = calibrate.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--records", type=Path, nargs="+", metavar="FILE", help="labelled records, JSON lines"
    )
    source.add_argument(
        "--store",
        metavar="STORE",
        help="SQLite file or SQLAlchemy URL of a trace store; its shadow reviews with outcomes",
    )
    calibrate.add_argument("--scorer", default="lite", help="default: lite")
    calibrate.add_argument(
        "--wrongly-blocked",
        type=float,
        required=True,
        metavar="RATE",
        help="share of right calls that may be blocked, e.g. 0.05",
    )
    calibrate.add_argument("--out", type=Path, required=True, metavar="FILE")
    calibrate.add_argument(
        "--only",
        type=_kinds,
        metavar="KIND,...",
        help="of read, write, destructive, answer; the others keep the scorer's own thresholds",
    )
    calibrate.add_argument(
        "--candidates",
        type=positive,
        default=1,
        metavar="N",
        help="per decision, as your graph draws them; of --records (default 1)",
    )
    calibrate.add_argument("--seed", type=int, default=0, help="of drawing candidates (default 0)")
    calibrate.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard import calibrate
    from toolrm_guard.calibration import KINDS

    return calibrate.run_command(
        records=arguments.records or (),
        store=arguments.store,
        scorer=arguments.scorer,
        rate=arguments.wrongly_blocked,
        kinds=arguments.only or KINDS,
        candidates=arguments.candidates,
        seed=arguments.seed,
        out=arguments.out,
    )


def _kinds(text: str) -> tuple[str, ...]:
    known = ("read", "write", "destructive", "answer")
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [kind for kind in kinds if kind not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return kinds
