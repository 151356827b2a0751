"""A file is there whole, or as it was before."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolrm_guard.errors import ConfigurationError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, which takes the path's place when the block ends well.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the umask
        partial = place
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot write {str(path)!r}: {exc.strerror or exc}; give a file in a folder of yours"
        ) from exc
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
