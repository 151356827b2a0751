"""What somebody may have meant by a name that is not known."""

import difflib
from collections.abc import Sequence


def hint(name: str, known: Sequence[str]) -> str:
    """Return the end of an error message: the nearest known name, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
