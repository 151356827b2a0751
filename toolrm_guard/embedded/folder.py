"""A folder of files that is either complete and unchanged, or not there at all.

Built once under a lock beside its final place and renamed into it, so neither a kill in the middle
nor a second process can leave half of it. A manifest holds the sha256 of every file.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from filelock import FileLock

from toolrm_guard.errors import ModelIntegrityError

MANIFEST = "manifest.json"

_verified: dict[Path, tuple[tuple[str, int, int], ...]] = {}
"""What was hashed in this process: file names, sizes and times. Hashing 540 MB costs 0.4 s."""


def ensure_folder(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder` with verified content; build it first if it is not there.

    Args:
        folder: Where the files are to stand.
        build: Fills the empty folder it is given; called by one process at a time.

    Raises:
        ModelIntegrityError: If the folder is there, but a file is missing or was changed.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not folder.exists():  # another process may have built it while we waited
                _clear_wreckage(folder)
                place_folder(folder, partial(_build_with_manifest, build))
    verify_folder(folder)
    return folder


def place_folder(folder: Path, build: Callable[[Path], None]) -> None:
    """Build in a neighbouring folder and rename it to `folder`.

    Args:
        folder: Where the files are to stand; nothing may be there.
        build: Fills the empty folder it is given.

    Raises:
        OSError: If it cannot be written, or another has appeared there meanwhile.
    """
    beside = Path(tempfile.mkdtemp(prefix=_partial_prefix(folder), dir=folder.parent))
    try:
        build(beside)
        for path in beside.iterdir():  # safetensors and mkdtemp make theirs private
            path.chmod(0o644)
        beside.chmod(0o755)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def verify_folder(folder: Path) -> None:
    """Check every file against the manifest; once a process, unless sizes or times change.

    Raises:
        ModelIntegrityError: Naming the file and the remedy.
    """
    recorded = _read_manifest(folder)
    for name in recorded:
        if not (folder / name).is_file():
            raise _broken(folder / name, "is missing")
    stamp = tuple(
        (name, status.st_size, status.st_mtime_ns)
        for name in sorted(recorded)
        for status in [(folder / name).stat()]
    )
    if _verified.get(folder) == stamp:
        return
    for name, digest in recorded.items():
        actual = sha256_of(folder / name)
        if actual != digest:
            raise _broken(folder / name, f"has sha256 {actual}, but {digest} was recorded")
    _verified[folder] = stamp


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear_wreckage(folder: Path) -> None:
    """Remove what killed builds left; whoever holds the lock is alone."""
    for wreck in folder.parent.glob(f"{_partial_prefix(folder)}*"):
        shutil.rmtree(wreck, ignore_errors=True)


def _partial_prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _build_with_manifest(build: Callable[[Path], None], folder: Path) -> None:
    build(folder)
    digests = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps({"sha256": digests}, indent=2) + "\n")


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    try:
        return cast("dict[str, str]", dict(json.loads(path.read_text())["sha256"]))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise _broken(path, f"cannot be read ({exc!r})") from exc


def _broken(path: Path, what: str) -> ModelIntegrityError:
    return ModelIntegrityError(
        f"{path} {what}; delete the folder {path.parent} and it will be made again"
    )
