"""Rows out of files, one at a time, with every line that is no row accounted for.

`datasets` reads hub names and parquet. Its JSON reader fails a whole file for one bad line, and a
report has to name that line; JSON and JSONL, plain or gzipped, are therefore read here.
"""

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from toolrm_guard.errors import ConfigurationError
from training.preferences.rows import Dropped, Trajectory
from training.preferences.sources.arrays import elements
from training.preferences.sources.fields import BadField
from training.preferences.sources.row import Row, dropped

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")
"""What is read of a folder; other files in it are no data."""

MAX_LINE_BYTES = 64 * 2**20
"""A longer line is dropped unread, so that a file without line ends cannot fill the memory."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


Convert = Callable[[Row], Iterator[Trajectory | Dropped]]


def read_rows(
    path: str | None, *, hub: str | None = None, part: str | None = None, split: str = "train"
) -> Iterator[Row | Dropped]:
    """Yield the rows of a file, of a folder's files by name, or of a dataset on the hub.

    Args:
        path: A file, a folder or a hub name; None stands for `hub`.
        hub: Where the source lives on the hub.
        part: The configuration of a hub dataset.
        split: The split of a hub dataset.

    Raises:
        ConfigurationError: If there is nothing to read at the path.
    """
    found = False
    for row in _all_rows(path, hub, part, split):
        found = found or isinstance(row, Row) or row.reason != "ignored_file"
        yield row
    if not found:
        yield _empty(Path(str(path or hub)).name)


def adapt(rows: Iterator[Row | Dropped], convert: Convert) -> Iterator[Trajectory | Dropped]:
    """Yield what `convert` makes of each row; its `BadField` drops the row for that reason."""
    for row in rows:
        if isinstance(row, Dropped):
            yield row
            continue
        try:
            yield from convert(row)
        except BadField as exc:
            yield dropped(exc.reason, row.where, str(exc))


def _empty(name: str) -> Dropped:
    return dropped("empty_source", name, f"{name} holds no row; check that it was copied whole")


def shown(file: Path, under: Path) -> str:
    """Return a file's name for reports: its path inside the folder that was given."""
    return file.relative_to(under).as_posix() if file != under else file.name


def _files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a folder in the order of their names."""
    return [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())


def _all_rows(
    path: str | None, hub: str | None, part: str | None, split: str
) -> Iterator[Row | Dropped]:
    local = Path(path).expanduser() if path else None
    if local is not None and local.exists():
        for file in _files(local):
            at = shown(file, local)
            if file == local or file.name.endswith(SUFFIXES):
                yield from read_file(file, at)
            else:
                detail = f"only files named {', '.join(SUFFIXES)} are read of a folder"
                yield dropped("ignored_file", at, detail)
        return
    name = path or hub
    if name is None or not _HUB_NAME.fullmatch(name) or (path and path.endswith(SUFFIXES)):
        raise ConfigurationError(
            f"cannot read {name!r}: no such file or folder; give the path of one"
            + (f", or leave it out to load {hub!r} from the hub" if hub else "")
        )
    from training.preferences.sources.hub import hub_rows  # `datasets` takes seconds to import

    for index, value in enumerate(hub_rows(name, part, split)):
        yield Row(where=f"{name}[{index}]", value=value)


def read_file(file: Path, name: str) -> Iterator[Row | Dropped]:
    """Yield the rows of one file; `name` is what reports call it, and an empty one is counted."""
    found = False
    for row in _file_rows(file, name):
        found = True
        yield row
    if not found:
        yield _empty(name)


def _file_rows(file: Path, name: str) -> Iterator[Row | Dropped]:
    if file.name.endswith(".parquet"):
        from training.preferences.sources.hub import parquet_rows

        yield from parquet_rows(file, name)
        return
    try:
        with _opened(file) as raw:
            array = _first_byte(raw) == b"["
        with _opened(file) as raw:
            yield from _array_rows(raw, name) if array else _line_rows(raw, name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        detail = f"the gzip stream breaks off ({exc}); what follows is lost: copy it again"
        yield dropped("damaged_gzip", name, detail)
    except OSError as exc:
        raise ConfigurationError(f"cannot read {file}: {exc.strerror or exc}") from exc


def _first_byte(raw: BinaryIO) -> bytes:
    """Return the first byte behind a byte order mark and white space, however much there is."""
    while block := raw.read(2**16):
        if text := block.lstrip(b"\xef\xbb\xbf \t\r\n"):
            return text[:1]
    return b""


def _opened(file: Path) -> BinaryIO:
    with file.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(file, "rb")) if zipped else file.open("rb")


def _line_rows(raw: BinaryIO, name: str) -> Iterator[Row | Dropped]:
    number = 0
    while line := raw.readline(MAX_LINE_BYTES):
        number += 1
        where = f"{name}:{number}"
        whole = line.endswith(b"\n")
        if len(line) == MAX_LINE_BYTES and not whole:
            while (rest := raw.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield dropped("line_too_long", where, f"longer than {MAX_LINE_BYTES:,} bytes")
        elif line.strip():
            yield _row(line, where, truncated=not whole)


def _array_rows(raw: BinaryIO, name: str) -> Iterator[Row | Dropped]:
    for index, (text, place) in enumerate(elements(raw)):
        where = f"{name}[{index}]"
        if place == "behind":
            detail = f"behind the end of the array, nothing of it was read: {text!r}"
            yield dropped("trailing_data", where, detail)
        elif text:
            yield _row(text, where, truncated=place == "cut")
        else:
            yield dropped("truncated", where, "the array is not closed; copy the file again")


def _row(text: bytes, where: str, *, truncated: bool) -> Row | Dropped:
    try:
        value = parse_json(text.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        return dropped("not_utf8", where, f"byte {exc.start}: {exc.reason}; save it as UTF-8")
    except BadField as exc:
        reason = "truncated" if truncated and exc.reason == "bad_json" else exc.reason
        return dropped(reason, where, str(exc))
    if not isinstance(value, dict):
        return dropped("not_an_object", where, f"a JSON {type(value).__name__}: {text[:80]!r}")
    return Row(where=where, value=value)


def parse_json(text: str) -> Any:
    """Return the value of strict JSON: finite numbers, text that can be written as UTF-8.

    Raises:
        BadField: If it is not; reason `bad_json`, `bad_number` or `bad_text`.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except BadField:
        raise
    except RecursionError as exc:
        raise BadField("bad_json", "nested too deeply") from exc
    except ValueError as exc:
        raise BadField("bad_json", f"{exc}: {text[:80]!r}") from exc
    if "\\ud" in text or "\\uD" in text:  # only an escape can make a lone surrogate
        _check_text(value)
    return value


def _refuse(constant: str) -> float:
    raise BadField("bad_number", f"{constant} is no JSON number")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise BadField("bad_number", f"{number} is beyond the range of a double")
    return value


def _check_text(value: object) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str) and not item.isascii():
            try:
                item.encode("utf-8")
            except UnicodeEncodeError as exc:
                raise BadField("bad_text", f"a lone surrogate in {item[:80]!r}") from exc
