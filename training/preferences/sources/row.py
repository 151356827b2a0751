"""One object of a source as it was read, and the record of one that could not be."""

from dataclasses import dataclass

from training.preferences.rows import Dropped, JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a source.

    Attributes:
        where: File and line (or index), for reports and for rows without an id.
        value: The object.
    """

    where: str
    value: JsonObject


def dropped(reason: str, where: str, detail: str) -> Dropped:
    """Return the record of a row that could not be read; a long detail is cut."""
    clean = detail.encode("utf-8", "backslashreplace").decode("utf-8")
    return Dropped(stage="read", reason=reason, id=where, detail=clean[:500])
