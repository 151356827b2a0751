"""What is forgotten is gone: its reviews, its outcomes, and its bytes; nothing else is."""

import datetime
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.stores import NOW, outcome, review, turn
from toolrm_guard import TraceStore
from toolrm_guard.errors import StoreError
from toolrm_guard.records import OutcomeRecord, ReviewRecord
from toolrm_guard.store import Deleted


def put(store: TraceStore, *entries: ReviewRecord | OutcomeRecord) -> None:
    for entry in entries:
        store.put(lambda entry=entry: entry)


def pair(key: str, talk: str, call_id: str, **changed: object) -> list[ReviewRecord]:
    return [review(key, turn(f"{key}.txt", call_id=call_id), conversation_id=talk, **changed)]  # type: ignore[arg-type]


def test_a_conversation_is_deleted_with_its_outcomes_and_no_others(store_url: str) -> None:
    [gone], [stays] = pair("gone", "bob", "c1"), pair("stays", "ann", "c1")
    with TraceStore(store_url) as store:
        put(store, gone, stays, outcome(gone, ok=True), outcome(stays, ok=True))
        # Said without a conversation: of that very call, of the other one, of an id that both have.
        put(store, outcome(gone, ok=True, conversation_id=None, content="of gone"))
        put(store, outcome(stays, ok=True, conversation_id=None, content="of stays"))
        put(store, outcome(gone, ok=True, conversation_id=None, digest=None, content="of either"))
        assert store.delete_conversation("bob", dry_run=True) == Deleted(reviews=1, outcomes=3)
        assert len(list(store.reviews())) == 2
        assert store.delete_conversation("bob") == Deleted(reviews=1, outcomes=3)
        assert [record.id for record in store.reviews()] == ["stays"]
        assert [record.content for record in store.outcomes()] == ["", "of stays"]
        assert store.delete_conversation("bob") == Deleted(reviews=0, outcomes=0)
    engine = create_engine(store_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM calls")).scalar() == 1
    engine.dispose()


def test_what_is_older_is_deleted_with_its_later_outcomes(store_url: str) -> None:
    [old], [new] = pair("old", "talk", "c1"), pair("new", "talk", "c2", minute=90)
    with TraceStore(store_url) as store:
        late = NOW + datetime.timedelta(days=9)
        put(store, old, new, outcome(old, ok=True, created_at=late), outcome(new, ok=True,
            created_at=late))  # fmt: skip
        put(store, outcome(old, ok=True, call_id="unknown", digest=None))
        found = store.delete_before(NOW + datetime.timedelta(minutes=61))
        assert found == Deleted(reviews=1, outcomes=2)
        assert [record.id for record in store.reviews()] == ["new"]
        assert [record.call_id for record in store.outcomes()] == ["c2"]


def test_an_id_that_came_again_keeps_the_outcome_of_the_review_that_stays(store_url: str) -> None:
    [old], [new] = pair("same", "talk", "c1"), pair("same", "talk", "c1", minute=90)
    new = new.model_copy(update={"id": "again"})
    with TraceStore(store_url) as store:
        put(store, old, new, outcome(new, ok=True, created_at=NOW + datetime.timedelta(days=9)))
        assert store.delete_before(NOW + datetime.timedelta(minutes=61)).outcomes == 0


def test_the_bytes_are_gone_from_the_files_too(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with TraceStore(path) as store:
        for n in range(40):
            [made] = pair(f"needle{n}", "bob" if n % 2 else "ann", f"c{n}")
            put(store, made, outcome(made, ok=True, content=f"needle{n}"))
        assert store.flush()
        store.delete_conversation("bob")
        files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"needle2." in files
        assert b"needle3." not in files
        size = path.stat().st_size
        store.delete_conversation("ann")
        store.vacuum()
        assert path.stat().st_size < size
        assert b"needle" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_what_still_waits_is_deleted_too(store_url: str) -> None:
    with TraceStore(store_url) as store:
        put(store, *pair("r", "bob", "c1"))
        assert store.delete_conversation("bob").reviews == 1
        store.flush()
        assert list(store.reviews()) == []


def test_a_store_of_postgresql_can_be_vacuumed(postgres_url: str) -> None:
    with TraceStore(postgres_url) as store:
        store.vacuum()


@pytest.mark.parametrize("arguments", [["--conversation", "bob"], ["--older-than", "1d"]])
def test_the_command_says_what_it_would_delete_and_wants_a_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    from toolrm_guard.cli import main

    path = tmp_path / "traces.db"
    with TraceStore(path) as store:
        [made] = pair("r", "bob", "c1")
        put(store, made, outcome(made, ok=True))
    command = ["forget", str(path), *arguments]
    assert main(command) == 2
    assert "1 review and 1 outcome would be deleted; add --yes" in capsys.readouterr().out
    with TraceStore(path) as store:
        assert len(list(store.reviews())) == 1
    assert main([*command, "--yes", "--vacuum"]) == 0
    assert "deleted 1 review and 1 outcome" in capsys.readouterr().out
    with TraceStore(path) as store:
        assert list(store.reviews()) == []
        assert list(store.outcomes()) == []


@pytest.mark.parametrize("age", ["30", "d", "1.5d", "1y", "1e400d", ""])
def test_an_age_that_cannot_be_read_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], age: str
) -> None:
    from toolrm_guard.cli import main

    with pytest.raises(SystemExit):
        main(["forget", str(tmp_path / "t.db"), "--older-than", age])
    assert "such as 30d, 12h or 90m" in capsys.readouterr().err


def test_forgetting_much_does_not_take_long_and_lets_the_writer_work(store_url: str) -> None:
    with TraceStore(store_url) as store:
        for n in range(1500):
            [made] = pair(f"r{n}", "bob", f"c{n}")
            put(store, made, outcome(made, ok=True))
        assert store.flush()
        started = time.process_time()
        assert store.delete_conversation("bob") == Deleted(reviews=1500, outcomes=1500)
        assert time.process_time() - started < 5


def test_nothing_is_deleted_while_what_may_have_to_go_waits_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolrm_guard.store.trace_store._FORGET_WAIT_S", 0.05)
    [first], [late] = pair("first", "bob", "c1"), pair("late", "bob", "c2")
    free = threading.Event()

    def build() -> ReviewRecord:
        free.wait(30)
        return late

    with TraceStore(tmp_path / "t.db") as store:
        put(store, first)
        assert store.flush()
        store.put(build)
        with pytest.raises(StoreError, match="nothing was deleted"):
            store.delete_conversation("bob")
        assert [record.id for record in store.reviews()] == ["first"]
        free.set()
        assert store.flush()
        store.put(lambda: 1 / 0)  # type: ignore[arg-type, return-value]  # cannot be built: lost
        assert store.delete_conversation("bob").reviews == 2


def test_bytes_that_a_reader_keeps_in_the_log_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.db"
    with TraceStore(path) as store:
        put(store, *pair("gone", "bob", "c1"))
        assert store.flush()
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM reviews").fetchall()
        assert store.delete_conversation("bob").reviews == 1
        assert "still in SQLite's write-ahead log" in caplog.text
        reader.close()
        caplog.clear()
        assert store.delete_conversation("bob").reviews == 0
        assert not caplog.text
        assert b"gone.txt" not in path.read_bytes() + (tmp_path / "t.db-wal").read_bytes()
