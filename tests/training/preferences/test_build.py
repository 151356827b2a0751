"""Whole builds: same bytes for any engine, resuming, bad input, exit codes."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.preferences.made import record
from tests.training.samplers.serving import serving
from toolrm_guard.labelled import read_records
from training.preferences import __main__ as command
from training.preferences import build as building
from training.preferences import card, writing

ROOT = Path(__file__).parents[3]
CONFIG = """
[[sources]]
name = "labelled"
path = "one.jsonl"
[[sources]]
name = "labelled"
path = "two.jsonl.gz"
[[samplers]]
name = "recorded"
[[samplers]]
name = "perturb"
when = "no_wrong"
options = { count = 3 }
[balance]
target = 60
min_natural_share = 0.3
[split]
validation = 10
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = {
        source: "".join(json.dumps(record(number, source)) + "\n" for number in range(60))
        for source in ("one", "two")
    }
    (tmp_path / "one.jsonl").write_text(lines["one"])
    with gzip.open(tmp_path / "two.jsonl.gz", "wt") as file:
        file.write(lines["two"])
    (tmp_path / "c.toml").write_text(CONFIG)
    return tmp_path


def run(folder: Path, out: str, workers: int = 1, engine: str = "local") -> int:
    return command.main(
        ["build", "--config", str(folder / "c.toml"), "--out", str(folder / out),
         "--engine", engine, "--workers", str(workers)]
    )  # fmt: skip


def digests(out: Path) -> dict[str, str]:
    return {
        file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
    }


def report(out: Path) -> Any:
    return json.loads((out / "report.json").read_text())


def test_any_engine_and_any_number_of_workers_give_the_same_bytes(folder: Path) -> None:
    assert run(folder, "one", workers=1) == 0
    assert run(folder, "two", workers=2) == 0
    made = digests(folder / "one")
    assert made == digests(folder / "two")
    assert {"README.md", "report.json", "plots/sources.png"} < made.keys()
    assert "data/critique/no_think/train.parquet" in made


def test_ray_gives_the_same_bytes(folder: Path) -> None:
    pytest.importorskip("ray")
    with (folder / "one.jsonl").open("a") as file:  # more than one shard
        file.writelines(json.dumps(record(number, "one")) + "\n" for number in range(60, 500))
    assert run(folder, "local", workers=1) == 0
    arguments = ["build", "--config", folder / "c.toml", "--out", folder / "ray"]
    # In a process of its own: what Ray warns of on import is not for this suite to judge.
    done = subprocess.run(
        [sys.executable, "-m", "training.preferences", *map(str, arguments), "--engine", "ray",
         "--workers", "2"],
        cwd=ROOT, env={**os.environ, "RAY_ADDRESS": ""}, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert digests(folder / "ray") == digests(folder / "local")


def test_the_report_accounts_for_every_row_and_nothing_leaks(folder: Path) -> None:
    assert run(folder, "out") == 0
    made = report(folder / "out")
    stages = {stage["stage"]: stage for stage in made["funnel"]}
    assert stages["read"]["in"] == 120
    for name in ("schemas", "roles", "references", "difficulty", "balance"):
        lost = sum(drop["count"] for drop in stages[name]["dropped"].values())
        assert stages[name]["in"] == stages[name]["out"] + lost
    assert sum(made["dataset"]["counts"]["side"].values()) == 60
    assert made["dataset"]["counts"]["rejected"]["natural"] >= 18
    sides = [
        read_records(folder / "out/data/pointwise" / f"{side}.jsonl.gz")
        for side in ("train", "validation")
    ]
    for key in (
        lambda r: r.group,
        lambda r: tuple(sorted(tool["name"] for tool in r.tools)),
        lambda r: json.dumps(r.messages),
    ):
        assert not {key(r) for r in sides[0]} & {key(r) for r in sides[1]}
    assert str(folder) not in (folder / "out/report.json").read_text()


def test_a_killed_build_goes_on_after_its_last_finished_stage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "whole") == 0
    calls: list[str] = []
    original = building.Build._balance

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(building.Build, "_balance", dies)
    assert run(folder, "killed") == 130
    assert not (folder / "killed/report.json").exists()
    assert (folder / "killed/stages/4-pairs/done.json").exists()
    monkeypatch.setattr(building.Build, "_balance", original)
    monkeypatch.setattr(building, "open_source", lambda *a, **k: calls.append("read") or [])
    assert run(folder, "killed") == 0
    assert calls == []  # the first stages were not run again
    assert digests(folder / "killed") == digests(folder / "whole")


