"""`toolrm-guard harvest`."""

import argparse
from pathlib import Path

from toolrm_guard import __version__
from toolrm_guard.cli.arguments import Commands, open_store, positive


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    harvest = commands.add_parser(
        "harvest",
        help="turn a trace store into preference data",
        description="Pairs of what ran and went well against what was worse in the same decision. "
        "Labels come from outcomes, then from humans, then from scores, and every row says which. "
        "Prints what was left out, and why.",
    )
    harvest.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    harvest.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PLACE",
        help="one file if it ends in .jsonl, else a folder with a file a side of the split",
    )
    harvest.add_argument(
        "--shape",
        choices=("trl_explicit", "trl_implicit", "pointwise"),
        default="trl_explicit",
        help="as in the preference pipeline (default trl_explicit); pointwise trains `lite`",
    )
    harvest.add_argument(
        "--select",
        choices=("uncertain", "disagreement", "all"),
        default="all",
        help="where the scorer was near 1/2; where candidates, or scorer and outcome, disagree",
    )
    harvest.add_argument(
        "--min-margin",
        type=float,
        default=0.2,
        metavar="P",
        help="least difference of probability where only scores say what is worse (default 0.2)",
    )
    harvest.add_argument(
        "--similar",
        type=float,
        default=0.8,
        metavar="J",
        help="equal decisions on prompts this alike count once; 1 only drops equals (default 0.8)",
    )
    harvest.add_argument(
        "--per-tool",
        type=positive,
        default=500,
        metavar="N",
        help="most pairs of one tool in one effect class (default 500)",
    )
    harvest.add_argument(
        "--limit", type=positive, metavar="N", help="most pairs in all, even over effects and tools"
    )
    harvest.add_argument(
        "--validation",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="held out by conversation and prompt (default 0.1)",
    )
    harvest.add_argument("--seed", type=int, default=0, help="of sampling and split (default 0)")
    harvest.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard.harvest.command import run_command
    from toolrm_guard.harvest.funnel import Settings
    from toolrm_guard.harvest.rows import Origin
    from toolrm_guard.store import store_name

    settings = Settings(
        select=arguments.select,
        min_margin=arguments.min_margin,
        similar=arguments.similar,
        per_tool=arguments.per_tool,
        limit=arguments.limit,
        validation=arguments.validation,
        seed=arguments.seed,
    )
    with open_store(arguments.store) as store:
        funnel = run_command(
            store,
            out=arguments.out,
            shape=arguments.shape,
            settings=settings,
            origin=Origin(store=store_name(arguments.store), version=__version__),
        )
    print(funnel.render())
    print(f"wrote {arguments.out}" if funnel.kept else "no pair, so nothing was written")
    return 0 if funnel.kept else 1
