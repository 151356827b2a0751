import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from tests.training.preferences.made import call, context, response, result, said, user
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.prompt import END_OF_TURN, render_prompt
from training.preferences.outputs import FORMATS
from training.preferences.outputs.chat import parsed
from training.preferences.rows import Pair
from training.preferences.writing import Standing

PLACE = Standing(side="train", first=7, seed=0)
RIGHT = response(call(city="Oslo"), by="a", score=1.0)
WRONG = response(call(city="Bern"), by="edit:value", score=0.0, error="value")
SILENT = response(text="No.", by="b", score=0.0)
CONTEXT = context(
    RIGHT, WRONG, SILENT, messages=(user(), said("", call(city="Rome"), call(city="Kyiv")),
    result("a"), result("b"), user("And Oslo?")),
)  # fmt: skip


def pair(rejected: int) -> Pair:
    return Pair(
        id=f"{CONTEXT.id}:0>{rejected}", context=CONTEXT, chosen=CONTEXT.responses[0],
        rejected=CONTEXT.responses[rejected], intensity=1.0, complexity=2,
    )  # fmt: skip


def made(shape: Any, name: str = "") -> list[Any]:
    records = FORMATS[shape].records([pair(1), pair(2)], PLACE)
    return [record for file, record in records if file == name]


@pytest.mark.parametrize("shape", FORMATS)
def test_every_record_fits_its_schema(shape: Any) -> None:
    for name, schema in FORMATS[shape].schemas.items():
        rows = made(shape, name)
        assert rows
        if schema is not None:
            table = pa.Table.from_pylist(rows, schema=schema)
            assert table.num_rows == 2
            assert set(rows[0]) == set(schema.names)


def test_trl_calls_are_openais_with_results_tied_to_them() -> None:
    row = made("trl_explicit")[0]
    calls = row["prompt"][1]["tool_calls"]
    assert [m.get("tool_call_id") for m in row["prompt"]] == [
        None, None, calls[0]["id"], calls[1]["id"], None,
    ]  # fmt: skip
    assert json.loads(row["chosen"][0]["tool_calls"][0]["function"]["arguments"]) == {
        "city": "Oslo"
    }
    assert json.loads(row["tools"])[0]["function"]["name"] == "weather"
    assert (row["rejected_by"], row["rejected_error"]) == ("edit:value", "value")


def test_the_implicit_prompt_stands_in_both_sides() -> None:
    explicit, implicit = made("trl_explicit")[1], made("trl_implicit")[1]
    assert implicit["chosen"] == explicit["prompt"] + explicit["chosen"]
    assert implicit["rejected"] == explicit["prompt"] + explicit["rejected"]


def test_about_half_of_the_critiques_are_swapped_and_the_truth_follows() -> None:
    many = [replace(pair(1), id=f"p{number}") for number in range(400)]
    rows = [row for name, row in FORMATS["critique"].records(many, PLACE) if name == "think"]
    assert 150 < sum(row["swapped"] for row in rows) < 250
    for row in rows:
        text = row["prompt"][1]["content"]
        first = text.index("# Response 1")
        shown = text.index('"city": "Oslo"', first) < text.index('"city": "Bern"', first)
        assert row["ground_truth"] == ("1" if shown else "2")
        assert row["swapped"] is not shown


def test_both_modes_show_the_same_order() -> None:
    modes = [made("critique", mode) for mode in ("think", "no_think")]
    assert [r["swapped"] for r in modes[0]] == [r["swapped"] for r in modes[1]]
    assert modes[0][0]["prompt"] != modes[1][0]["prompt"]


def test_pointwise_records_are_what_lite_reads() -> None:
    (row,) = made("pointwise")
    record = LabelledRecord.model_validate(json.loads(json.dumps(row)))
    assert [c.correct for c in record.candidates] == [True, False, False]
    assert record.group == CONTEXT.group
    assert record.toolset()


def test_openrlhf_text_is_the_text_that_serving_scores() -> None:
    row = made("openrlhf")[0]
    assert row["prompt"] == render_prompt(*parsed(CONTEXT))
    assert row["chosen"].endswith(END_OF_TURN)
    assert '"city": "Oslo"' in row["chosen"]


def test_verl_rows_are_numbered_within_their_side() -> None:
    rows = made("verl")
    assert [row["extra_info"]["index"] for row in rows] == [7, 8]
    assert rows[0]["reward_model"]["style"] == "rule"
    assert rows[0]["reward_model"]["ground_truth"] in ("1", "2")
