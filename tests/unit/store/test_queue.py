"""The queue: bounded, in order, and honest about what became of its entries."""

import threading
import time
from typing import Any

import pytest

from tests.support.stores import NOW
from toolrm_guard import ConfigurationError, TraceStore
from toolrm_guard.records import OutcomeRecord
from toolrm_guard.store.queue import BATCH, EntryQueue


def entry() -> OutcomeRecord:
    return OutcomeRecord(call_id="c", kind="task", ok=True, created_at=NOW)


def queue(capacity: int = 10, block_ms: float | None = None) -> EntryQueue:
    return EntryQueue(capacity=capacity, block_ms=block_ms)


def test_a_full_queue_holds_a_put_up_until_there_is_room() -> None:
    held = queue(capacity=1, block_ms=10_000)
    held.put(entry)
    threading.Timer(0.1, held.take).start()
    started = time.monotonic()
    held.put(entry)
    assert 0.05 < time.monotonic() - started < 5
    assert held.health.dropped == 0


def test_a_put_is_held_up_no_longer_than_asked_for_and_then_the_oldest_goes() -> None:
    held = queue(capacity=1, block_ms=50)
    held.put(entry)
    started = time.monotonic()
    held.put(lambda: OutcomeRecord(call_id="new", kind="task", ok=True, created_at=NOW))
    assert 0.04 < time.monotonic() - started < 2
    assert held.health.dropped == 1
    [build] = held.take()
    assert build().call_id == "new"  # type: ignore[union-attr]


def test_a_closed_queue_holds_nobody_up() -> None:
    held = queue(capacity=1, block_ms=10_000)
    held.put(entry)
    threading.Timer(0.1, held.close).start()
    started = time.monotonic()
    held.put(entry)
    assert time.monotonic() - started < 5
    assert held.health.dropped == 1


def test_flush_does_not_wait_for_what_comes_later() -> None:
    held = queue(capacity=10_000)
    held.put(entry)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            batch = held.take()
            for _ in range(len(batch) + 1):  # more comes in than goes out
                held.put(entry)
            held.settle(written=len(batch), failed=0)

    worker = threading.Thread(target=work)
    worker.start()
    assert held.flush(10)
    done.set()
    worker.join(10)
    assert held.health.queued > 0


def test_what_is_dropped_behind_a_batch_does_not_acknowledge_the_batch() -> None:
    held = queue(capacity=2)
    held.put(entry)
    assert len(held.take()) == 1
    for _ in range(5):
        held.put(entry)  # three of these are dropped
    assert not held.flush(0.05)
    held.settle(written=1, failed=0)
    assert held.health.dropped == 3
    assert held.health.queued == 2


def test_a_loss_is_told_by_the_next_flush_and_only_by_that() -> None:
    held = queue()
    held.put(entry)
    held.take()
    held.settle(written=0, failed=1)
    assert not held.flush(1)
    assert held.flush(1)


def test_a_batch_has_an_end() -> None:
    held = queue(capacity=10_000)
    for _ in range(BATCH + 5):
        held.put(entry)
    assert len(held.take()) == BATCH
    held.settle(written=BATCH, failed=0)
    assert len(held.take()) == 5


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"block_ms": -1}, {"block_ms": 1e9}])
def test_a_number_out_of_range_is_told(tmp_path: Any, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TraceStore(tmp_path / "t.db", **wrong)
