"""What the commands' arguments have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from toolrm_guard.errors import StoreError

if TYPE_CHECKING:
    from toolrm_guard.store import TraceStore

Commands = argparse._SubParsersAction  # argparse has no public name for it


def positive(text: str) -> int:
    """Return a whole number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value


def open_store(location: str) -> "TraceStore":
    """Return the trace store at a SQLite file or SQLAlchemy URL; a file must be there already.

    Raises:
        StoreError: If there is none.
    """
    from toolrm_guard.store import TraceStore

    if "://" not in location and not Path(location).is_file():
        raise StoreError(f"no trace store at {location!r}; give the file that Guard writes")
    return TraceStore(location)
