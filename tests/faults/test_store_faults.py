"""The store when the process is killed and when the disk is full."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolrm_guard import FakeScorer, Guard, TraceStore

WRITER = """
import resource, sys
from toolrm_guard import FakeScorer, Guard, TraceStore
limit = int(sys.argv[2])
store = TraceStore(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
guard = Guard(FakeScorer(lambda request: [0.9]), store=store)
for _ in range(int(sys.argv[3])):
    review = guard.review("Read a.txt" * 50, [{"name": "get_file"}], ["text"])
    assert review.decision == "execute"
    if not limit and store.flush():
        print(review.id, flush=True)
store.flush(60)
print("done", store.written, store.failed, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_every_acknowledged_record_survives_kill_9(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "traces.db"
    command = [sys.executable, "-c", WRITER, str(path), "0", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline().strip()
        time.sleep(random.Random(seed).uniform(0.0, 0.5))
        writer.kill()
        rest = writer.stdout.read().split()
    assert writer.returncode == -signal.SIGKILL
    acknowledged = {first, *(word for word in rest if len(word) == 32)}
    with TraceStore(path) as store:
        stored = {record.id for record in store.reviews()}
    assert acknowledged <= stored
    assert acknowledged


def test_a_full_disk_loses_counted_records_and_no_review(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), "150000", "400"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    _, written, failed = done.stdout.split()
    assert int(written) + int(failed) == 400
    assert int(failed) > 0
    assert "trace entries are lost" in done.stderr
    with TraceStore(path) as store:
        assert sum(1 for _ in store.reviews()) == int(written)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_agents_killed_at_random_moments_lose_nothing_that_was_acknowledged(
    request: pytest.FixtureRequest, database: str
) -> None:
    environment = dict(os.environ)
    if database == "postgresql":
        environment["TOOLRM_TEST_POSTGRES"] = request.getfixturevalue("postgres_server")
    command = [sys.executable, "-m", "bench.store_crash", "--runs", "6", "--database", database]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout.removeprefix(database))
    assert (tally["runs"], tally["lost"], tally["halves"], tally["damaged"]) == (6, 0, 0, 0)
    assert tally["acknowledged"] > 0


def test_a_database_that_stays_locked_costs_counted_records_and_no_review(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with TraceStore(path, capacity=3, block_ms=20, patience_s=0.0) as store:
        guard = Guard(FakeScorer(lambda request: [0.9]), store=store)
        lock = sqlite3.connect(path)
        lock.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        for _ in range(20):
            assert guard.review("Read a.txt", [{"name": "get_file"}], ["text"]).judged
        assert time.monotonic() - started < 5.0
        health = store.health
        assert health.dropped > 0
        assert health.queued + health.dropped + health.failed == 20
        lock.rollback()
        lock.close()
        store.flush()
        assert store.health.written == health.queued
        assert sum(1 for _ in store.reviews()) == health.queued
