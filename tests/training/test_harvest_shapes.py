"""What `toolrm-guard harvest` writes is what the pipeline and the trainers read."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.stores import many, stored
from toolrm_guard.cli import main
from toolrm_guard.labelled import read_records
from training.lite_data import make_groups
from training.preferences.outputs.chat import MESSAGE
from training.preferences.outputs.trl import EXPLICIT, IMPLICIT
from training.preferences.rows import Trajectory
from training.preferences.sources import open_source


def harvested(tmp_path: Path, shape: str) -> Path:
    store = stored(tmp_path / "t.db", *many(6))
    out = tmp_path / f"{shape}.jsonl"
    assert main(["harvest", store, "--shape", shape, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    ("shape", "schema"), [("trl_explicit", EXPLICIT), ("trl_implicit", IMPLICIT)]
)
def test_trl_rows_fit_the_columns_of_the_pipeline(
    tmp_path: Path, shape: str, schema: pa.Schema
) -> None:
    rows: list[Any] = [json.loads(x) for x in harvested(tmp_path, shape).read_text().splitlines()]
    sides = [name for name in schema.names if schema.field(name).type == pa.list_(MESSAGE)]
    for row in rows:
        assert {*sides, "tools"} <= row.keys()
        for side in sides:
            # Nothing is lost on the way into the pipeline's columns.
            [cast] = pa.array([row[side]], pa.list_(MESSAGE)).to_pylist()
            assert [{k: v for k, v in m.items() if v is not None} for m in cast] == row[side]


def test_pointwise_rows_are_a_source_of_the_pipeline_and_groups_of_lite(tmp_path: Path) -> None:
    path = harvested(tmp_path, "pointwise")
    rows = list(open_source("labelled", str(path)))
    assert len(rows) == 6
    assert all(isinstance(row, Trajectory) for row in rows)
    groups = make_groups(read_records(path), seed=0)
    assert sum(group.kind == "real" for group in groups) == 6
    assert all(len(set(group.right)) == 2 for group in groups)
