"""A small run on records made here: files, card, same seed same model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolrm_guard.scorers.lite import LiteModel
from training import ranker, train_lite

CITIES = "Oslo Lima Rome Kyiv Bern Cairo Accra Quito Hanoi Tunis".split()


def record(source: str, number: int) -> dict[str, Any]:
    city = CITIES[number % len(CITIES)]
    tools = [
        {
            "name": f"{source}_weather",
            "description": "Get the weather of a city",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city"},
                    "days": {"type": "integer", "description": "Number of days"},
                },
                "required": ["city"],
            },
        },
        {
            "name": f"{source}_mail",
            "description": "Send a mail",
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}},
                "required": ["to"],
            },
        },
    ]
    call = {"name": f"{source}_weather", "arguments": {"city": city, "days": number + 3}}
    wrong = {"name": f"{source}_mail", "arguments": {"to": city}}
    text = f"Tell me the weather of {city} for {number + 3} days."
    return {
        "id": f"{source}-{number}", "source": source, "split": "s", "tools": tools,
        "messages": [{"role": "user", "content": text}],
        "reference": {"content": None, "tool_calls": [call]}, "accept": None,
        "candidates": [
            {"model": "a", "content": None, "tool_calls": [call], "correct": True,
             "error_type": None},
            {"model": "b", "content": None, "tool_calls": [wrong], "correct": False,
             "error_type": "tool"},
            {"model": "c", "content": "?", "tool_calls": [], "correct": False,
             "error_type": "none"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    for source in ("one", "two"):
        lines = [json.dumps(record(source, number)) for number in range(10)]
        (folder / f"{source}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def train(packs: Path, out: Path, *more: str) -> None:
    train_lite.main(["--data", str(packs), "--out", str(out), "--rounds", "12", *more])


def test_a_run_writes_a_model_that_loads_and_a_card_that_says_how(
    packs: Path, tmp_path: Path
) -> None:
    train(packs, tmp_path)
    model = LiteModel.load(tmp_path)
    assert set(model.calibration.thresholds) == {"read", "write", "destructive", "answer"}
    card = (tmp_path / "MODEL_CARD.md").read_text()
    for part in ("training.train_lite", "sha256", "| one |", "| two |", "Licence", "support_min"):
        assert part in card


def test_the_same_data_and_seed_give_the_same_model_in_any_process(
    packs: Path, tmp_path: Path
) -> None:
    """String hashes, and with them the order of sets, differ from process to process."""
    runs = []
    for salt in ("1", "2"):
        command = [
            sys.executable, "-m", "training.train_lite", "--data", str(packs),
            "--out", str(tmp_path / salt), "--rounds", "12",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        runs.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    assert [run.wait() for run in runs] == [0, 0]
    for name in ("model.txt", "calibration.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_one_source_alone_is_refused(packs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "one.jsonl").write_text((packs / "one.jsonl").read_text())
    with pytest.raises(SystemExit, match="two or more packs"):
        train(folder, tmp_path / "out")


def test_the_isotonic_map_never_falls_and_finds_the_shares() -> None:
    scores = np.array([0.0] * 50 + [1.0] * 50 + [2.0] * 50)
    right = np.array([True] * 10 + [False] * 40 + [True] * 5 + [False] * 45 + [True] * 50)
    x, p = ranker.isotonic(scores, right, np.ones(150), bins=3)
    assert np.all(np.diff(x) > 0)
    assert np.all(np.diff(p) >= 0)
    assert p[0] == pytest.approx(0.15)  # the falling pair is pooled
    assert p[-1] == pytest.approx(0.998)
