"""A model's folder is whole and unchanged, or not there."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolrm_guard.embedded.folder import MANIFEST, ensure_folder
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError

HANG = """
import pathlib, sys, time
from toolrm_guard.embedded.folder import ensure_folder

def build(folder):
    (folder / "model.bin").write_text("half")
    pathlib.Path(sys.argv[2]).write_text("started")
    time.sleep(60)

ensure_folder(pathlib.Path(sys.argv[1]), build)
"""


def whole(folder: Path) -> None:
    (folder / "model.bin").write_text("whole")


def slow_and_counted(folder: Path) -> None:
    with (folder.parent / "built").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    whole(folder)


def test_a_kill_in_mid_conversion_leaves_no_half_folder_and_the_next_run_clears_up(
    tmp_path: Path,
) -> None:
    folder, started = tmp_path / "cache" / "model", tmp_path / "started"
    process = subprocess.Popen([sys.executable, "-c", HANG, str(folder), str(started)])
    deadline = time.monotonic() + 30
    while not started.exists():
        assert time.monotonic() < deadline, "the building process never started"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not folder.exists()
    assert len(list(folder.parent.glob(".model.partial-*"))) == 1

    ensure_folder(folder, whole)
    assert (folder / "model.bin").read_text() == "whole"
    assert list(folder.parent.glob(".model.partial-*")) == []


def test_two_processes_at_once_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "model"
    pair = [context.Process(target=ensure_folder, args=(folder, slow_and_counted)) for _ in "ab"]
    for process in pair:
        process.start()
    for process in pair:
        process.join(60)
    assert [process.exitcode for process in pair] == [0, 0]
    assert (tmp_path / "built").read_text() == "x"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        whole(folder)
        raise ConfigurationError("no network")

    with pytest.raises(ConfigurationError, match="no network"):
        ensure_folder(tmp_path / "model", fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_changed_file_is_refused_by_name_and_with_the_remedy(tmp_path: Path) -> None:
    folder = ensure_folder(tmp_path / "model", whole)
    (folder / "model.bin").write_text("wh0le")
    os.utime(folder / "model.bin", ns=(1, 1))
    with pytest.raises(ModelIntegrityError, match=r"model\.bin has sha256 .* delete the folder"):
        ensure_folder(folder, whole)


@pytest.mark.parametrize("name", ["model.bin", MANIFEST])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = ensure_folder(tmp_path / "model", whole)
    (folder / name).unlink()
    with pytest.raises(ModelIntegrityError, match=name):
        ensure_folder(folder, whole)
