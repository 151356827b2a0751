"""Harvested rows on disk: whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import check_place, whole
from toolrm_guard.harvest.rows import Row
from toolrm_guard.harvest.split import Side

SUMMARY = "harvest.json"
"""Beside the files of a folder; it says that the folder is a harvest and may be replaced by one."""

_FILES = {SUMMARY, "train.jsonl", "validation.jsonl"}


def write(rows: Iterable[tuple[Side, Row]], out: Path, summary: Mapping[str, Any]) -> None:
    """Write the rows to one `.jsonl` file, or to a folder with a file a side and the summary.

    What stood at that place before is there until everything is written.

    Args:
        rows: (side, row), in order.
        out: A name that ends in `.jsonl`, or that of a folder.
        summary: Settings and funnel.

    Raises:
        ConfigurationError: If it cannot be written, or the folder holds something else.
    """
    if out.suffix == ".jsonl":
        with whole(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_line({**row, "split": side}) for side, row in rows)
        return
    try:
        _write_folder(rows, out, summary)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot write {str(out)!r}: {exc.strerror or exc}; give a place that can be written"
        ) from exc


def check(out: Path) -> None:
    """Refuse a place that cannot take a harvest, before the work is done.

    Raises:
        ConfigurationError: If it is a folder where a file is to be, holds something else, or cannot
            be written.
    """
    check_place(out)
    if out.suffix == ".jsonl":
        if out.is_dir():
            raise ConfigurationError(f"{str(out)!r} is a folder; a name in .jsonl means a file")
    elif out.exists() and not out.is_dir():
        raise ConfigurationError(
            f"{str(out)!r} is a file; end the name in .jsonl, or name a new folder"
        )
    elif (
        out.is_dir()
        and (names := {path.name for path in out.iterdir()})
        and (SUMMARY not in names or not names <= _FILES)
    ):
        raise ConfigurationError(
            f"{str(out)!r} holds something other than a harvest; name a new or an empty folder"
        )


def _write_folder(rows: Iterable[tuple[Side, Row]], out: Path, summary: Mapping[str, Any]) -> None:
    check(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        with (
            (partial / "train.jsonl").open("w", encoding="utf-8", newline="\n") as train,
            (partial / "validation.jsonl").open("w", encoding="utf-8", newline="\n") as held,
        ):
            for side, row in rows:
                (train if side == "train" else held).write(_line({**row, "split": side}))
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        (partial / SUMMARY).write_text(text + "\n", encoding="utf-8")
        partial.chmod(0o755)
        if out.exists():
            old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
            out.replace(old)  # onto an empty folder
            partial.replace(out)
            shutil.rmtree(old)
        else:
            partial.replace(out)
    except BaseException:  # Ctrl-C, too: nothing half-made stays
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
