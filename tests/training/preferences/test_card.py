import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.training.preferences.made import record
from training.preferences import __main__ as command
from training.preferences.card import write_card


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    lines = [json.dumps(record(number)) + "\n" for number in range(40)]
    (folder / "one.jsonl").write_text("".join(lines))
    (folder / "c.toml").write_text(
        '[[sources]]\nname = "labelled"\npath = "one.jsonl"\n[[samplers]]\nname = "recorded"\n'
        '[[samplers]]\nname = "perturb"\n[split]\nvalidation = 8\n[output]\ntitle = "Title"\n'
    )
    arguments = ["--config", str(folder / "c.toml"), "--out", str(folder / "out")]
    assert command.main(["build", *arguments, "--workers", "1"]) == 0
    return folder / "out"


def test_the_card_counts_what_the_report_counts(out: Path) -> None:
    report: Any = json.loads((out / "report.json").read_text())
    card = (out / "README.md").read_text()
    counts = report["dataset"]["counts"]
    total = sum(counts["side"].values())
    assert f"{total:,} pairs" in card
    for name in ("Title", "## Sources", "## Preference intensity", "## Complexity", "## Funnel"):
        assert name in card
    assert f"| one | none stated: do not redistribute | {total:,} |" in card
    assert "must not be redistributed" in card
    for error, count in counts["error"].items():
        assert f"| {error} | {count:,} |" in card
    assert sum(counts["intensity"].values()) == sum(counts["complexity"].values()) == total


def test_every_file_that_the_card_names_is_there_and_loads(out: Path, tmp_path: Path) -> None:
    lines = (out / "README.md").read_text().splitlines()
    paths = [line.split("path: ")[1].rstrip("}") for line in lines if "path: " in line]
    assert len(paths) == 14
    for path in paths:
        if path.endswith(".parquet"):
            rows = datasets.Dataset.from_parquet(str(out / path), cache_dir=str(tmp_path))
            assert len(rows) > 0
        else:
            assert (out / path).exists()
    for plot in (out / "plots").iterdir():
        assert plot.read_bytes().startswith(b"\x89PNG")


def test_plots_and_card_are_the_same_bytes_when_drawn_again(out: Path, tmp_path: Path) -> None:
    write_card(json.loads((out / "report.json").read_text()), tmp_path)
    for file in ("README.md", *(f"plots/{p.name}" for p in (out / "plots").iterdir())):
        assert (tmp_path / file).read_bytes() == (out / file).read_bytes()
