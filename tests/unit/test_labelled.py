"""Labelled files are read strictly; an error names file, line and reason."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from toolrm_guard.labelled import LabelledFileError, read_pairs, read_records

SHARED = Path(__file__).parents[3] / "shared" / "data"


def record(key: str = "r1", **fields: Any) -> dict[str, Any]:
    return {
        "id": key,
        "source": "made",
        "split": "a",
        "tools": [{"name": "f", "description": "", "parameters": {"type": "object"}}],
        "messages": [{"role": "user", "content": "hello"}],
        "reference": {"content": None, "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
        "accept": None,
        "candidates": [
            {
                "model": "m", "content": "no", "tool_calls": [], "correct": False,
                "error_type": "none",
            },
            {"model": "m", "content": None, "tool_calls": None, "correct": None,
             "error_type": None, "raw": "f("},
        ],
        **fields,
    }  # fmt: skip


def pair(**fields: Any) -> dict[str, Any]:
    side = {"model": "m", "origin": "o", "content": None, "tool_calls": []}
    return {
        "id": "p1", "prompt_id": "r1", "split": "a", "chosen": side, "rejected": side,
        "rejected_error_type": "wrong_count", **fields,
    }  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_records_are_read_plain_or_zipped_and_become_candidates(tmp_path: Path, name: str) -> None:
    (found,) = read_records(write(tmp_path / name, [record()]))
    assert found.reference is not None
    assert found.reference.candidate().calls[0].arguments == {"x": 1}
    assert found.candidates[0].candidate().text == "no"
    assert found.parsed_messages()[0].text == "hello"
    assert list(found.toolset()) == ["f"]
    with pytest.raises(ValueError, match="unreadable"):
        found.candidates[1].candidate()


def test_pairs_are_read(tmp_path: Path) -> None:
    (found,) = read_pairs(write(tmp_path / "p.jsonl", [pair()]))
    assert found.prompt_id == "r1"


def test_an_unknown_field_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [record(), record("r2", colour="red")])
    with pytest.raises(LabelledFileError, match=r"a\.jsonl:2: colour"):
        read_records(path)


def test_a_duplicated_id_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [record(), record()])
    with pytest.raises(LabelledFileError, match="'r1' stands on line 1 already"):
        read_records(path)


def test_a_truncated_line_and_a_truncated_archive_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record()) + "\n" + json.dumps(record("r2"))[:50])
    with pytest.raises(LabelledFileError, match=r"a\.jsonl:2: .*truncated"):
        read_records(path)
    zipped = write(tmp_path / "b.jsonl.gz", [record(str(n)) for n in range(50)])
    zipped.write_bytes(zipped.read_bytes()[:-40])
    with pytest.raises(LabelledFileError, match="gzip stream is damaged"):
        read_records(zipped)


def test_a_wrong_encoding_an_empty_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    latin = tmp_path / "l.jsonl"
    latin.write_bytes(json.dumps(record(split="é"), ensure_ascii=False).encode("latin-1"))
    with pytest.raises(LabelledFileError, match="not UTF-8"):
        read_records(latin)
    with pytest.raises(LabelledFileError, match="no LabelledRecord"):
        read_records(write(tmp_path / "e.jsonl", []))
    with pytest.raises(LabelledFileError, match="No such file"):
        read_records(tmp_path / "none.jsonl")


def test_a_pair_with_an_unreadable_side_is_an_error(tmp_path: Path) -> None:
    side = {"model": "m", "origin": "o", "content": None, "tool_calls": None}
    with pytest.raises(LabelledFileError, match="must be readable"):
        read_pairs(write(tmp_path / "p.jsonl", [pair(rejected=side)]))


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_the_shared_development_pack_is_read() -> None:
    assert len(read_pairs(SHARED / "dev" / "trbench_dev_pairs.jsonl.gz")) == 1099
