"""A file is there whole, or as it was before; and a place is tried before the work is done."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolrm_guard.errors import ConfigurationError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, which takes the path's place when the block ends well.

    A link stays one: what it points to is replaced. Nothing takes the place of a pipe or a device,
    or of /dev/stdout, wherever it leads: it is given itself.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    if _is_special(path):
        with _translated(path):
            yield path
        return
    place = _target(path)
    with _beside(place) as partial:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(place)


def check_place(path: Path) -> None:
    """Make the folder that a file or folder is to stand in, and try whether it can be written.

    Raises:
        ConfigurationError: If it cannot.
    """
    with _beside(path):
        pass


def check_file(path: Path | None) -> None:
    """Do what `check_place` does, for a file; None is no file, and nothing to check.

    Raises:
        ConfigurationError: If it cannot be written, or is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise ConfigurationError(f"cannot write {str(path)!r}: it is a folder; name a file")
    if not _is_special(path):
        check_place(_target(path))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _is_special(path: Path) -> bool:
    """Tell whether a path is no file of its own: a pipe, a device, or what is open already."""
    if Path("/dev") in path.absolute().parents:
        return True  # /dev/stdout links to a file where output is redirected
    return path.exists() and not path.is_file() and not path.is_dir()


def _target(path: Path) -> Path:
    """Return what a link points to, whether or not it is there."""
    return Path(os.path.realpath(path))  # `Path.resolve` raises where links go round in a circle


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"cannot write {str(path)!r}: {exc.strerror or exc}; give a place in a folder of yours"
        ) from exc


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give an empty file next to a place; what is left of it at the end is removed."""
    partial: Path | None = None
    with _translated(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            place = path.parent / f".{path.name}.{secrets.token_hex(8)}"
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the umask
            partial = place
            yield partial
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)
