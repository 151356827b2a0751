"""`toolrm-guard report`."""

import argparse
import json
from pathlib import Path

from toolrm_guard.cli.arguments import Commands, open_store


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    report = commands.add_parser(
        "report",
        help="say what was blocked, corrected and escalated, or in shadow would have been",
        description="Summarise the records of a trace store by mode, tool and effect class.",
    )
    report.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    report.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    report.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard import report
    from toolrm_guard.files import check_file, write_text

    check_file(arguments.json)
    with open_store(arguments.store) as store:
        figures = report.summarise(store.reviews(), store.outcomes())
    print(report.render(figures))
    if arguments.json is not None:
        text = json.dumps(report.to_json(figures), indent=1, sort_keys=True)
        write_text(arguments.json, text + "\n")
    return 0
