"""The store: everything queued is written, nothing it meets stops a review."""

import logging
import math
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard, Policy, TraceStore
from toolrm_guard.errors import ConfigurationError, StoreError
from toolrm_guard.store import StoreHealth


def guard_with(store: TraceStore | str | Path, *probabilities: float) -> Guard:
    rates = probabilities or (0.9,)
    return Guard(FakeScorer(lambda request: rates), store=store, policy=Policy(max_corrections=0))


def held_up(store: TraceStore) -> threading.Event:
    """Hold the writer up until the event is set."""
    taken, gate = threading.Event(), threading.Event()

    def wait() -> Any:
        taken.set()
        gate.wait(10)
        raise ValueError("only here to hold the writer up")

    store.put(wait)
    assert taken.wait(10)
    return gate


def test_a_review_is_stored_with_all_it_saw_and_decided(store_url: str) -> None:
    with TraceStore(store_url) as store:
        review = guard_with(store, 0.2, 0.9).review(
            "Delete a.txt",
            TOOLS,
            [proposal("get_file", path="b"), proposal("delete_file", call_id="c1", path="a.txt")],
            conversation_id="talk-1",
        )
        assert store.flush()
        [record] = store.reviews("talk-1")
        assert list(store.reviews("talk-2")) == []
    assert record.id == review.id
    assert record.messages[0].text == "Delete a.txt"
    assert [tool["name"] for tool in record.tools] == ["get_file", "delete_file"]
    assert [candidate.probability for candidate in record.candidates] == [0.2, 0.9]
    chosen = record.candidates[record.chosen].calls[0]
    assert (chosen.id, chosen.verdict, chosen.effect) == ("c1", "approve", "destructive")
    assert chosen.digest == review.approved[0].digest


def test_could_not_judge_is_stored_without_a_score(store_url: str) -> None:
    with TraceStore(store_url) as store:
        guard_with(store, math.nan).review("?", TOOLS, [proposal("get_file", path="a")])
        store.flush()
        [record] = store.reviews()
    assert not record.judged
    assert record.candidates[0].reward is None
    assert record.candidates[0].probability is None


def test_hostile_text_is_stored_readable(store_url: str) -> None:
    hostile = {"path": "\ud800\x00", "n": math.nan, "s": {1, 2}}
    with TraceStore(store_url) as store:
        guard_with(store).review("\udfff\x00", TOOLS, [proposal("get_\ud800", **hostile)])
        store.flush()
        assert (store.written, store.failed) == (1, 0)
        [record] = store.reviews()
    assert record.candidates[0].calls[0].arguments["n"] == "NaN"
    assert record.messages[0].text == "\ufffd\ufffd"


def test_outcomes_are_joined_by_call_id(store_url: str) -> None:
    with TraceStore(store_url) as store:
        guard = guard_with(store)
        guard.record_outcome("c1", ok=False, kind="execution", content="disk full", latency_ms=3.0)
        guard.record_outcome("c1", ok=True)
        guard.record_outcome("c2", ok=True)
        store.flush()
        assert [(o.kind, o.ok) for o in store.outcomes("c1")] == [
            ("execution", False),
            ("task", True),
        ]


def test_closing_writes_what_is_queued(store_url: str) -> None:
    store = TraceStore(store_url)
    guard = guard_with(store)
    for index in range(500):
        guard.record_outcome(f"c{index}", ok=True)
    store.close()
    store.close()
    with TraceStore(store_url) as again:
        assert sum(1 for _ in again.outcomes()) == 500


