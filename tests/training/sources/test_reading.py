"""Rows out of damaged and odd files: every line is a row or accounted for."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.sources.made import lines
from toolrm_guard.errors import ConfigurationError
from training.preferences.rows import Dropped
from training.preferences.sources import reading
from training.preferences.sources.arrays import elements
from training.preferences.sources.reading import read_rows
from training.preferences.sources.row import Row


def read(path: Path | str) -> tuple[list[str], list[tuple[str, str]]]:
    rows = list(read_rows(str(path)))
    return (
        [row.where for row in rows if isinstance(row, Row)],
        [(row.id, row.reason) for row in rows if isinstance(row, Dropped)],
    )


def test_lines_that_are_no_rows_are_dropped_by_line(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "rows.jsonl",
        {"a": 1},
        '{"a": 1',
        b'{"a": "\xff"}',
        "",
        "[1]",
        '{"a": NaN}',
        '{"a": 1e999}',
        r'{"a": "\ud800"}',
        "[" * 100_000,
        {"a": 2},
    )
    assert read(path) == (
        ["rows.jsonl:1", "rows.jsonl:10"],
        [
            ("rows.jsonl:2", "bad_json"),
            ("rows.jsonl:3", "not_utf8"),
            ("rows.jsonl:5", "not_an_object"),
            ("rows.jsonl:6", "bad_number"),
            ("rows.jsonl:7", "bad_number"),
            ("rows.jsonl:8", "bad_text"),
            ("rows.jsonl:9", "bad_json"),
        ],
    )


def test_a_file_that_breaks_off_says_so(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{"a": ')
    assert read(tmp_path / "rows.jsonl") == (["rows.jsonl:1"], [("rows.jsonl:2", "truncated")])


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}')
    assert read(tmp_path / "rows.jsonl") == (["rows.jsonl:1", "rows.jsonl:2"], [])


def test_a_surrogate_pair_is_text(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", r'{"a": "\ud83d\ude00"}')
    assert read(path) == (["rows.jsonl:1"], [])


def test_a_line_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 100)
    path = lines(tmp_path / "rows.jsonl", {"a": "x" * 1000}, {"a": 1})
    assert read(path) == (["rows.jsonl:2"], [("rows.jsonl:1", "line_too_long")])


def test_gzip_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert read(tmp_path / "rows.jsonl") == (["rows.jsonl:1", "rows.jsonl:2"], [])


def test_a_damaged_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"a": i}).encode() + b"\n" for i in range(50_000)))
    (tmp_path / "rows.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    rows, dropped = read(tmp_path / "rows.jsonl.gz")
    assert len(rows) > 1000
    assert dropped[-1] == ("rows.jsonl.gz", "damaged_gzip")


def test_an_empty_source_is_counted(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "folder").mkdir()
    assert read(tmp_path / "empty.jsonl") == ([], [("empty.jsonl", "empty_source")])
    assert read(tmp_path / "folder") == ([], [("folder", "empty_source")])


def test_a_folder_is_read_by_name_and_only_its_data(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    lines(tmp_path / "sub" / "b.jsonl", {"a": 1})
    lines(tmp_path / "a.jsonl", {"a": 1})
    (tmp_path / "README.md").write_text("no data")
    assert read(tmp_path) == (["a.jsonl:1", "sub/b.jsonl:1"], [("README.md", "ignored_file")])


def test_an_empty_file_of_a_folder_is_counted_although_others_have_rows(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", {"a": 1})
    (tmp_path / "b.jsonl").write_bytes(b"")
    (tmp_path / "c.json").write_text("[]")
    assert read(tmp_path) == (
        ["a.jsonl:1"],
        [("b.jsonl", "empty_source"), ("c.json", "empty_source")],
    )


def test_a_folder_without_data_is_empty_whatever_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    _, dropped = read(tmp_path)
    assert [reason for _, reason in dropped] == ["ignored_file", "ignored_file", "empty_source"]


def test_nothing_at_the_path_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"no/such/file\.jsonl"):
        read("no/such/file.jsonl")


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_an_array_is_cut_into_its_elements(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.preferences.sources.arrays.CHUNK_BYTES", chunk)
    values = [{"a": ']}\\"{[', "b": [{"c": [1]}]}, {}, {"d": "\\"}]
    path = tmp_path / "rows.json"
    for text in (json.dumps(values), json.dumps(values, indent=2)):
        path.write_text(text)
        with path.open("rb") as raw:
            assert [json.loads(part) for part, _ in elements(raw)] == values


def test_one_bad_element_does_not_cost_the_others(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, {"a": 1,}, {"a": 2}]')
    assert read(path) == (["rows.json[0]", "rows.json[2]"], [("rows.json[1]", "bad_json")])


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_a_bare_element_does_not_take_the_object_behind_it(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.preferences.sources.arrays.CHUNK_BYTES", chunk)
    path = tmp_path / "rows.json"
    path.write_text('[1, "a, ]}", {"a": 1}, 3 {"b": [1, 2]}, null]')
    rows, dropped = read(path)
    assert rows == ["rows.json[2]", "rows.json[4]"]
    assert [where for where, _ in dropped] == ["rows.json[0]", "rows.json[1]", "rows.json[3]",
                                               "rows.json[5]"]  # fmt: skip
    assert {reason for _, reason in dropped} == {"not_an_object"}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("behind", ['[{"a": 2}]', '\n{"a": 2}\n{"a": 3}', "]", "\n\nx"])
def test_what_follows_an_array_is_counted(
    tmp_path: Path, behind: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.preferences.sources.arrays.CHUNK_BYTES", chunk)
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}]' + behind)
    assert read(path) == (["rows.json[0]"], [("rows.json[1]", "trailing_data")])
    path.write_text('[{"a": 1}]' + " \n" * 50)
    assert read(path) == (["rows.json[0]"], [])


def test_an_array_is_known_behind_any_amount_of_white_space(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf" + b" \n" * 100_000 + b'[{"a": 1},\n{"a": 2}]')
    assert read(path) == (["rows.json[0]", "rows.json[1]"], [])


def test_an_array_that_breaks_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for text in ('[{"a": 1}, {"a": "x', '[{"a": 1},', '[{"a": 1}'):
        path.write_text(text)
        assert read(path) == (["rows.json[0]"], [("rows.json[1]", "truncated")])


def test_elements_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[1, 2]")
    bad = [(f"rows.json[{number}]", "not_an_object") for number in range(2)]
    assert read(path) == ([], bad)
    path.write_text("[]")
    assert read(path) == ([], [("rows.json", "empty_source")])


def test_parquet_is_read_through_datasets(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"id": 1, "tools": "[]"}, {"id": 2, "tools": "[]"}])
    pq.write_table(table, tmp_path / "rows.parquet")
    rows = [row for row in read_rows(str(tmp_path / "rows.parquet")) if isinstance(row, Row)]
    assert [(row.where, row.value["id"]) for row in rows] == [
        ("rows.parquet[0]", 1),
        ("rows.parquet[1]", 2),
    ]


def test_keys_that_only_other_rows_have_do_not_come_back_as_none(tmp_path: Path) -> None:
    values = [{"calls": [{"a": 1}, {"b": {"c": 2}}]}, {"calls": [{"d": []}]}]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "rows.parquet")
    rows = [row for row in read_rows(str(tmp_path / "rows.parquet")) if isinstance(row, Row)]
    assert [row.value for row in rows] == values


def test_a_damaged_parquet_is_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and then nothing")
    assert read(tmp_path / "rows.parquet") == ([], [("rows.parquet[0]", "damaged_file")])
