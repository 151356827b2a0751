"""Rows of BFCL's files: one JSON object a line, and every line that is none is accounted for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.foreign import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A line, a prompt or an output that could not be used.

    Attributes:
        where: The file and the line, or an id.
        reason: A short fixed code that reports count by: `bad_json`, `unknown_prompt`, ...
        detail: For people: the value and what was expected.
    """

    where: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One object of a file, with where it stands."""

    where: str
    value: Json


def read_lines(path: Path) -> Iterator[Line | Unread]:
    """Yield the objects of a file and what could not be read.

    Raises:
        ConfigurationError: If the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _line(line, f"{path.name}:{number}")
    except OSError as exc:
        raise ConfigurationError(f"cannot read {path}: {exc.strerror or exc}") from exc


def _line(line: bytes, where: str) -> Line | Unread:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        return Unread(where=where, reason="not_utf8", detail=f"byte {exc.start}: {exc.reason}")
    except (ValueError, RecursionError) as exc:
        cut = not line.endswith(b"\n")
        detail = f"{exc}: {line[:80]!r}; one JSON object a line is expected"
        return Unread(where=where, reason="truncated" if cut else "bad_json", detail=detail)
    if not isinstance(value, dict):
        detail = f"a JSON {type(value).__name__}, expected an object"
        return Unread(where=where, reason="not_an_object", detail=detail)
    return Line(where=where, value=value)
