import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.training.preferences.made import call, context, response, said, trajectory, user
from training.preferences import codec
from training.preferences.chain import OUTPUT, Chain
from training.preferences.config import parse_config
from training.preferences.engines.local import LocalEngine
from training.preferences.funnel import Tally, funnel, problems
from training.preferences.rows import Dropped
from training.preferences.shards import ShardWriter

CONFIG = parse_config(
    {"sources": [{"name": "labelled"}], "samplers": [{"name": "recorded"}], "seed": 5}
)


def batch(*rows: str, first: int = 0) -> pa.Table:
    keys = list(range(first, first + len(rows)))
    return pa.table({"key": keys, "origin": keys, "row": pa.array(rows, pa.large_string())})


def test_rows_drops_and_counts_come_back_with_their_key() -> None:
    good = trajectory(user(), said("", call(city="Oslo")))
    bad = trajectory(user(), said("", call(city=3)), id="bad")
    made = Chain(name="clean", config=CONFIG)(batch(codec.to_json(good), codec.to_json(bad)))
    assert made.schema == OUTPUT
    rows = made.to_pylist()
    assert [(row["key"], row["kind"]) for row in rows][:2] == [(0, "row"), (1, "drop")]
    assert json.loads(rows[1]["row"])["reason"] == "wrong_type"
    counts = {tuple(r["row"].split("\t")[:2]): r["row"] for r in rows if r["kind"] == "count"}
    assert counts["references", "in"].endswith("\t2")
    assert counts["references", "out"].endswith("\t1")


def test_every_chain_can_be_sent_to_a_worker() -> None:
    for name in ("clean", "sample", "score", "pairs"):
        chain = Chain(name=name, config=CONFIG)  # type: ignore[arg-type]
        assert pickle.loads(pickle.dumps(chain)) == chain


