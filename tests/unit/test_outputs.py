"""Where commands write: a missing folder is made, a wrong place is refused before any work."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.stores import outcome, review, stored, turn
from tests.unit.bench import packs
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import check_file, write_text

COMMANDS = {
    "calibrate": "calibrate --records {records} --wrongly-blocked 0.9 --only write --out {out}",
    "cascade": "cascade --second lite --records {records} --candidates 2 --within 1 --out {out}",
    "harvest": "harvest {store} --out {out}.jsonl",
    "harvest to a folder": "harvest {store} --out {out}",
    "replay's figures": "replay {store} --scorer lite --json {out}",
    "replay's page": "replay {store} --scorer lite --html {out}",
    "report": "report {store} --json {out}",
    "traces' table": "traces export {store} --parquet {out}",
    "traces' page": "traces export {store} --html {out} --conversation c",
    "doctor": "doctor --reviews 1 --save-reference {out}",
    "export": "export {records} {out}",
    "demo": "demo --tasks 1 --json {out}",
    "demo's store": "demo --tasks 1 --store {out}",
}
SLOW = {"export", "demo", "demo's store"}
"""Not run to the end here: they load models."""


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """Inputs that every command is content with."""
    right = review("r1", turn("a.txt", call_id="c1"), turn("b.txt", p=0.1), conversation_id="c")
    stored(tmp_path / "t.db", right, outcome(right, ok=True))
    records = packs.write(tmp_path / "records.jsonl", packs.records())
    return {"store": tmp_path / "t.db", "records": records}


def run(command: str, out: Path, given: dict[str, Path]) -> int:
    return main(COMMANDS[command].format(**given, out=out).split())


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - SLOW))
def test_a_missing_folder_is_made(command: str, tmp_path: Path, given: dict[str, Path]) -> None:
    assert run(command, tmp_path / "no" / "such" / "out", given) == 0
    [made] = (tmp_path / "no" / "such").iterdir()
    assert made.name.startswith("out")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_that_cannot_be_written_is_named_before_the_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inputs that are no such thing would end the work with another complaint."""
    (tmp_path / "file").write_text("")
    stored(tmp_path / "t.db")
    wrong = {"store": tmp_path / "t.db", "records": tmp_path / "none.jsonl"}
    assert run(command, tmp_path / "file" / "out", wrong) == 1
    said = capsys.readouterr()
    assert f"cannot write '{tmp_path}/file/out" in said.err
    assert said.out == ""


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("calibrate", tmp_path, {"records": tmp_path / "none", "store": tmp_path}) == 1
    assert "it is a folder; name a file" in capsys.readouterr().err


def test_a_pipe_is_written_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_text(pipe, "figures")
        assert pipe.is_fifo()
        assert read.result(timeout=5) == "figures"


def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_into_a_place_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file" / "below")
    with pytest.raises(ConfigurationError, match=r"cannot write .*below"):
        check_file(link)


def test_standard_output_is_written_where_it_is_redirected_to(tmp_path: Path) -> None:
    code = "from pathlib import Path; from toolrm_guard.files import check_file, write_text; "
    code += "p = Path('/dev/stdout'); check_file(p); write_text(p, 'figures')"
    with (tmp_path / "out").open("w") as redirected:
        subprocess.run([sys.executable, "-c", code], stdout=redirected, check=True)
    assert (tmp_path / "out").read_text() == "figures"
    assert Path("/dev/stdout").is_symlink()


def test_a_full_device_is_named() -> None:
    with pytest.raises(ConfigurationError, match="cannot write '/dev/full': No space left"):
        write_text(Path("/dev/full"), "figures")
