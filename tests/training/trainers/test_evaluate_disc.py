"""A Disc beside lite on made-up pairs; the stack is fitted on other prompts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.disc import disc_folder
from tests.training.trainers.tiny import CITIES, TOOLS
from training import evaluate_disc


def call(city: str) -> list[dict[str, Any]]:
    return [{"name": "weather", "arguments": {"city": city}}]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    records, pairs = [], []
    for number, city in enumerate(CITIES):
        records.append(
            {"id": f"r{number}", "source": "made", "split": "s", "tools": TOOLS,
             "messages": [{"role": "user", "content": f"Weather in {city}?"}]}
        )  # fmt: skip
        for wrong in ("Paris", "Berlin"):
            pairs.append(
                {"id": f"{number}{wrong}", "prompt_id": f"r{number}", "split": "s",
                 "chosen": {"model": "a", "content": None, "tool_calls": call(city)},
                 "rejected": {"model": "b", "content": None, "tool_calls": call(wrong)}}
            )  # fmt: skip
    for name, rows in (("records", records), ("pairs", pairs)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path / "pairs.jsonl", tmp_path / "records.jsonl"


def test_lite_the_disc_and_the_stack_stand_side_by_side(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, records = files
    evaluate_disc.main(
        ["--model", str(disc_folder()), "--pairs", str(pairs), "--records", str(records),
         "--prompts", "5"]
    )  # fmt: skip
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in shown[2:5]] == ["lite", "disc", "stack"]
    assert shown[2].split("|")[2].strip() == "1.000"  # the asked city against one nobody said
    assert shown[-1] == "10 pairs of 5 prompts"


def test_pairs_that_lite_is_sure_of_are_not_read_but_counted(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, records = files
    arguments = ["--model", str(disc_folder()), "--pairs", str(pairs), "--records", str(records)]
    decisions = evaluate_disc.decisions_of(
        evaluate_disc.read_pairs(pairs),
        {record.id: record for record in evaluate_disc.read_records(records)},
    )
    margins = evaluate_disc.lite_margins(decisions)
    limit = float(np.median(np.abs(margins)))
    close = int((np.abs(margins) < limit).sum())
    assert 0 < close < 20
    kept = evaluate_disc.unsure(decisions, margins, limit)
    assert np.abs(evaluate_disc.lite_margins(kept)).max() < limit
    assert sum(len(decision.pairs) for decision in kept) == close
    evaluate_disc.main([*arguments, "--unsure", str(limit)])
    assert capsys.readouterr().out.splitlines()[-1].startswith("of 20 pairs lite has 1.000 right")


def test_a_stack_leans_on_the_margin_that_tells_and_never_on_its_own_prompt() -> None:
    random = np.random.default_rng(0)
    prompts = [str(n) for n in range(200)]
    telling, noise = random.normal(1.0, 0.7, 200), random.normal(0.0, 5.0, 200)
    margins = evaluate_disc.stacked(noise, telling, prompts)
    assert (margins > 0).mean() > 0.85
    # What a prompt's own margins say of the weights does not reach its own decision.
    flipped = telling.copy()
    flipped[0] = -100.0
    changed = evaluate_disc.stacked(noise, flipped, prompts)
    scale = np.array([flipped.std(), telling.std()])
    assert scale[0] > scale[1]
    assert changed[0] < 0 < margins[0]


def test_a_sample_takes_whole_prompts(files: tuple[Path, Path]) -> None:
    pairs = evaluate_disc.read_pairs(files[0])
    drawn = evaluate_disc.sampled(pairs, 3, seed=1)
    assert len(drawn) == 6
    assert len({pair.prompt_id for pair in drawn}) == 3
    assert evaluate_disc.sampled(pairs, None, seed=1) == pairs
