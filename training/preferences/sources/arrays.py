"""The elements of a JSON array, cut out of a stream without reading it whole.

The cut follows brackets, quotes and the commas between elements, so a malformed element does not
cost those behind it, and memory holds one element however long the array is.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Literal

CHUNK_BYTES = 2**20

Place = Literal["inside", "cut", "behind"]
"""An element that ended; what is left of a stream that ends inside the array; what follows it."""

_MARK = re.compile(rb'["\[\]{}]')
_MARK_OR_COMMA = re.compile(rb'["\[\]{},]')
_REST_OF_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
_BARE = b" \t\r\n,"
_BLANK = b" \t\r\n"


def elements(raw: BinaryIO) -> Iterator[tuple[bytes, Place]]:
    """Yield each element's bytes, and where they stand.

    A stream that ends inside the array yields what is left, perhaps nothing, as `cut`; the first
    bytes of what follows the array come as `behind`, once.

    Args:
        raw: A stream whose first byte after white space is `[`.
    """
    parts: list[bytes] = []
    depth, quoted, at = 0, False, 0
    while chunk := raw.read(CHUNK_BYTES):
        start = 0
        while at < len(chunk):
            if quoted:
                mark = _REST_OF_TEXT.match(chunk, at)
            else:
                mark = (_MARK_OR_COMMA if depth == 1 else _MARK).search(chunk, at)
            if mark is None:
                # A backslash at the end escapes the first byte of the next chunk.
                at = len(chunk) + (quoted and _escapes(chunk, at))
                break
            at, sign = mark.end(), chunk[mark.end() - 1 : mark.end()]
            if sign == b'"':
                quoted = not quoted
                continue
            # An element ends behind its own bracket; a bare one before whatever is not its own.
            closes = sign in b"]}" and depth == 2
            bare = depth == 1
            depth += sign in b"[{"
            depth -= sign in b"]}"
            if not (bare or closes or depth == 1):
                continue
            end = at if closes else at - 1
            if bare or closes:
                if text := b"".join((*parts, chunk[start:end])).strip(_BARE):
                    yield text, "inside"
            parts, start = [], end if bare and depth == 2 else at
            if depth == 0:
                if behind := _behind(chunk[at:], raw):
                    yield behind, "behind"
                return
        at -= len(chunk)
        parts.append(chunk[start:])
    yield b"".join(parts).strip(_BARE), "cut"


def _behind(rest: bytes, raw: BinaryIO) -> bytes:
    """Return the first bytes that are not blank, or nothing if there are none."""
    while True:
        if text := rest.lstrip(_BLANK):
            return text[:80]
        if not (rest := raw.read(CHUNK_BYTES)):
            return b""


def _escapes(chunk: bytes, start: int) -> bool:
    """Tell whether the text that begins at `start` ends in a backslash that escapes."""
    tail = chunk[start:]
    return (len(tail) - len(tail.rstrip(b"\\"))) % 2 == 1
