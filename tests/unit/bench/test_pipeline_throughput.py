"""The throughput bench on a few records: rates are rates, and a build is watched to its end."""

import gzip
import json
from pathlib import Path

import pytest

from bench import pipeline_throughput as bench
from toolrm_guard.labelled import read_records

RECORD = {
    "id": "r", "source": "s", "split": "s", "query_id": "q", "accept": None,
    "tools": [{"name": "f", "description": "", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer"}}}}],
    "messages": [{"role": "user", "content": "Do f with 1."}],
    "reference": {"content": None, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
    "candidates": [
        {"model": str(a), "content": None, "tool_calls": [{"name": "f", "arguments": {"a": a}}],
         "correct": a == 1, "error_type": None}
        for a in range(1, 5)
    ],
}  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "r.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write(json.dumps(RECORD) + "\n")
    return path


def test_contenders_are_timed_on_the_same_candidates(records: Path) -> None:
    cases = list(bench._cases(read_records(records)))
    assert len(cases) == 4
    rates = bench.scorer_rates(cases * 50, rounds=3)
    assert [rate.name for rate in rates][:2] == ["rule score", "rule score, parsing included"]
    assert all(rate.least <= rate.median <= rate.most for rate in rates)


def test_a_build_is_timed_with_its_memory(records: Path) -> None:
    run = bench.build_run(records, 80, "local", 1)
    assert run.candidates == 80
    assert run.rate == pytest.approx(80 / run.seconds)
    assert 50 < run.peak_mb < 4000
    assert "| local | 1 | 80 |" in bench.report([], [run])


def test_a_failed_build_is_no_measurement(records: Path) -> None:
    with pytest.raises(SystemExit, match="invalid choice"):
        bench.build_run(records, 8, "abacus", 1)
