"""`toolrm-guard forget`."""

import argparse
import datetime
import re

from toolrm_guard.cli.arguments import Commands, open_store

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_OLDEST = datetime.timedelta(days=365_000)


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    forget = commands.add_parser(
        "forget",
        help="delete a conversation, or what is too old, from a trace store",
        description="Delete reviews with their calls and every outcome that may be of them. Says "
        "what it would delete; deletes with --yes.",
    )
    forget.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    which = forget.add_mutually_exclusive_group(required=True)
    which.add_argument("--conversation", metavar="ID", help="as the guard was given it")
    which.add_argument(
        "--older-than", type=_age, metavar="AGE", help="recorded before that: 30d, 12h, 90m, 4w"
    )
    forget.add_argument("--yes", action="store_true", help="delete it")
    forget.add_argument(
        "--vacuum", action="store_true", help="also rewrite the database without the gaps"
    )
    forget.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        if arguments.conversation is not None:
            found = store.delete_conversation(arguments.conversation, dry_run=not arguments.yes)
        else:
            before = datetime.datetime.now(datetime.UTC) - arguments.older_than
            found = store.delete_before(before, dry_run=not arguments.yes)
        said = f"{_counted(found.reviews, 'review')} and {_counted(found.outcomes, 'outcome')}"
        if not arguments.yes:
            print(f"{said} would be deleted; add --yes to delete them")
            return 2
        if arguments.vacuum:
            store.vacuum()
    print(f"deleted {said}")
    return 0


def _age(text: str) -> datetime.timedelta:
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 30d, 12h or 90m")
    age = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])})
    if age > _OLDEST:
        raise argparse.ArgumentTypeError(f"{text!r} is longer ago than a thousand years")
    return age


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
