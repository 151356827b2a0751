"""What the dataset is counted by, and that every selected pair is in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.preferences.made import WEATHER, call, context, response
from training.preferences import codec
from training.preferences.config import BuildConfig, parse_config
from training.preferences.pairs import pairs
from training.preferences.rows import Pair, Response
from training.preferences.shards import ShardWriter, Stored
from training.preferences.writing import LostRowsError, Stats, write_shapes

CONFIG: BuildConfig = parse_config(
    {
        "sources": [{"name": "labelled"}],
        "samplers": [{"name": "recorded"}],
        "output": {"shapes": ["pointwise"]},
    }
)
RIGHT = response(call(city="Oslo"), by="a", score=1.0)
HALF = response(call(city="Oslo", days=1), by="b", score=0.5)


def pair(chosen: Response = RIGHT, rejected: Response = HALF, **changes: object) -> Pair:
    return Pair(
        id="p", context=context(chosen, rejected, **changes), chosen=chosen, rejected=rejected,
        intensity=0.5, complexity=1,
    )  # fmt: skip


def stages(folder: Path, number: int) -> tuple[Stored, Stored]:
    rows = [context(RIGHT, HALF, id=f"c{i}") for i in range(number)]
    contexts, links = ShardWriter(folder / "3-score"), ShardWriter(folder / "6-split")
    for origin, row in enumerate(rows):
        contexts.add(codec.to_json(row))
        for link in pairs(row):
            links.add(f"train\t{link.to_json()}", origin)  # type: ignore[union-attr]
    return contexts.finish("f", {}), links.finish("f", {})


def test_every_licence_of_a_source_is_kept_and_a_missing_one_is_not_hidden() -> None:
    stats = Stats(10)
    for licence in ("MIT", None, "Apache-2.0"):
        stats.add(pair(licence=licence), "train")
    assert stats.as_json()["licences"] == {"made": ["Apache-2.0", "MIT", None]}


def test_pairs_that_a_label_decides_are_counted() -> None:
    labelled = response(call(city="Bern"), by="c", score=1.0, label=True)
    stats = Stats(10)
    for chosen, rejected in ((RIGHT, HALF), (labelled, HALF)):
        stats.add(pair(chosen, rejected), "train")
    nothing = response(text="No.", by="d", score=0.0)
    partly = response(call(city="Oslo", days=1), by="c", score=1.0, label=True)
    stats.add(pair(partly, nothing), "train")
    counts = stats.as_json()["counts"]
    assert counts["decided_by"] == {
        "label, rule agrees": 1,
        "label, rule sees no such difference": 1,
        "rule": 1,
    }
    assert counts["label_by_source"] == {"made": 2}


def test_tools_that_stand_on_both_sides_are_counted() -> None:
    stats = Stats(10)
    stats.add(pair(), "train")
    stats.add(pair(tools=(WEATHER, {**WEATHER, "name": "other"})), "validation")
    stats.add(pair(tools=({**WEATHER, "name": "third"},)), "validation")
    assert stats.as_json()["tools"] == {
        "train": 1, "validation": 3, "in_both": 1, "validation_pairs_with_a_tool_of_train": 1,
    }  # fmt: skip


def test_a_selected_pair_without_its_context_is_an_error(tmp_path: Path) -> None:
    contexts, _ = stages(tmp_path / "few", 1)
    _, selected = stages(tmp_path / "many", 2)
    with pytest.raises(LostRowsError, match="1 pairs were written, 2 were selected"):
        write_shapes(contexts, selected, CONFIG, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_data_takes_its_name_when_all_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts, selected = stages(tmp_path / "stages", 3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old").touch()
    add: Callable[[Stats, Pair, str], None] = Stats.add

    def dies(self: Stats, row: Pair, side: str) -> None:
        if row.context.id == "c2":
            raise KeyboardInterrupt
        add(self, row, side)

    monkeypatch.setattr(Stats, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(contexts, selected, CONFIG, tmp_path / "data")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["old"]
    monkeypatch.undo()
    write_shapes(contexts, selected, CONFIG, tmp_path / "data")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["pointwise"]
    assert not (tmp_path / "data.partial").exists()
