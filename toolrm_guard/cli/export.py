"""`toolrm-guard export`."""

import argparse
from pathlib import Path

from toolrm_guard.cli.arguments import Commands


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    export = commands.add_parser(
        "export",
        help="write a trained ToolRM-Disc as one full folder that vLLM can serve",
        description="Check a ToolRM-Disc folder (a LoRA adapter or a full model), merge it, and "
        "write it as a full sequence-classification model with its tokenizer and disc.json.",
    )
    export.add_argument("folder", type=Path, help="holds disc.json and the weights")
    export.add_argument("out", type=Path, help="made; must not be there yet")
    export.add_argument(
        "--base", metavar="FOLDER", help="where the base of an adapter is, if not where it says"
    )
    export.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard.scorers.disc_model import export_disc

    out = export_disc(arguments.folder, arguments.out, base=arguments.base)
    print(f"wrote {out}")
    return 0