def test_a_row_beyond_the_stack_is_dropped_and_does_not_end_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deep(row: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr("training.preferences.chain.roles.roles", deep)
    made = Chain(name="clean", config=CONFIG)(batch(codec.to_json(trajectory())))
    (drop,) = [json.loads(r["row"]) for r in made.to_pylist() if r["kind"] == "drop"]
    assert (drop["stage"], drop["reason"]) == ("roles", "too_deep")


def test_rows_survive_the_files() -> None:
    one = context(response(call(city="Oslo"), score=0.5), response(text="é\n\t"))
    assert codec.context_from_json(codec.to_json(one)) == one
    two = trajectory(targets=(1,), recorded=(response(),))
    assert codec.trajectory_from_json(codec.to_json(two)) == two


def test_equal_turns_have_one_key_whatever_the_order_of_calls() -> None:
    left = response(call(a=1), call(b=2), by="x")
    right = response(call(b=2), call(a=1), by="y", label=True)
    assert codec.turn_key(left) == codec.turn_key(right)
    assert codec.turn_key(left) != codec.turn_key(response(call(a=1), call(b=2), text="hi"))


def test_the_local_engine_gives_the_same_rows_for_any_number_of_workers(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "s")
    for number in range(700):
        writer.add(codec.to_json(trajectory(id=str(number))))
    stored = writer.finish("", {})
    chain = Chain(name="clean", config=CONFIG)
    found = []
    for workers in (1, 3):
        engine = LocalEngine(workers, tmp_path / f"scratch{workers}")
        tables = list(engine.run(stored.shards, chain))
        rows = [row for table in tables for row in table.to_pylist() if row["kind"] == "row"]
        found.append(rows)
        assert not (tmp_path / f"scratch{workers}").exists()
    assert found[0] == found[1]
    assert [row["key"] for row in found[0]] == list(range(700))


def dropped(stage: str, reason: str, id_: str = "x") -> Dropped:
    return Dropped(stage=stage, reason=reason, id=id_, detail="d")


def test_drops_are_counted_with_the_first_example() -> None:
    tally = Tally()
    for name in ("first", "second"):
        tally.drop(dropped("roles", "no_user_turn", name))
    tally.count("roles", "in", 5)
    tally.count("roles", "out", 3)
    (stage,) = funnel([tally.as_json()])
    assert (stage["in"], stage["out"]) == (5, 3)
    assert stage["dropped"]["no_user_turn"]["count"] == 2
    assert stage["dropped"]["no_user_turn"]["example"]["id"] == "first"


def test_samplers_in_several_parts_are_one_stage() -> None:
    parts = []
    for lost in (1, 2):
        tally = Tally()
        tally.count("sample", "in", 9)
        tally.count("sample", "out", 9)
        for _ in range(lost):
            tally.drop(dropped("sample", "http_500"))
        parts.append(tally.as_json())
    (stage,) = funnel(parts)
    assert (stage["in"], stage["out"]) == (9, 9)
    assert stage["dropped"]["http_500"]["count"] == 3


@pytest.mark.parametrize(
    ("stage", "reason", "share", "whole"),
    [
        ("read", "bad_json", 0.0, False),
        ("read", "bad_json", 0.5, True),
        # Nobody knows how much a file held that breaks off.
        ("read", "truncated", 1.0, False),
        ("read", "trailing_data", 1.0, False),
        ("read", "damaged_gzip", 1.0, False),
        ("read", "damaged_file", 1.0, False),
        ("read", "ignored_file", 0.0, True),
        ("read", "no_reference", 0.0, True),  # of no use, but nothing was lost
        ("read", "empty_source", 0.5, False),
        ("sample", "http_500", 0.0, False),
        ("sample", "malformed_call", 0.0, True),  # the model answered, badly
        ("sample", "unsuitable_prompt", 0.0, True),
        ("roles", "no_user_turn", 0.0, True),
    ],
)
def test_a_build_is_whole_unless_rows_or_requests_were_lost(
    stage: str, reason: str, share: float, whole: bool
) -> None:
    tally = Tally()
    tally.count(stage, "in", 4)
    tally.drop(dropped(stage, reason))
    assert (problems(funnel([tally.as_json()]), share) == []) is whole


def test_the_share_of_lost_requests_is_of_requests_not_of_contexts() -> None:
    tally = Tally()
    tally.count("sample", "in", 100)
    tally.count("sample", "requests", 400)
    for _ in range(30):
        tally.drop(dropped("sample", "http_500"))
    stages = funnel([tally.as_json()])
    assert problems(stages, 0.08) == []
    (problem,) = problems(stages, 0.07)
    assert "30 of 400 requests" in problem


def test_the_requests_of_several_samplers_are_added_and_one_that_asks_nobody_adds_none() -> None:
    parts = []
    for requests in (40, 0, 8):
        tally = Tally()
        tally.count("sample", "in", 10)
        tally.count("sample", "requests", requests)
        parts.append(tally.as_json())
    (stage,) = funnel(parts)
    assert (stage["in"], stage["requests"]) == (10, 48)


def test_every_source_is_counted_by_itself() -> None:
    tally = Tally()
    for _ in range(3):
        tally.read("a.jsonl", trajectory())
    tally.read("a.jsonl", dropped("read", "bad_json", "a.jsonl:4"))
    tally.read("a.jsonl", dropped("read", "bad_json", "a.jsonl:5"))
    tally.read("a.jsonl", dropped("responses", "unreadable_output"))
    tally.read("folder", dropped("read", "ignored_file", "README.md"))
    found = tally.as_json()
    assert found["sources"]["a.jsonl"] == {
        "read": 5,
        "kept": 3,
        "dropped": {"bad_json": 2},
        "examples": {"bad_json": {"id": "a.jsonl:4", "detail": "d"}},
    }
    assert found["sources"]["folder"]["read"] == 0, "a file is no row"
    (read, responses) = funnel([found])
    assert (read["in"], read["out"]) == (5, 3)
    assert responses["dropped"]["unreadable_output"]["count"] == 1
