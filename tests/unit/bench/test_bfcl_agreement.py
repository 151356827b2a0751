"""Agreement with labels: our checker against those of the development pack."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bench import bfcl_agreement
from toolrm_guard.errors import MissingExtraError
from toolrm_guard.labelled import LabelledRecord, read_records

DEV = Path(__file__).parents[3].parent / "shared" / "data" / "dev"

TOOL = {
    "name": "wait",
    "description": "Wait.",
    "parameters": {"type": "object", "properties": {"s": {"type": "integer"}}, "required": ["s"]},
}


def output(s: Any, correct: bool, error: str | None = None) -> dict[str, Any]:
    calls = [{"name": "wait", "arguments": {"s": s}}]
    return {"model": "m", "tool_calls": calls, "correct": correct, "error_type": error}


def records(folder: Path, *outputs: dict[str, Any]) -> Path:
    row = {
        "id": "simple_0", "source": "s", "split": "simple", "tools": [TOOL],
        "messages": [{"role": "user", "content": "Wait."}], "accept": [{"wait": {"s": [5]}}],
        "candidates": [*outputs, {"model": "u", "tool_calls": None, "correct": None}],
    }  # fmt: skip
    path = folder / "records.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return path


def test_every_disagreement_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = records(
        tmp_path, output(5, True), output(6, True), output(7, False, "type_error:simple")
    )
    out = tmp_path / "out.json"
    with pytest.raises(SystemExit) as caught:
        bfcl_agreement.main(["--records", str(path), "--json", str(out)])
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "simple_0 m: theirs right, ours value_error:others" in shown
    assert "type_error:simple -> value_error:others" in shown
    (found,) = json.loads(out.read_text())
    assert found["answers"] == 3
    assert len(found["disagreements"]) == 1


def test_full_agreement_is_a_success(tmp_path: Path) -> None:
    path = records(tmp_path, output(5, True), output(6, False, "value_error:others"))
    bfcl_agreement.main(["--records", str(path)])


def test_another_judge_is_compared_on_every_readable_answer(tmp_path: Path) -> None:
    def judge(record: LabelledRecord, calls: Any) -> tuple[bool, str | None]:
        return (True, None) if calls[0].arguments["s"] < 6 else (False, "value_error:others")

    path = records(tmp_path, output(4, False), output(5, True), output(9, True))
    found = bfcl_agreement.against_official(read_records(path), judge)
    assert (found.answers, len(found.disagreements), found.same_error) == (3, 1, 1)


@pytest.mark.skipif(find_spec("bfcl_eval") is not None, reason="bfcl_eval is installed")
def test_without_bfcl_eval_the_remedy_is_named() -> None:
    with pytest.raises(MissingExtraError, match="pip install --no-deps bfcl-eval"):
        bfcl_agreement.official_checker()
    assert "bfcl_eval.constants.model_config" not in sys.modules


@pytest.mark.skipif(find_spec("bfcl_eval") is None, reason="bfcl_eval is not installed")
def test_the_official_checker_agrees(tmp_path: Path) -> None:
    path = records(tmp_path, output(4, False), output(5, True), output("5", False))
    found = bfcl_agreement.against_official(read_records(path), bfcl_agreement.official_checker())
    assert found.share == 1


@pytest.mark.skipif(not DEV.is_dir(), reason="the development pack is not beside the checkout")
@pytest.mark.parametrize("name", ["bfcl_dev.jsonl.gz", "bfcl_irrelevance_dev.jsonl.gz"])
def test_labels_of_the_development_pack_are_met(name: str) -> None:
    found = bfcl_agreement.against_labels(read_records(DEV / name))
    assert found.share >= bfcl_agreement.TARGET, found.disagreements[:5]
    # The type of an unmatched parallel call depends on which call is the closest.
    assert found.same_error >= 0.99 * found.both_wrong