def test_a_full_queue_drops_the_oldest_and_says_so(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = TraceStore(store_url, capacity=5)
    gate = held_up(store)
    guard = guard_with(store)
    with caplog.at_level(logging.WARNING):
        for index in range(8):
            guard.record_outcome(f"c{index}", ok=True)
    gate.set()
    store.flush()
    assert store.dropped == 3
    assert [o.call_id for o in store.outcomes()] == [f"c{k}" for k in range(3, 8)]
    assert "3" not in caplog.text or "dropped" in caplog.text
    store.close()


def test_an_entry_that_cannot_be_built_costs_only_itself(store_url: str) -> None:
    with TraceStore(store_url) as store:
        store.put(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        guard_with(store).record_outcome("c1", ok=True)
        store.flush()
        assert (store.written, store.failed) == (1, 1)


def test_a_locked_database_delays_records_and_not_reviews(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with TraceStore(path) as store:
        guard = guard_with(store)
        lock = sqlite3.connect(path, check_same_thread=False)
        lock.execute("BEGIN EXCLUSIVE")
        review = guard.review("Read", TOOLS, [proposal("get_file", path="a")])
        assert review.total_ms < 500
        assert not store.flush(timeout_s=0.2)
        lock.rollback()
        lock.close()
        assert store.flush()
        assert store.written == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nosuchdb://host/x", "nosuchdb"),
        ("/proc/none/traces.db", "folder that can be written"),
    ],
)
def test_a_store_that_cannot_be_opened_says_what_to_do(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        TraceStore(url)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_text("this is not a database at all, whatever its name" * 50)
    with pytest.raises(StoreError, match=r"traces\.db"):
        TraceStore(tmp_path / "traces.db")


def test_no_password_shows_in_an_error() -> None:
    with pytest.raises(StoreError) as caught:
        TraceStore("nosuchdb://user:hunter2@host/x")
    assert "hunter2" not in str(caught.value)


def test_any_text_of_a_record_may_be_hostile_and_is_read_back(store_url: str) -> None:
    bad = "x\ud800\x00"
    history = [
        {"role": "user", "content": bad},
        {"role": "assistant", "content": "", "tool_calls": [{"name": bad, "id": bad}]},
        {"role": "tool", "tool_call_id": bad, "name": bad, "content": bad},
    ]
    tools = [{"name": "f", "description": bad, "parameters": {"default": object()}}]
    calls = [{"name": bad, "id": bad}, {"name": "f", "id": bad, "arguments": {bad: bad}}]

    def fails(request: object) -> list[float]:
        raise ValueError(bad)

    with TraceStore(store_url) as store:
        for scorer in (FakeScorer(lambda request: [0.9]), FakeScorer(fails)):
            guard = Guard(scorer, store=store, policy=Policy(max_corrections=0))
            guard.review(history, tools, [{"tool_calls": calls}], conversation_id=bad)
            guard.record_outcome(bad, ok=True, content=bad, conversation_id=bad)
        assert store.flush()
        assert (store.written, store.failed) == (4, 0)
        assert len(list(store.reviews())) == 2
        assert len(list(store.outcomes())) == 2


def test_one_bad_row_in_a_batch_costs_only_itself(store_url: str) -> None:
    with TraceStore(store_url) as store:
        review = guard_with(store).review("?", TOOLS, ["text"])
        store.flush()
        [record] = store.reviews()
        gate = held_up(store)
        for entry in (record, record.model_copy(update={"id": "b"}), record):
            store.put(lambda entry=entry: entry)  # type: ignore[misc]
        gate.set()  # they are one batch
        assert not store.flush()
        assert {r.id for r in store.reviews()} == {review.id, "b"}
        assert (store.written, store.failed) == (2, 3)


def test_a_forked_child_reviews_and_records(store_url: str) -> None:
    script = """
import os, sys
from toolrm_guard import FakeScorer, Guard, TraceStore
store = TraceStore(sys.argv[1])
guard = Guard(FakeScorer(lambda request: [0.9]), store=store)
guard.review("parent", [{"name": "f"}], ["text"])
store.flush()
child = os.fork()
guard.review("child" if child == 0 else "parent", [{"name": "f"}], ["text"])
assert store.flush(10)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(sorted(record.messages[0].text for record in store.reviews()))
"""
    command = [sys.executable, "-c", script, store_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['child', 'parent', 'parent']\n", done.stderr


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(StoreError, match="in memory"):
        TraceStore("sqlite:///:memory:")


def test_the_health_of_a_store_counts_what_became_of_every_entry(store_url: str) -> None:
    with TraceStore(store_url) as store:
        store.put(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        guard = guard_with(store)
        guard.review("Read", TOOLS, [proposal("get_file", path="a")])
        guard.record_outcome("c1", ok=True, label="refund_issued")
        store.flush()
        assert store.health == StoreHealth(queued=0, written=2, dropped=0, failed=1)
        [outcome] = store.outcomes()
        assert outcome.label == "refund_issued"
    guard.record_outcome("c2", ok=True)
    assert store.health.dropped == 1


def test_a_review_names_the_weights_that_judged(store_url: str) -> None:
    class Weighed(FakeScorer):
        fingerprint = "sha256:1"

    with TraceStore(store_url) as store:
        for scorer in (FakeScorer(lambda r: [0.9]), Weighed(lambda r: [0.9])):
            Guard(scorer, store=store).review("Read", TOOLS, ["text"])
        store.flush()
        assert [r.scorer_fingerprint for r in store.reviews()] == [None, "sha256:1"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"call_id": 7}, "call_id is int '7'; give text"),
        ({"ok": "yes"}, "ok is 'yes'"),
        ({"kind": "refund"}, "kind 'refund' is none of execution, task, blocked, human"),
        ({"label": "x" * 101}, "101 characters"),
        ({"content": {"a": 1}}, "content is dict"),
        ({"latency_ms": -1.0}, "latency_ms is -1.0"),
        ({"latency_ms": math.nan}, "latency_ms is nan"),
        ({"conversation_id": 3}, "conversation_id is int"),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_an_outcome_that_cannot_be_right_is_told_at_once(
    tmp_path: Path, wrong: Any, says: str, stored: bool
) -> None:
    guard = guard_with(tmp_path / "t.db") if stored else Guard(FakeScorer(lambda r: [0.9]))
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        guard.record_outcome(**{"call_id": "c1", "ok": True, **wrong})
    if guard.store is not None:
        guard.store.close()
        guard.record_outcome("c1", ok=True)  # a store that is closed is no reason to raise
        assert guard.store.dropped == 1


def test_what_is_known_later_is_recorded_in_words_of_ones_own(store_url: str) -> None:
    with TraceStore(store_url) as store:
        guard = guard_with(store)
        for label in ("task_solved", "user_complained", "refund_issued"):
            guard.record_outcome("c1", ok=label == "task_solved", label=label, content="a note")
        assert store.flush()
        assert [o.label for o in store.outcomes("c1")] == [
            "task_solved", "user_complained", "refund_issued",
        ]  # fmt: skip
        assert {(o.kind, o.content) for o in store.outcomes("c1")} == {("task", "a note")}


def test_a_server_that_goes_away_and_comes_back_costs_no_record(postgres_url: str) -> None:
    with TraceStore(postgres_url) as store:
        guard = guard_with(store)
        guard.record_outcome("before", ok=True)
        assert store.flush()
        engine = create_engine(postgres_url)
        with engine.connect() as connection:
            others = text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            connection.execute(others)
        engine.dispose()
        guard.record_outcome("after", ok=True)
        assert store.flush()
        assert [o.call_id for o in store.outcomes()] == ["before", "after"]


def test_every_commit_is_synced_on_request(tmp_path: Path) -> None:
    for asked, level in (("normal", 1), ("full", 2)):
        with TraceStore(tmp_path / f"{asked}.db", synchronous=asked) as store:  # type: ignore[arg-type]
            with store._engine.connect() as connection:
                assert connection.execute(text("PRAGMA synchronous")).scalar() == level
                assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
