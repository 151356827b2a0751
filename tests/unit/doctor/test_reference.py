"""`--reference FOLDER`: a ToolRM-Disc scored here, against the scorer that is examined."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.disc import sealed, tiny_folder
from toolrm_guard.cli import main


def tiny(folder: Path, *, scale: float = 1.0) -> Path:
    """A small model; another scale is another model."""
    from safetensors.torch import load_file, save_file

    made = tiny_folder(folder)
    weights = load_file(made / "model.safetensors")
    weights["score.weight"] *= scale * 100
    save_file({k: v.contiguous() for k, v in weights.items()}, made / "model.safetensors")
    return sealed(made)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.setenv("TOOLRM_GUARD_DISC", "")


def examined(capsys: pytest.CaptureFixture[str], disc: Path, reference: Path) -> Any:
    where = ["--disc", str(disc), "--reference", str(reference)]
    code = main(["doctor", "--scorer", "local", *where, "--reviews", "3", "--json"])
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    return code, found["reference"]


def test_the_same_model_agrees_and_another_one_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, other = tiny(tmp_path / "one"), tiny(tmp_path / "other", scale=3.0)
    code, check = examined(capsys, one, one)
    assert (code, check["status"]) == (0, "ok")
    assert check["figures"]["widest"] < 1e-4
    code, check = examined(capsys, one, other)
    assert (code, check["status"]) == (1, "fail")
    assert "the weights are others" in check["remedy"]


def test_a_folder_without_a_model_fails_with_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, check = examined(capsys, tiny(tmp_path / "one"), tmp_path)
    assert (code, check["status"]) == (1, "fail")
    assert str(tmp_path) in check["message"]