def test_a_process_that_is_killed_leaves_nothing_half_done(folder: Path) -> None:
    assert run(folder, "whole") == 0
    code = (
        "import os, sys\n"
        "from training.preferences import build, __main__\n"
        "build.balance = lambda *a: os._exit(9)\n"
        "__main__.main(sys.argv[1:])"
    )
    arguments = ["build", "--config", folder / "c.toml", "--out", folder / "k", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, check=False,
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 9
    assert (folder / "k/stages/5-balance.partial").exists()
    assert run(folder, "k") == 0
    assert digests(folder / "k") == digests(folder / "whole")


def test_a_changed_key_makes_the_first_stage_that_it_touches_new(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "out") == 0
    config = folder / "c.toml"
    config.write_text(config.read_text().replace("target = 60", "target = 40"))
    capsys.readouterr()
    assert run(folder, "out") == 0
    shown = [line.strip() for line in capsys.readouterr().err.splitlines()]
    reused = [line.split(":")[0] for line in shown if line.endswith("(from the last run)")]
    assert reused == ["0-read", "1-clean", "2-sample", "3-score", "4-pairs"]
    assert sum(report(folder / "out")["dataset"]["counts"]["side"].values()) == 40
    (folder / "out/stages/7-old").mkdir()
    with (folder / "one.jsonl").open("a") as file:
        file.write(json.dumps(record(99, "one")) + "\n")
    assert run(folder, "out") == 0
    assert not (folder / "out/stages/7-old").exists()
    assert "from the last run" not in capsys.readouterr().err


def test_bad_rows_are_counted_with_an_example_and_the_build_is_not_whole(folder: Path) -> None:
    loop = record(70)
    loop["tools"][0]["parameters"] = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    text = record(71)
    text["messages"].append(
        {"role": "assistant", "content": None, "tool_calls": [
            {"name": "weather", "arguments": '{"city": "Oslo"}'}]}
    )  # fmt: skip
    text["messages"] += [{"role": "tool", "name": "weather", "content": "rain"}]
    clash = record(72)
    clash["tools"][1]["name"] = "weather "
    with (folder / "one.jsonl").open("ab") as file:
        for row in (loop, text, clash):
            file.write(json.dumps(row).encode() + b"\n")
        file.write('{"id": "é"}\n'.encode("latin-1"))
        file.write(json.dumps(record(73)).encode()[:80])
    assert run(folder, "out") == 1
    made = report(folder / "out")
    stages = {stage["stage"]: stage["dropped"] for stage in made["funnel"]}
    assert stages["read"]["not_utf8"]["example"]["id"] == "one.jsonl:64"
    assert stages["read"]["truncated"]["count"] == 1
    assert stages["schemas"]["ref_loop"]["example"]["id"] == "one-70"
    assert stages["normalise"]["tool_name_collision"]["example"]["id"] == "one-72"
    assert not made["whole"]
    assert made["problems"][0].startswith("read: truncated, and nobody knows how much is lost")
    assert "read: 1 of" in made["problems"][1]
    read = made["sources"]["one.jsonl"]
    assert read["read"] == read["kept"] + sum(read["dropped"].values())
    assert read_records(folder / "out/data/pointwise/train.jsonl.gz")


def test_a_known_loss_can_be_allowed(folder: Path) -> None:
    with (folder / "one.jsonl").open("ab") as file:
        file.write(b'{"id": \n')
    assert run(folder, "out") == 1
    config = folder / "c.toml"
    config.write_text("max_lost_share = 0.05\n" + config.read_text())
    assert run(folder, "out") == 0


def test_an_empty_source_makes_the_build_not_whole(folder: Path) -> None:
    (folder / "one.jsonl").write_text("")
    assert run(folder, "out") == 1
    assert "holds no row: one.jsonl" in report(folder / "out")["problems"][0]


def test_nothing_at_all_is_a_build_that_says_so(folder: Path) -> None:
    (folder / "one.jsonl").write_text("")
    (folder / "two.jsonl.gz").write_bytes(gzip.compress(b""))
    assert run(folder, "out") == 1
    assert any("no pair is left" in problem for problem in report(folder / "out")["problems"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[balance]", "[balence]", "did you mean 'balance'"),
        ("one.jsonl", "gone.jsonl", "gone.jsonl"),
        ('"labelled"', '"labeled"', "labeled"),
        ('"perturb"', '"perturbe"', "perturb"),
    ],
)
def test_a_wrong_configuration_is_exit_code_2_and_says_what(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    config = folder / "c.toml"
    config.write_text(config.read_text().replace(old, new))
    assert run(folder, "out") == 2
    assert message in capsys.readouterr().err


def test_requests_that_fail_are_counted_and_asked_again_by_the_next_run(folder: Path) -> None:
    calls = {"name": "weather", "arguments": '{"city": "Rome"}'}
    message = {"role": "assistant", "tool_calls": [{"id": "x", "function": calls}]}
    answer = json.dumps({"choices": [{"message": message}]}).encode()
    replies: list[Any] = [(500, {}, b""), (200, {}, b"garbage"), (429, {"Retry-After": "0"}, b"")]

    def behaviour(number: int, body: dict[str, Any]) -> Any:
        return replies[number % 3] if len(replies) > 1 else replies[0]

    with serving(behaviour) as server:
        (folder / "c.toml").write_text(
            '[[sources]]\nname = "labelled"\npath = "one.jsonl"\n[[samplers]]\n'
            'name = "endpoints"\n[samplers.options]\ncount = 1\n'
            f'cache = "{folder / "replies.db"}"\n'
            f'endpoints = [{{url = "{server.url}", model = "m"}}]\n'
            "patience = {attempts = 1, backoff_s = 0, dead_after = 1000}\n"
            "[balance]\ntarget = 60\n[split]\nvalidation = 5\n"
        )
        assert run(folder, "out") == 1
        made = report(folder / "out")
        dropped = {stage["stage"]: stage["dropped"] for stage in made["funnel"]}["sample"]
        assert sum(drop["count"] for drop in dropped.values()) == 60
        assert len(dropped) >= 3  # a busy machine adds reset connections
        assert all(drop["example"]["detail"] for drop in dropped.values())
        replies[:] = [(200, {}, answer)]
        # A busy machine drops a connection now and then; one attempt would lose that request.
        patient = (folder / "c.toml").read_text().replace("attempts = 1", "attempts = 5")
        (folder / "c.toml").write_text(patient)
        assert run(folder, "out") == 0
        asked = len(server.bodies)
        assert run(folder, "out") == 0
        assert len(server.bodies) == asked
    assert set(report(folder / "out")["dataset"]["counts"]["rejected_by"]) == {"m"}


def test_a_build_that_is_killed_while_it_writes_leaves_no_report_of_other_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "out") == 0
    before = digests(folder / "out")
    original = writing.write_shapes

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "write_shapes", dies)
    assert run(folder, "out") == 130
    assert not (folder / "out/report.json").exists()
    assert not (folder / "out/README.md").exists()
    monkeypatch.setattr(building, "write_shapes", original)
    monkeypatch.setattr(card, "write_card", dies)
    assert run(folder, "out") == 130
    assert not (folder / "out/report.json").exists()  # it comes last
    monkeypatch.undo()
    assert run(folder, "out") == 0
    assert digests(folder / "out") == before


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out/data").mkdir(parents=True)
    (folder / "out/data/mine.txt").write_text("mine")
    (folder / "out/report.json").write_text('{"mine": 1}')
    assert run(folder, "out") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "is not empty (data, report.json) and holds no earlier build" in message
    assert "new or empty" in message
    assert (folder / "out/data/mine.txt").read_text() == "mine"


def test_a_build_whose_stages_were_removed_is_still_one(folder: Path) -> None:
    assert run(folder, "out") == 0
    shutil.rmtree(folder / "out/stages")
    assert run(folder, "out") == 0


def test_a_lost_shard_makes_its_stage_new(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "out") == 0
    before = digests(folder / "out")
    (folder / "out/stages/3-score/part-000000.parquet").unlink()
    capsys.readouterr()
    assert run(folder, "out") == 0
    assert "3-score: 120 rows in" in capsys.readouterr().err
    assert digests(folder / "out") == before


def test_the_fingerprint_covers_all_code_that_a_stage_may_run() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in building._sources(ROOT)}
    assert {
        "toolrm_guard/grounding.py", "toolrm_guard/scorers/request_view.py", "training/subject.py",
        "training/call_edits.py", "training/preferences/sources/labelled.py",
        "training/preferences/outputs/chat.py",
    } < names  # fmt: skip
