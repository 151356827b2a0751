"""Counts that the store keeps, as OpenTelemetry collects them."""

import gc
from pathlib import Path

from tests.telemetry.conftest import Sink, points
from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard
from toolrm_guard.metrics import STORE_ENTRIES, STORE_QUEUE
from toolrm_guard.store import TraceStore
from toolrm_guard.watched import Watched


def reviewing(store: Path, times: int) -> Guard:
    guard = Guard(FakeScorer(lambda _: [0.9]), store=store)
    for _ in range(times):
        guard.review("read a", TOOLS, [proposal("get_file", path="a")])
    assert guard.store is not None
    guard.store.flush()
    return guard


def close(*guards: Guard) -> None:
    for guard in guards:
        assert guard.store is not None
        guard.store.close()


def test_what_two_stores_wrote_is_one_sum(otel: Sink, tmp_path: Path) -> None:
    one, two = reviewing(tmp_path / "a.db", 2), reviewing(tmp_path / "b.db", 3)
    found = otel.metrics()
    assert points(found["toolrm_guard.store.entries"])["written",] == 5
    assert points(found["toolrm_guard.store.queue"]) == {(): 0}
    reviewing_once_more = one.review("read a", TOOLS, [proposal("get_file", path="a")])
    assert reviewing_once_more.judged
    close(one, two)
    assert points(otel.metrics()["toolrm_guard.store.entries"])["written",] == 1


def counted(watched: Watched, state: str) -> float:
    found = watched.read(STORE_ENTRIES)
    return sum(o.value for o in found if (o.attributes or {})["toolrm_guard.state"] == state)


def test_a_counter_does_not_fall_when_its_store_is_gone(tmp_path: Path) -> None:
    watched = Watched()
    store = TraceStore(tmp_path / "a.db", capacity=1)
    watched.add(store)
    watched.add(store)
    store.close()
    for _ in range(3):
        store.put(lambda: None)  # type: ignore[arg-type, return-value]  # never built: it is closed
    assert counted(watched, "dropped") == 3
    del store
    gc.collect()
    assert counted(watched, "dropped") == 3
    assert not list(watched.read(STORE_QUEUE))
    other = TraceStore(tmp_path / "a.db")
    watched.add(other)
    other.close()
    other.put(lambda: None)  # type: ignore[arg-type, return-value]
    assert counted(watched, "dropped") == 4


def test_what_counts_nothing_is_not_watched() -> None:
    watched = Watched()
    watched.add(FakeScorer(lambda _: [0.9]))
    assert not list(watched.read(STORE_ENTRIES))
