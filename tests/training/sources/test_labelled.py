"""The packs' records: references, recorded outputs and their labels."""

from pathlib import Path
from typing import Any

from tests.training.sources.made import BAKE, CALL, lines, reasons, taken
from training.preferences.rows import Response


def record(**changed: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "source": "made",
        "split": "x",
        "tools": [{**BAKE, "returns": {"type": "string"}, "x-inferred": True}],
        "messages": [{"role": "user", "content": "Bread."}],
        "reference": {"content": None, "tool_calls": [CALL]},
        "accept": None,
        "candidates": [
            {"model": "a", "content": None, "tool_calls": [CALL], "correct": True},
            {"model": "b", "content": "No.", "tool_calls": [], "correct": False,
             "error_type": "no_call"},
            {"model": "c", "content": None, "tool_calls": None, "raw": "bake(", "correct": None},
        ],
        **changed,
    }  # fmt: skip


def test_the_reference_is_the_last_turn_and_outputs_keep_their_labels(tmp_path: Path) -> None:
    (got,), dropped = taken("labelled", lines(tmp_path / "p.jsonl", record()), licence="MIT")
    assert got.messages[-1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert got.targets == (1,)
    assert got.tools == (BAKE,)
    assert got.recorded == (
        Response(calls=(CALL,), by="a", label=True),
        Response(text="No.", by="b", label=False, error="no_call"),
    )
    assert (got.source, got.licence, got.group) == ("made", "MIT", "made:r1")
    assert [(item.stage, item.id, item.reason) for item in dropped] == [
        ("responses", "r1#2", "unreadable_output")
    ]


def test_the_first_right_output_stands_in_for_a_missing_reference(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        record(reference=None),
        record(id="r2", reference=None, candidates=record()["candidates"][1:]),
    )
    (got,), dropped = taken("labelled", path)
    assert got.messages[-1]["tool_calls"] == [CALL]
    assert ("p.jsonl:2", "no_reference") in reasons(dropped)


def test_an_answer_in_text_is_a_reference(tmp_path: Path) -> None:
    answer = {"content": "We are closed.", "tool_calls": []}
    (got,), _ = taken("labelled", lines(tmp_path / "p.jsonl", record(reference=answer)))
    assert got.messages[-1] == {"role": "assistant", "content": "We are closed."}


def test_records_of_one_dialog_are_one_group(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", record(dialog="d"), record(id="r2", query_id="q"))
    (one, two), _ = taken("labelled", path)
    assert (one.group, two.group) == ("made:d", "made:q")


def test_known_sources_have_their_own_licence(tmp_path: Path) -> None:
    rows = [record(source="tooltalk"), record(id="r2", source="ultratool")]
    (one, two), _ = taken("labelled", lines(tmp_path / "p.jsonl", *rows), licence="MIT-0")
    assert (one.licence, two.licence) == ("MIT", None)


def test_bad_records_are_dropped_and_the_others_stay(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        {"id": "no record"},
        record(unknown=1),
        record(reference={"tool_calls": [{"name": "bake", "arguments": '{"what": "bread"}'}]}),
        record(messages=[{"role": "user", "content": ["parts"]}]),
        record(messages=[{"content": "nobody"}]),
        record(tools=[{"description": "no name"}]),
        '{"id": "cut',
        record(),
    )
    rows, dropped = taken("labelled", path)
    assert len(rows) == 1
    assert [item.reason for item in dropped if item.stage == "read"] == [
        "bad_record", "bad_record", "bad_record", "wrong_type", "missing_field", "bad_tool",
        "bad_json",
    ]  # fmt: skip
