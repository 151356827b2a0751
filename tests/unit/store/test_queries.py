"""Records are found by what they are looked up by, in pages, oldest first."""

import datetime
from typing import Any

import pytest

from tests.support.stores import NOW, outcome, review, turn
from toolrm_guard import ConfigurationError, TraceStore
from toolrm_guard.redaction import hidden_id
from toolrm_guard.store.queries import PAGE


def minute(count: int) -> datetime.datetime:
    return NOW + datetime.timedelta(minutes=count)


@pytest.fixture
def filled(store_url: str) -> Any:
    with TraceStore(store_url) as store:
        for n, tool in enumerate(("get_file", "delete_file", "rename_file")):
            made = review(
                f"r{n}",
                turn("a.txt", tool=tool, call_id=f"c{n}"),
                minute=n,
                decision=("execute", "correct", "execute")[n],
                scorer=("lite", "lite", "vllm")[n],
                conversation_id=f"talk{n % 2}",
            )
            known = outcome(made, ok=n > 0, kind=("task", "execution", "task")[n],
                            created_at=minute(n))  # fmt: skip
            store.put(lambda made=made: made)
            store.put(lambda known=known: known)
        assert store.flush()
        yield store


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({}, "r0 r1 r2"),
        ({"conversation_id": "talk0"}, "r0 r2"),
        ({"since": minute(1)}, "r1 r2"),
        ({"until": minute(1)}, "r0"),
        ({"since": minute(1), "until": minute(2)}, "r1"),
        ({"decision": "execute"}, "r0 r2"),
        ({"tool": "delete_file"}, "r1"),
        ({"scorer": "lite"}, "r0 r1"),
        ({"call_id": "c2"}, "r2"),
        ({"limit": 2}, "r0 r1"),
        ({"conversation_id": "talk0", "scorer": "vllm", "tool": "rename_file"}, "r2"),
        ({"tool": "no_such_tool"}, ""),
    ],
)
def test_reviews_are_found_by_every_filter(filled: TraceStore, asked: Any, ids: str) -> None:
    assert " ".join(record.id for record in filled.reviews(**asked)) == ids


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({}, "c0 c1 c2"),
        ({"call_id": "c1"}, "c1"),
        ({"conversation_id": "talk0"}, "c0 c2"),
        ({"kind": "task"}, "c0 c2"),
        ({"since": minute(1), "limit": 1}, "c1"),
        ({"until": minute(1)}, "c0"),
    ],
)
def test_outcomes_are_found_by_every_filter(filled: TraceStore, asked: Any, ids: str) -> None:
    assert " ".join(record.call_id for record in filled.outcomes(**asked)) == ids


def test_one_review_is_found_by_its_id(filled: TraceStore) -> None:
    found = filled.review("r1")
    assert found is not None
    assert found.decision == "correct"
    assert filled.review("r9") is None


def test_a_time_without_a_zone_is_refused(filled: TraceStore) -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        list(filled.reviews(since=datetime.datetime(2026, 1, 1)))  # noqa: DTZ001  # that is the point


def test_pages_join_without_a_gap_or_a_repeat_even_at_equal_times(store_url: str) -> None:
    count = 2 * PAGE + 3
    with TraceStore(store_url) as store:
        for n in range(count):
            made = review(f"r{n:04}", turn("a.txt", call_id=f"c{n}"), minute=n // 7)
            store.put(lambda made=made: made)
            store.put(lambda made=made: outcome(made, ok=True))
        assert store.flush()
        assert [record.id for record in store.reviews()] == [f"r{n:04}" for n in range(count)]
        assert [record.call_id for record in store.outcomes()] == [f"c{n}" for n in range(count)]
        assert len(list(store.reviews(limit=PAGE + 1))) == PAGE + 1
        reading = store.reviews()
        next(reading)
        store.delete_before(minute(10_000))  # a reader in between holds nothing up
        assert len(list(reading)) < count


def test_ids_that_are_too_long_or_were_hidden_are_still_found(store_url: str) -> None:
    long, secret = "x" * 5000, "a secret"
    with TraceStore(store_url) as store:
        for n, talk in enumerate((long, long + "y", hidden_id(secret))):
            made = review(f"{n}" * 70, turn("a.txt", call_id=talk, tool=talk), conversation_id=talk)
            store.put(lambda made=made: made)
            store.put(lambda made=made: outcome(made, ok=True))
        assert store.flush()
        for talk in (long, long + "y", secret):
            [record] = store.reviews(talk)
            assert [o.digest for o in store.outcomes(talk)] == [
                record.candidates[0].calls[0].digest
            ]
        assert store.review("0" * 70) is not None
        assert store.delete_conversation(secret).reviews == 1
