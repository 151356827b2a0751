"""What every demo toolkit is: one in-memory state and the tools that read and change it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Toolkit:
    """Tools over one small state.

    A subclass is a dataclass whose fields are tables, id -> row; each starts out seeded with rows
    that are easy to mistake for one another. Rows are frozen: a tool replaces a row, adds one or
    removes one. Annotations stay real objects here (no `from __future__ import annotations`),
    because tool schemas are read from them.
    """

    @property
    def tools(self) -> list[Callable[..., str]]:
        """The bound tool methods in the order they are written: all that carry an effect class."""
        members = vars(type(self)).items()
        return [getattr(self, name) for name, member in members if hasattr(member, "effect")]

    def snapshot(self) -> dict[str, object]:
        """Return a deep copy of the state as plain dicts: table -> id -> row."""
        return asdict(self)


def plain(text: str) -> str:
    """Return `text` without what never matters: case, spare whitespace, trailing punctuation."""
    return " ".join(text.split()).casefold().rstrip(".,;:!?")


def find(table: Mapping[str, Row], key: str, what: str) -> str:
    """Return the key of `table` that `key` means.

    Args:
        table: Rows by key.
        key: What the caller wrote; compared through `plain`.
        what: The kind of thing, for the message.

    Raises:
        ValueError: If the table has no such key.
    """
    for known in table:
        if plain(known) == plain(key):
            return known
    raise ValueError(f"There is no {what} {key!r}.")


def next_id(table: Mapping[str, Row], prefix: str) -> str:
    """Return `prefix` and the number after the highest one in `table`; 1 for an empty table."""
    numbers = [int(key.removeprefix(prefix)) for key in table]
    return f"{prefix}{max(numbers, default=0) + 1}"


def as_day(text: str) -> str:
    """Return `text` as a day, YYYY-MM-DD.

    Raises:
        ValueError: If it is not written that way or is no day of the calendar.
    """
    day = plain(text)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            return date.fromisoformat(day).isoformat()
    except ValueError:
        pass  # The right shape but no such day, such as 2026-02-30: the same answer below.
    raise ValueError(f"{text!r} is not a day; write it as YYYY-MM-DD.")


def as_time(text: str) -> str:
    """Return `text` as a time of day, HH:MM on a 24-hour clock.

    Raises:
        ValueError: If it is not written that way.
    """
    time = plain(text)
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", time):
        return time
    raise ValueError(f"{text!r} is not a time; write it as HH:MM.")


def within(number: float, low: float, high: float, what: str) -> None:
    """Check that `number` lies in [low, high].

    Raises:
        ValueError: If it does not (NaN never does).
    """
    if not low <= number <= high:
        raise ValueError(f"{what} must be from {low:g} to {high:g}, not {number:g}.")
