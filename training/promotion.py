"""Which `lite` serves: numbered folders, and a link that names the one in use.

    models/lite-0      the model that was there before
    models/lite-1      a promoted one
    models/current  -> lite-1
    models/previous -> lite-0

    python -m training.promotion models --promote runs/candidate
    python -m training.promotion models --rollback

`LiteModel.load("models/current")` reads the model in use. A link is replaced in one step, so
whoever loads meets the old model or the new one, never a half; who has loaded keeps what they have.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from toolrm_guard.errors import ConfigurationError, GuardError
from toolrm_guard.scorers.lite import LiteModel

CURRENT, PREVIOUS = "current", "previous"
_NAME = re.compile(r"lite-(\d+)")


def main(argv: Sequence[str] | None = None) -> int:
    """Promote or roll back from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, help="folder of the numbered models")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--promote", type=Path, metavar="FOLDER", help="a model to serve from now on")
    what.add_argument("--rollback", action="store_true", help="serve the one before again")
    args = parser.parse_args(argv)
    try:
        now = rollback(args.models) if args.rollback else promote(args.promote, args.models)
    except GuardError as exc:
        print(f"promotion: {exc}", file=sys.stderr)
        return 1
    print(f"{args.models / CURRENT} -> {now.name}")
    return 0


def promote(candidate: Path, models: Path) -> Path:
    """Copy a model to the next number, make it the current one, and return its folder.

    The model that ships with the package becomes `lite-0` if nothing was promoted before.

    Raises:
        ModelIntegrityError: If the candidate cannot be loaded; nothing has changed then.
        ConfigurationError: If the folder cannot be written.
    """
    LiteModel.load(candidate)
    try:
        models.mkdir(parents=True, exist_ok=True)
        if current(models) is None:
            with as_file(files("toolrm_guard") / "models" / "lite") as shipped:
                _point(models / CURRENT, _copied(shipped, models))
        before = current(models)
        folder = _copied(candidate, models)
        assert before is not None
        _point(models / PREVIOUS, before)
        _point(models / CURRENT, folder)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot promote to {str(models)!r}: {exc.strerror or exc}; give a folder of yours on "
            "a file system with symbolic links"
        ) from exc
    return folder


def rollback(models: Path) -> Path:
    """Make the previous model the current one again, and return its folder.

    A second rollback undoes the first.

    Raises:
        ConfigurationError: If nothing was promoted.
        ModelIntegrityError: If the previous model cannot be loaded; nothing has changed then.
    """
    now, before = current(models), _target(models / PREVIOUS)
    if now is None or before is None:
        raise ConfigurationError(f"nothing was promoted in {str(models)!r}; there is no way back")
    LiteModel.load(before)
    _point(models / CURRENT, before)
    _point(models / PREVIOUS, now)
    return before


def current(models: Path) -> Path | None:
    """Return the folder of the model in use; None if nothing was promoted."""
    return _target(models / CURRENT)


def _target(link: Path) -> Path | None:
    return link.parent / link.readlink() if link.is_symlink() else None


def _copied(source: Path, models: Path) -> Path:
    """Copy a model's folder to the next free number; it takes its name when it is whole."""
    taken = [int(found[1]) for path in models.iterdir() if (found := _NAME.fullmatch(path.name))]
    partial = Path(tempfile.mkdtemp(dir=models, prefix=".partial."))
    try:
        shutil.copytree(source, partial, dirs_exist_ok=True)
        partial.chmod(0o755)
        target = models / f"lite-{max(taken, default=-1) + 1}"
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def _point(link: Path, folder: Path) -> None:
    """Let the link name a folder beside it, in one step."""
    with tempfile.TemporaryDirectory(dir=link.parent, prefix=".link.") as place:
        fresh = Path(place) / link.name
        fresh.symlink_to(folder.name)
        os.replace(fresh, link)


if __name__ == "__main__":
    sys.exit(main())
