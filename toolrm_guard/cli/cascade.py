"""`toolrm-guard cascade`."""

import argparse
from pathlib import Path

from toolrm_guard.cli.arguments import Commands, positive


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    cascade = commands.add_parser(
        "cascade",
        help="choose which decisions a cheap scorer passes on to a costly one",
        description="Judge labelled records by both scorers and choose the sureness below which a "
        "decision is escalated, for a share of escalations or for an accuracy. Prints the share "
        "escalated, the accuracy against either scorer alone, and the cost.",
    )
    cascade.add_argument("--first", default="lite", help="the cheap scorer (default: lite)")
    cascade.add_argument("--second", required=True, help="the costly scorer, e.g. vllm or local")
    cascade.add_argument(
        "--records", type=Path, nargs="+", required=True, metavar="FILE", help="labelled records"
    )
    goal = cascade.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--escalate", type=float, metavar="SHARE", help="escalate at most this share, e.g. 0.2"
    )
    goal.add_argument(
        "--within",
        type=float,
        metavar="LOSS",
        help="lose at most this accuracy against always escalating, e.g. 0.01",
    )
    cascade.add_argument("--out", type=Path, required=True, metavar="FILE")
    cascade.add_argument(
        "--candidates",
        type=positive,
        default=4,
        metavar="N",
        help="per decision, as your graph draws them (default 4)",
    )
    cascade.add_argument("--limit", type=positive, metavar="N", help="a sample of N decisions")
    cascade.add_argument("--seed", type=int, default=0, help="of drawing (default 0)")
    cascade.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard import cascade_fit

    return cascade_fit.run_command(
        first=arguments.first,
        second=arguments.second,
        records=arguments.records,
        candidates=arguments.candidates,
        escalate=arguments.escalate,
        within=arguments.within,
        limit=arguments.limit,
        seed=arguments.seed,
        out=arguments.out,
    )
