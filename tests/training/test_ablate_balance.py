"""The ablation on a small build: every arm has its size, its result and its interval."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.preferences.made import record
from training import ablate_balance, reward_maps
from training.preferences import __main__ as command


def rows(path: Path, found: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


@pytest.fixture
def build(tmp_path: Path) -> Path:
    rows(tmp_path / "one.jsonl", [record(number) for number in range(40)])
    (tmp_path / "c.toml").write_text(
        '[[sources]]\nname = "labelled"\npath = "one.jsonl"\n[[samplers]]\nname = "recorded"\n'
        '[[samplers]]\nname = "perturb"\n[split]\nvalidation = 5\n[output]\nshapes = []\n'
    )
    arguments = ["build", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "out")]
    assert command.main([*arguments, "--workers", "1"]) == 0
    return tmp_path / "out"


def test_every_arm_is_trained_and_compared(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record(number, "dev") for number in range(1, 20, 2)]
    pairs = [
        {"id": f"p{number}", "prompt_id": row["id"], "split": "s",
         "chosen": {"model": "a", "tool_calls": row["candidates"][0]["tool_calls"]},
         "rejected": {"model": "c", "content": "No.", "tool_calls": []},
         "rejected_error_type": "no_call"}
        for number, row in enumerate(records)
    ]  # fmt: skip
    rows(tmp_path / "records.jsonl", records)
    rows(tmp_path / "pairs.jsonl", pairs)
    ablate_balance.main(
        ["--build", str(build), "--pairs", str(tmp_path / "pairs.jsonl"),
         "--records", str(tmp_path / "records.jsonl"), "--size", "60", "--seeds", "2",
         "--rounds", "5", "--json", str(tmp_path / "found.json")]
    )  # fmt: skip
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in shown[2:]] == list(ablate_balance.ARMS)
    found = json.loads((tmp_path / "found.json").read_text())
    assert all(len(accuracy) == 2 for accuracy in found.values())
    assert all(0.0 <= value <= 1.0 for accuracy in found.values() for value in accuracy)


def test_the_interval_draws_prompts_not_pairs() -> None:
    values = np.array([1.0, 0.0] * 50)
    alone = reward_maps.interval(values, [str(i) for i in range(100)])
    together = reward_maps.interval(np.repeat([1.0, 0.0], 50), ["a"] * 50 + ["b"] * 50)
    assert alone[0] < 0.5 < alone[1]
    assert together == (0.0, 1.0)


def test_a_folder_without_stages_says_what_to_do(tmp_path: Path) -> None:
    arguments = ["--build", str(tmp_path), "--pairs", "p", "--records", "r"]
    with pytest.raises(SystemExit, match="run the build first"):
        ablate_balance.main(arguments)
