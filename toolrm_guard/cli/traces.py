"""`toolrm-guard traces`."""

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from toolrm_guard.cli.arguments import Commands, open_store, positive
from toolrm_guard.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from toolrm_guard.traces.listing import Filter


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    traces = commands.add_parser(
        "traces",
        help="list, show and export what a trace store holds",
        description="Read the records of a trace store. Exports hold no secrets that the redactor "
        "knows, whatever the guard that recorded them was set to.",
    )
    actions = traces.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="one line a review, the latest last")
    listing.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    _add_filters(listing, limit=50)
    listing.set_defaults(run=_run, action="list")
    show = actions.add_parser("show", help="one review: candidates, scores, findings, outcome")
    show.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    show.add_argument("review", metavar="REVIEW", help="its id, or how it begins")
    show.set_defaults(run=_run, action="show")
    export = actions.add_parser("export", help="a table of reviews, or a page of a conversation")
    export.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    target = export.add_mutually_exclusive_group(required=True)
    target.add_argument("--parquet", type=Path, metavar="FILE", help="a row a candidate")
    target.add_argument(
        "--html", type=Path, metavar="FILE", help="one file that loads nothing; of --conversation"
    )
    _add_filters(export, limit=None)
    export.set_defaults(run=_run, action="export")


def _add_filters(parser: argparse.ArgumentParser, *, limit: int | None) -> None:
    parser.add_argument("--decision", choices=("execute", "correct", "escalate", "reject"))
    parser.add_argument("--tool", metavar="NAME", help="called by the chosen candidate")
    parser.add_argument("--conversation", metavar="ID")
    parser.add_argument("--scorer", metavar="NAME")
    parser.add_argument("--since", metavar="WHEN", help="30m, 2h, 3d, 1w, or an ISO date")
    parser.add_argument(
        "--limit",
        type=positive,
        default=limit,
        metavar="N",
        help=f"the latest so many (default {limit or 'all'})",
    )


def _run(arguments: argparse.Namespace) -> int:
    try:
        from toolrm_guard.traces import command

        if getattr(arguments, "parquet", None):
            import pyarrow  # noqa: F401  # named here, before the store is opened
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"traces need {exc.name!r}: pip install 'toolrm-guard[traces]'"
        ) from exc
    from toolrm_guard.store import store_name

    with open_store(arguments.store) as store:
        if arguments.action == "show":
            return command.show(store, arguments.review)
        asked = _asked(arguments)
        if arguments.action == "list":
            return command.list_reviews(store, asked)
        if arguments.parquet is not None:
            return command.export_parquet(store, asked, arguments.parquet)
        if arguments.conversation is None:
            raise ConfigurationError("--html shows one conversation; name it with --conversation")
        name = store_name(arguments.store)
        return command.export_html(store, arguments.conversation, arguments.html, name=name)


def _asked(arguments: argparse.Namespace) -> "Filter":
    from toolrm_guard.traces.listing import Filter, since

    now = datetime.datetime.now(datetime.UTC)
    return Filter(
        decision=arguments.decision,
        tool=arguments.tool,
        conversation=arguments.conversation,
        scorer=arguments.scorer,
        since=since(arguments.since, now) if arguments.since else None,
        limit=arguments.limit,
    )
