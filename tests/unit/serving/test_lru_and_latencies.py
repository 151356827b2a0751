"""Bounded memories: of values by weight, of the last durations."""

from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.serving.latencies import ENOUGH, WINDOW, Latencies
from toolrm_guard.serving.lru import Lru


def test_what_was_not_used_for_longest_goes_first() -> None:
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.get("a") == 1
    lru.put("c", 3)
    assert lru.get("b") is None
    assert lru.get("a") == 1


@given(
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), max_size=60),
)
def test_the_weight_never_exceeds_the_capacity(capacity: int, puts: list[tuple[int, int]]) -> None:
    lru: Lru[int, int] = Lru(capacity)
    held: dict[int, int] = {}
    for key, weight in puts:
        lru.put(key, weight, weight)
        held[key] = weight
        total = sum(held[k] for k in range(10) if lru.get(k) is not None)
        assert total <= capacity
        assert weight > capacity or lru.get(key) == weight


def test_a_percentile_waits_for_enough_and_forgets_the_old() -> None:
    seen = Latencies()
    for second in range(ENOUGH - 1):
        seen.add(second)
    assert seen.percentile(50) is None
    for _ in range(WINDOW):
        seen.add(7.0)
    assert seen.percentile(1) == seen.percentile(99) == 7.0
