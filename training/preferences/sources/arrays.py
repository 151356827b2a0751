"""The elements of a JSON array, cut out of a stream without reading it whole.

The cut follows brackets and quotes alone, so a malformed element does not cost those behind it, and
memory holds one element however long the array is.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

CHUNK_BYTES = 2**20

_MARK = re.compile(rb'["\[\]{}]')
_REST_OF_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
_BARE = b" \t\r\n,"


def elements(raw: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield each element's bytes, and whether it was closed before the stream ended.

    A stream that ends inside the array yields what is left, perhaps nothing, as not closed.

    Args:
        raw: A stream whose first byte after white space is `[`.
    """
    parts: list[bytes] = []
    depth, quoted, at = 0, False, 0
    while chunk := raw.read(CHUNK_BYTES):
        start = 0
        while at < len(chunk):
            mark = (_REST_OF_TEXT.match if quoted else _MARK.search)(chunk, at)
            if mark is None:
                # A backslash at the end escapes the first byte of the next chunk.
                at = len(chunk) + (quoted and _escapes(chunk, at))
                break
            at, sign = mark.end(), chunk[mark.end() - 1 : mark.end()]
            if sign == b'"':
                quoted = not quoted
            elif sign in b"[{":
                depth += 1
                start = at if depth == 1 else start
            else:
                depth -= 1
                if depth == 1:
                    yield b"".join((*parts, chunk[start:at])).strip(_BARE), True
                    parts, start = [], at
                elif depth == 0:
                    if left := b"".join((*parts, chunk[start : at - 1])).strip(_BARE):
                        yield left, True  # elements that are no objects, in one piece
                    return
        at -= len(chunk)
        parts.append(chunk[start:])
    yield b"".join(parts).strip(_BARE), False


def _escapes(chunk: bytes, start: int) -> bool:
    """Tell whether the text that begins at `start` ends in a backslash that escapes."""
    tail = chunk[start:]
    return (len(tail) - len(tail.rstrip(b"\\"))) % 2 == 1
