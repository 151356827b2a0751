"""Counts that the store and served scorers keep, as OpenTelemetry collects them."""

import gc
from pathlib import Path
from typing import Any

import httpx

from bench.stand_in.replies import unweighted_folder
from tests.support.critics import Model
from tests.support.served import FakeVllm
from tests.support.serving import serving
from tests.telemetry.conftest import Sink, points
from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard
from toolrm_guard.metrics import STORE_ENTRIES, STORE_QUEUE
from toolrm_guard.scorers.cascade import CascadeScorer
from toolrm_guard.scorers.critic import CriticScorer
from toolrm_guard.scorers.critic_settings import ChatSettings
from toolrm_guard.scorers.vllm import VllmScorer
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
    otel.metrics()
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


def served(tmp_path: Path, transport: FakeVllm, host: str, **options: Any) -> VllmScorer:
    """Other tests' scorers are watched by the same process: each test has a host of its own."""
    folder = unweighted_folder(tmp_path)
    return VllmScorer(f"http://{host}:8000", folder=folder, transport=transport, **options)


def test_a_served_scorers_cache_batches_and_breaker_are_seen(otel: Sink, tmp_path: Path) -> None:
    guard = Guard(served(tmp_path, FakeVllm(), "well"))
    candidates = [proposal("get_file", path="a"), proposal("get_file", path="b")]
    for _ in range(2):
        assert guard.review("read a", TOOLS, candidates).judged
    found = otel.metrics()
    of_candidates = points(found["toolrm_guard.served.candidates"])
    assert of_candidates["hit", "vllm"] == 2
    assert of_candidates["miss", "vllm"] == 2
    assert points(found["toolrm_guard.server.requests"])["well", "8000"] == 1
    assert points(found["toolrm_guard.server.candidates"])["well", "8000"] == 2
    breaker = points(found["toolrm_guard.breaker.state"])
    states = ("closed", "half_open", "open")
    assert [breaker["well", "8000", state] for state in states] == [1, 0, 0]


def test_a_server_that_is_down_opens_its_breaker_in_the_metrics(otel: Sink, tmp_path: Path) -> None:
    class Down(FakeVllm):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

    guard = Guard(served(tmp_path, Down(), "down", breaker_failures=1))
    assert not guard.review("read a", TOOLS, [proposal("get_file", path="a")]).judged
    found = otel.metrics()
    assert points(found["toolrm_guard.breaker.state"])["down", "8000", "open"] == 1
    assert points(found["toolrm_guard.server.failures"])["down", "8000"] == 1
    assert points(found["toolrm_guard.unjudged"])["ServerLost", "read", "enforce", "vllm"] == 1


def test_what_stands_inside_another_scorer_is_watched_too(otel: Sink, tmp_path: Path) -> None:
    class Wrapping(FakeScorer):
        def __init__(self, inner: VllmScorer) -> None:
            super().__init__(lambda _: [0.9])
            self.inner = inner

    guard = Guard(Wrapping(served(tmp_path, FakeVllm(), "inside")))
    assert guard.scorer.name == "fake"
    assert ("inside", "8000") in points(otel.metrics()["toolrm_guard.server.requests"])


def test_a_critics_tokens_are_counted(otel: Sink) -> None:
    with serving(Model()) as server:
        critic = CriticScorer(ChatSettings(url=server.url, model="gen"))
        guard = Guard(FakeScorer(lambda _: [0.1]), critic=critic)
        review = guard.review("read a", TOOLS, [proposal("get_file", path="a")])
        assert review.decision == "correct"
    stats = critic.stats
    assert stats.output_tokens > 0
    found = otel.metrics()
    tokens = points(found["toolrm_guard.critic.tokens"])
    assert tokens == {("input",): stats.prompt_tokens, ("output",): stats.output_tokens}
    assert points(found["toolrm_guard.critic.requests"])["answered",] == 1


def test_what_a_cascade_escalated_is_counted(otel: Sink) -> None:
    unsure, sure = FakeScorer(lambda _: [0.5]), FakeScorer(lambda _: [0.9])
    guard = Guard(CascadeScorer(unsure, sure, band=0.3))
    assert guard.review("read a", TOOLS, [proposal("get_file", path="a")]).scores[0].reward == 0.9
    assert points(otel.metrics()["toolrm_guard.cascade.decisions"]) == {
        ("kept",): 0,
        ("escalated",): 1,
        ("fell_back",): 0,
    }


def test_a_forked_process_does_not_wait_for_a_lock_of_its_parent(tmp_path: Path) -> None:
    watched = Watched()
    with watched._lock:  # a collection of the parent, at the moment of the fork
        watched.unlock()
        store = TraceStore(tmp_path / "a.db")
        watched.add(store)
        store.close()
    assert counted(watched, "written") == 0
