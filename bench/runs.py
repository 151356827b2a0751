"""What a number depends on: command, commit, data, machine, seed; and how it is written down.

    payload = {"bench": "trbench", "run": describe([pairs, records], seed=0), "reports": [...]}
    write(Path("bench/results/trbench.json"), payload)

Nothing here tells where a checkout lies: paths are relative to the working directory, or are the
name of the file alone.
"""

import datetime
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("toolrm-guard", "bfcl-eval", "lightgbm", "numpy", "torch", "transformers", "vllm")
RESULTS = "bench/results"
_ROOT = Path(__file__).resolve().parent.parent


def describe(
    inputs: Sequence[Path], seed: int | None, *, command: Sequence[str] | None = None
) -> dict[str, object]:
    """Return the facts of this run.

    Args:
        inputs: Files and folders the numbers were computed from.
        seed: Of everything random; None if nothing is.
        command: What was run; default: this process.

    Raises:
        OSError: If an input cannot be read.
    """
    return {
        "command": shlex.join(_plain(part) for part in command or _own_command()),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _is_dirty(),
        "data": _hashes(inputs),
        "machine": machine(),
        "seed": seed,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def write(path: Path, payload: Mapping[str, object]) -> None:
    """Write JSON so that the file is there as a whole or not at all.

    Raises:
        ValueError: If a number is not finite; JSON has no way to write one.
        OSError: If the folder cannot be written.
    """
    text = json.dumps(payload, indent=1, allow_nan=False, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        partial.chmod(0o644)  # mkstemp gives 0600
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def machine() -> dict[str, object]:
    """Return what the run ran on: cores it may use, processor, memory, load, versions."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": allowed,
        "cpu": _cpu(),
        "memory_gb": _memory_gb(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _own_command() -> list[str]:
    """Return `python -m bench.x ...`, without the interpreter's folder."""
    return ["python", *sys.orig_argv[1:]]


def _plain(part: str) -> str:
    """Return an argument without absolute paths; `--json=/a/b` becomes `--json=b`."""
    option, equals, value = part.partition("=")
    if equals and option.startswith("-"):
        return f"{option}={_plain(value)}"
    if "://" in part or not os.path.isabs(part):
        return part
    return _name(Path(part))


def _name(path: Path) -> str:
    """Return the path relative to the working directory where it lies inside, else its name."""
    resolved, here = path.resolve(), Path.cwd().resolve()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else path.name


def _hashes(inputs: Sequence[Path]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for path in inputs:
        name = _name(path)
        if name in hashes:  # two files of one name in different folders
            name = f"{path.resolve().parent.name}/{path.name}"
        hashes[name] = _folder_hash(path) if path.is_dir() else _file_hash(path)
    return hashes


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_hash(folder: Path) -> str:
    """Return the hash over names and contents of all files, in order of their names."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(f"{path.relative_to(folder).as_posix()}\0{_file_hash(path)}\n".encode())
    return whole.hexdigest()


def _git(*arguments: str) -> str | None:
    """Return what git says of this checkout, or None outside of one."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_dirty() -> bool | None:
    """Tell whether files differ from the commit; results that were just written do not count."""
    changed = _git("status", "--porcelain", "--", ".", f":(exclude){RESULTS}")
    return None if changed is None else bool(changed)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
