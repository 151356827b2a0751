"""The input files of a build: where they are, how large, and the hash that a stage rests on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from training.preferences.config import BuildConfig, PipelineConfigError, SourceConfig
from training.preferences.sources import NAMES

_BLOCK = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One source's input.

    Attributes:
        source: The entry of the configuration.
        path: What the adapter is given; None for the adapter's own hub name.
        bytes: Size on disk; 0 for what lies on the hub or in a database server.
        sha256: Of names and bytes; empty for what lies elsewhere, which is not checked for change.
    """

    source: SourceConfig
    path: str | None
    bytes: int
    sha256: str

    @property
    def shown(self) -> str:
        """What reports call it; no absolute path."""
        return self.source.path or f"{self.source.name} (hub)"


def find_inputs(config: BuildConfig, base: Path) -> list[Input]:
    """Return the inputs of all sources.

    Args:
        config: The build's.
        base: The folder that paths are relative to.

    Raises:
        PipelineConfigError: If an adapter is unknown, or a local path does not exist.
    """
    found = []
    for entry in config.sources:
        if entry.name not in NAMES:
            raise PipelineConfigError(
                f"source {entry.name!r} is unknown; known are {', '.join(NAMES)}"
            )
        found.append(_input(entry, base))
    return found


def _input(entry: SourceConfig, base: Path) -> Input:
    if entry.path is None:
        return Input(source=entry, path=None, bytes=0, sha256="")
    if entry.name == "traces" and "://" in entry.path:
        address = urlsplit(entry.path)
        if address.scheme.split("+")[0] != "sqlite":
            return _database(entry, entry.path)
        path = base / address.path.removeprefix("/")  # an absolute path has two slashes left
    else:
        path = base / entry.path
    if path.exists():
        files = _files(path)
        size = sum(file.stat().st_size for file in files)
        return Input(source=entry, path=str(path), bytes=size, sha256=_digest(files, path))
    if entry.path.count("/") == 1 and not path.suffix:
        return Input(source=entry, path=entry.path, bytes=0, sha256="")
    raise PipelineConfigError(
        f"source {entry.name!r}: no file or folder {entry.path!r} in the data folder; correct the "
        "path, or name the data folder with --data"
    )


def _database(entry: SourceConfig, url: str) -> Input:
    """Return a trace store in a database server; its URL is written to reports."""
    address = urlsplit(url)
    if address.password or "password" in parse_qs(address.query):
        raise PipelineConfigError(
            f"source {entry.name!r}: the URL of {address.hostname!r} holds a password, and reports "
            "show URLs; leave it to the driver (PGPASSWORD or ~/.pgpass for PostgreSQL)"
        )
    return Input(source=entry, path=url, bytes=0, sha256="")


def _files(path: Path) -> list[Path]:
    """Return the files of a path, with what a SQLite file has not taken in yet."""
    if not path.is_file():
        return sorted(p for p in path.rglob("*") if p.is_file())
    log = path.with_name(f"{path.name}-wal")
    return [path, log] if log.is_file() and log.stat().st_size else [path]


def _digest(files: Sequence[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        inside = file.is_relative_to(root) and file != root
        digest.update((file.relative_to(root).as_posix() if inside else file.name).encode())
        with file.open("rb") as raw:
            while block := raw.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
