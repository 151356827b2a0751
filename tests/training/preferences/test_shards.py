import json
from pathlib import Path

from training.preferences.shards import (
    MANIFEST,
    SHARD_ROWS,
    ShardWriter,
    finished,
    read_rows,
    rows_of,
)


def written(folder: Path, count: int) -> None:
    writer = ShardWriter(folder)
    for number in range(count):
        writer.add(f"row {number}", number // 2)
    writer.finish("print", {"steps": []})


def test_rows_come_back_numbered_and_in_order(tmp_path: Path) -> None:
    written(tmp_path / "s", SHARD_ROWS * 2 + 3)
    stored = finished(tmp_path / "s", "print")
    assert stored is not None
    assert stored.rows == SHARD_ROWS * 2 + 3
    assert len(stored.shards) == 3
    rows = list(read_rows(stored.shards))
    assert [row[0] for row in rows] == list(range(stored.rows))
    assert rows[5] == (5, 2, "row 5")


def test_a_stage_without_rows_has_a_shard_all_the_same(tmp_path: Path) -> None:
    written(tmp_path / "s", 0)
    stored = finished(tmp_path / "s", "print")
    assert stored is not None
    assert list(rows_of(stored.shards)) == []


def test_a_stage_is_there_only_with_its_manifest_and_its_fingerprint(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "s")
    for number in range(SHARD_ROWS):
        writer.add(str(number))
    assert finished(tmp_path / "s", "print") is None
    writer.finish("print", {})
    assert finished(tmp_path / "s", "print") is not None
    assert finished(tmp_path / "s", "other") is None
    (tmp_path / "s" / MANIFEST).write_text("{")
    assert finished(tmp_path / "s", "print") is None


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        written(tmp_path / name, 700)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert json.loads((tmp_path / "a" / MANIFEST).read_text())["rows"] == 700


def test_a_stage_that_lost_a_shard_is_not_whole(tmp_path: Path) -> None:
    written(tmp_path / "s", SHARD_ROWS * 2 + 3)
    for name in ("part-000002.parquet", "part-000001.parquet"):
        (tmp_path / "s" / name).unlink()
        assert finished(tmp_path / "s", "print") is None


def test_a_stage_with_a_shard_cut_short_is_not_whole(tmp_path: Path) -> None:
    written(tmp_path / "s", 10)
    shard = tmp_path / "s" / "part-000000.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    assert finished(tmp_path / "s", "print") is None


def test_a_stage_reads_the_same_from_the_run_that_made_it_and_from_the_next(tmp_path: Path) -> None:
    made = ShardWriter(tmp_path / "s").finish("print", {"z": {"b": 1, "a": (2,)}, "a": 1})
    stored = finished(tmp_path / "s", "print")
    assert stored is not None
    assert json.dumps(made.manifest) == json.dumps(stored.manifest)
