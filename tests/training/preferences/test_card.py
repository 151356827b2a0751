import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.training.preferences.made import record
from training.preferences import __main__ as command
from training.preferences import plots
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


def changed(out: Path, tmp_path: Path, **dataset: Any) -> str:
    report: Any = json.loads((out / "report.json").read_text())
    report["dataset"] = {**report["dataset"], **dataset}
    write_card(report, tmp_path)
    return (tmp_path / "README.md").read_text()


def test_a_row_without_a_licence_speaks_for_its_source(out: Path, tmp_path: Path) -> None:
    card = changed(out, tmp_path, licences={"one": ["Apache-2.0", "MIT", None]})
    assert "| one | Apache-2.0, MIT; for some rows none stated: do not redistribute |" in card
    assert "must not be redistributed" in card
    assert "must not be redistributed" not in changed(out, tmp_path, licences={"one": ["MIT"]})


def test_the_card_says_where_labels_decide_and_whose_the_recipe_is(
    out: Path, tmp_path: Path
) -> None:
    assert "In every pair the rule score alone" in (out / "README.md").read_text()
    counts: Any = json.loads((out / "report.json").read_text())["dataset"]["counts"]
    decided = {"rule": 200, "label, rule sees no such difference": 7, "label, rule agrees": 34}
    card = changed(
        out, tmp_path, counts={**counts, "decided_by": decided, "label_by_source": {"one": 41}}
    )
    assert "In 41 pairs (17.0%: one 41) a label of the source" in card
    assert "7 of these would be level" in card
    assert "(arXiv 2510.26167), not ours" in card


def test_the_card_says_which_tools_stand_on_both_sides(out: Path) -> None:
    tools: Any = json.loads((out / "report.json").read_text())["dataset"]["tools"]
    assert tools["in_both"] == 1  # `weather`, beside another tool in every record
    card = (out / "README.md").read_text()
    assert f"1 of the {tools['validation']} tools of validation" in card


def test_the_plot_of_errors_says_how_many_are_not_shown() -> None:
    errors = {f"natural: e{number}": 100 - number for number in range(27)}
    label = plots._errors({"error": errors}).axes[0].get_xlabel()
    assert "2 rarer errors, 149 pairs in all, are not shown" in label
    few = plots._errors({"error": {"natural: e": 3}}).axes[0].get_xlabel()
    assert "not shown" not in few


def test_the_funnel_draws_each_unit_in_a_panel_of_its_own(out: Path) -> None:
    figure = plots._funnel(json.loads((out / "report.json").read_text())["funnel"])
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == [f"{u} that leave the stage" for u in ("trajectories", "contexts", "pairs")]
