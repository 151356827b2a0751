"""A store of any age is opened without loss; one that is newer, or somebody else's, is refused."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from tests.support.stores import outcome, review, turn
from toolrm_guard import TraceStore
from toolrm_guard.errors import StoreError
from toolrm_guard.store.tables import REVISION, VERSION_TABLE, metadata

OLD = """
CREATE TABLE reviews (
  id VARCHAR(64) NOT NULL, created_at VARCHAR(40) NOT NULL, conversation_id VARCHAR(200),
  decision VARCHAR(16) NOT NULL, scorer VARCHAR(100) NOT NULL, judged BOOLEAN NOT NULL,
  total_ms FLOAT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_reviews_conversation_id ON reviews (conversation_id);
CREATE TABLE outcomes (
  id {serial}, call_id VARCHAR(200) NOT NULL, kind VARCHAR(16) NOT NULL, ok BOOLEAN NOT NULL,
  payload TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX outcomes_by_call ON outcomes (call_id);
"""
"""As the release without migrations made them."""

REVIEW = review("r1", turn("a.txt", call_id="c1"), turn("b.txt", tool="get_file"))
OUTCOME = outcome(REVIEW, ok=True, latency_ms=3.5)


def old_store(url: str) -> None:
    engine = create_engine(url)
    serial = "INTEGER NOT NULL" if url.startswith("sqlite") else "SERIAL"
    known = json.loads(REVIEW.to_json())
    known["version"], told = 1, json.loads(OUTCOME.to_json())
    del known["scorer_fingerprint"], told["label"]
    with engine.begin() as connection:
        for statement in OLD.format(serial=serial).split(";\n"):
            connection.execute(text(statement))
        for key, payload in (("r1", json.dumps(known)), ("r0", "not JSON"), ("r2", "[1]")):
            connection.execute(
                text("INSERT INTO reviews VALUES (:id, '2026-01-01T00:00:00+00:00', 'talk-r1', "
                     "'execute', 'lite', true, 1.5, :payload)"), {"id": key, "payload": payload},
            )  # fmt: skip
        connection.execute(
            text("INSERT INTO outcomes (call_id, kind, ok, payload) "
                 "VALUES ('c1', 'task', true, :payload)"), {"payload": json.dumps(told)},
        )  # fmt: skip
    engine.dispose()


def test_a_store_of_the_release_without_migrations_is_taken_over_without_loss(
    store_url: str,
) -> None:
    old_store(store_url)
    for _ in range(2):  # the second time there is nothing to do
        with TraceStore(store_url) as store:
            [record] = store.reviews(tool="get_file")
            assert record.candidates == REVIEW.candidates
            assert (record.version, record.scorer_fingerprint) == (1, None)
            [known] = store.outcomes(conversation_id="talk-r1", since=OUTCOME.created_at)
            assert known.latency_ms == 3.5
    engine = create_engine(store_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM reviews")).scalar() == 3
    engine.dispose()


@pytest.mark.parametrize("old", [False, True])
def test_a_migrated_store_has_the_tables_that_are_declared(store_url: str, old: bool) -> None:
    if old:
        old_store(store_url)
    TraceStore(store_url).close()
    engine = create_engine(store_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_revision() == REVISION
        found = compare_metadata(context, metadata)
    engine.dispose()
    # A default that only fills in old rows is no difference to new ones.
    assert [change for change in found if change[0] != "modify_default"] == []


def test_a_newer_store_is_refused_and_left_alone(store_url: str) -> None:
    TraceStore(store_url).close()
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version.*'9999'.*pip install --upgrade"):
        TraceStore(store_url)
    with engine.begin() as connection:
        version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    engine.dispose()
    assert version == "9999"


def test_a_table_of_somebody_else_is_refused(store_url: str) -> None:
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE reviews (stars INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match="no trace store's"):
        TraceStore(store_url)


@pytest.mark.parametrize("old", [False, True])
def test_many_may_open_the_same_store_at_once(store_url: str, old: bool) -> None:
    if old:
        old_store(store_url)

    def open_and_put(index: int) -> None:
        with TraceStore(store_url) as store:
            made = review(f"new{index}", turn("a.txt"))
            store.put(lambda: made)
            assert store.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_put, range(8)))
    with TraceStore(store_url) as store:
        assert len([r for r in store.reviews() if r.id.startswith("new")]) == 8


def test_processes_may_open_the_same_new_store_at_once(tmp_path: Path) -> None:
    script = "import sys; from toolrm_guard import TraceStore; TraceStore(sys.argv[1]).close()"
    command = [sys.executable, "-c", script, str(tmp_path / "traces.db")]
    racing = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in racing] == [""] * 4
    assert [process.returncode for process in racing] == [0] * 4
