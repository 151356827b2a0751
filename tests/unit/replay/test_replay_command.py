"""`toolrm-guard replay` on real stores: exit codes, files, and hostile records."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import many, outcome, review, stored, turn
from toolrm_guard.cli import main

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\x1b[31m\u202e'


def replay(*arguments: object) -> int:
    try:
        return main(["replay", *map(str, arguments)])
    except SystemExit as exc:  # argparse ends so
        return int(str(exc.code))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stored(tmp_path_factory.mktemp("store") / "t.db", *many(12))


def test_the_gate_decides_the_exit_code(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(store, "--scorer", "lite") == 0
    assert "gate" not in capsys.readouterr().out
    assert replay(store, "--scorer", "lite", "--gate", "known>=12") == 0
    assert "gate passed" in capsys.readouterr().out
    assert replay(store, "--scorer", "lite", "--gate", "known>12") == 1
    assert "gate FAILED" in capsys.readouterr().out
    assert replay(store, "--scorer", "lite", "--gate", "knwon>12") == 2
    assert "did you mean 'known'" in capsys.readouterr().err
    assert replay(store) == 2


def test_a_scorer_against_itself_changes_nothing(store: str, tmp_path: Path) -> None:
    gate = "changed<=0 and accuracy>=base and p_value>=1"
    out = tmp_path / "r.json"
    assert (
        replay(store, "--scorer", "lite", "--baseline", "lite", "--gate", gate, "--json", out) == 0
    )
    data = json.loads(out.read_text())
    assert data["changed"] == 0
    assert data["baseline"] == data["scorer"]
    assert data["passed"] is True


def test_a_folder_is_a_checkpoint_and_a_baseline(store: str) -> None:
    shipped = Path(__file__).parents[3] / "toolrm_guard" / "models" / "lite"
    flags = ["--checkpoint", shipped, "--baseline", shipped, "--gate", "changed<=0"]
    assert replay(store, *flags) == 0


def test_what_is_no_model_is_named(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(store, "--checkpoint", tmp_path) == 1
    assert "no model in" in capsys.readouterr().err
    assert replay(store, "--scorer", "lyte") == 1
    assert "did you mean 'lite'" in capsys.readouterr().err


def test_an_empty_store_and_none_at_all_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = stored(tmp_path / "t.db")
    assert replay(empty, "--scorer", "lite") == 1
    assert "holds no review" in capsys.readouterr().err
    assert replay(tmp_path / "none.db", "--scorer", "lite") == 1
    assert "none.db" in capsys.readouterr().err


def test_hostile_records_are_text_on_the_page_and_secrets_are_gone(tmp_path: Path) -> None:
    secret = "sk-ant-api03-" + "A1b2C3d4" * 6
    made: list[Any] = []
    for n in range(3):
        evil = review(
            f"r{n}",
            turn(f"{EVIL}{n}", call_id=f"c{n}", text=EVIL),
            turn("b.txt", p=0.1, tool=EVIL),
            says=f"{EVIL} my key is {secret}",
            conversation_id=EVIL,
        )
        made += [evil, outcome(evil, ok=False, content=EVIL)]
    store = stored(tmp_path / "t.db", *made)
    page = tmp_path / "p.html"
    assert replay(store, "--scorer", "lite", "--html", page) == 0
    text = page.read_text(encoding="utf-8")
    assert "decisions would change" in text
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert secret not in text


def test_a_page_that_cannot_be_written_is_said(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert replay(store, "--scorer", "lite", "--html", tmp_path / "file" / "p.html") == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_timeout_that_leaves_no_time_is_refused(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for seconds in ("0", "-1", "nan"):
        assert replay(store, "--scorer", "lite", "--timeout", seconds) == 1
        assert "leaves no time" in capsys.readouterr().err


def test_why_a_review_was_not_judged_is_told_without_secrets_and_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "bad request: password=gr8-otter \x1b[2J"
    made = review("r1", turn("a.txt", p=None), judged=False, unjudged_reason=said)
    store = stored(tmp_path / "t.db", made)
    html, data = tmp_path / "r.html", tmp_path / "r.json"
    assert replay(store, "--scorer", "lite", "--html", html, "--json", data) == 0
    for text in (capsys.readouterr().out, html.read_text(), data.read_text()):
        assert "bad request" in text
        assert "otter" not in text
        assert "\x1b" not in text
