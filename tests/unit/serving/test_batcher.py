"""What waits is sent together; nobody pays for another's deadline, cancellation or poison."""

import asyncio
import math
import time
from collections.abc import Sequence

import pytest

from tests.unit.serving.servers import Server, group, worth
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerOverloaded,
    ScorerRefused,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.serving.batcher import Batcher, BatchLimits
from toolrm_guard.serving.breaker import Breaker
from toolrm_guard.serving.groups import Group, Send


def batcher(send: Send, breaker: Breaker | None = None, **limits: float) -> Batcher:
    return Batcher("http://one", send, limits=BatchLimits(**limits), breaker=breaker)  # type: ignore[arg-type]


async def test_concurrent_decisions_travel_in_one_request_and_get_their_own_rewards() -> None:
    server = Server()
    made = batcher(server)
    answers = await asyncio.gather(*(made.submit(group(k, k, k + 1), None) for k in range(5)))
    assert answers == [[k, k + 1] for k in range(5)]
    assert server.sizes == [10]
    assert made.stats.batches == 1
    assert made.stats.items == 10


async def test_a_full_batch_is_sent_before_its_window_ends() -> None:
    server = Server()
    made = batcher(server, window_ms=10_000, max_items=4)
    await asyncio.gather(*(made.submit(group(k, 1, 2), None) for k in range(2)))
    assert server.sizes == [4]


async def test_no_batch_holds_more_than_its_limits_and_no_decision_is_split() -> None:
    server = Server()
    made = batcher(server, max_items=4, max_in_flight=1)
    sizes = (3, 2, 2, 9, 1)
    await asyncio.gather(*(made.submit(group(k, *range(n)), None) for k, n in enumerate(sizes)))
    assert sum(server.sizes) == sum(sizes)
    assert all(size <= 4 or size == 9 for size in server.sizes)
    small = batcher(server := Server(), max_tokens=25)
    await asyncio.gather(*(small.submit(group(k, 1, 2), None) for k in range(4)))
    assert server.sizes == [4, 4]  # 12 tokens a decision, the prompt once


async def test_while_the_server_is_busy_what_comes_gathers() -> None:
    server = Server(delay_s=0.05)
    made = batcher(server, window_ms=0, max_in_flight=1)
    first = asyncio.ensure_future(made.submit(group(0, 1), None))
    await asyncio.sleep(0.01)
    rest = [asyncio.ensure_future(made.submit(group(k, k), None)) for k in range(1, 9)]
    await asyncio.gather(first, *rest)
    assert server.sizes == [1, 8]


async def test_the_nearest_deadline_goes_first() -> None:
    server = Server()
    made = batcher(server, max_items=1, max_in_flight=1)
    now = time.monotonic()
    await asyncio.gather(
        made.submit(group(0, 0), None),
        made.submit(group(1, 1), now + 20),
        made.submit(group(2, 2), now + 10),
    )
    order = [groups[0].prompt[0] for groups in server.asked]
    assert order.index(2) < order.index(1)


async def test_a_late_decision_is_told_at_its_deadline_and_its_batch_goes_on() -> None:
    server = Server(delay_s=0.2)
    made = batcher(server)
    hurried = asyncio.ensure_future(made.submit(group(0, 1), time.monotonic() + 0.05))
    patient = asyncio.ensure_future(made.submit(group(1, 2), None))
    started = time.monotonic()
    with pytest.raises(ScorerTimeout):
        await hurried
    assert time.monotonic() - started < 0.1
    assert await patient == [2.0]
    assert server.cancelled == 0


async def test_a_cancelled_decision_leaves_its_batch_to_the_others() -> None:
    server = Server(delay_s=0.05)
    made = batcher(server)
    gone = asyncio.ensure_future(made.submit(group(0, 1), None))
    stays = asyncio.ensure_future(made.submit(group(1, 2), None))
    await asyncio.sleep(0.02)
    gone.cancel()
    assert await stays == [2.0]
    assert gone.cancelled()


async def test_a_request_that_nobody_waits_for_is_given_up_and_is_no_failure() -> None:
    server = Server(delay_s=60)
    made = batcher(server)
    tasks = [asyncio.ensure_future(made.submit(group(k, 1), None)) for k in range(3)]
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert server.cancelled == 1
    assert made.stats.in_flight == made.stats.failures == 0


async def test_what_is_cancelled_in_the_queue_is_never_sent() -> None:
    server = Server()
    made = batcher(server, window_ms=20)
    task = asyncio.ensure_future(made.submit(group(0, 1), None))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.04)
    assert server.asked == []


async def test_a_stalled_server_frees_its_slots_and_opens_its_breaker() -> None:
    server = Server(delay_s=60)
    made = batcher(server, Breaker(failures=2), max_in_flight=1)
    for _ in range(2):
        with pytest.raises(ScorerTimeout):
            await made.submit(group(0, 1), time.monotonic() + 0.03)
        await asyncio.sleep(0.01)
    assert made.stats.in_flight == 0
    assert made.stats.breaker == "open"
    with pytest.raises(ScorerUnavailable, match="left alone"):
        await made.submit(group(0, 1), time.monotonic() + 10)


async def test_over_the_limit_a_decision_is_refused_at_once() -> None:
    server = Server(delay_s=0.1)
    made = batcher(server, max_waiting=3, max_in_flight=1)
    waiting = [asyncio.ensure_future(made.submit(group(0, 1), None)) for _ in range(3)]
    await asyncio.sleep(0)
    started = time.perf_counter()
    with pytest.raises(ScorerOverloaded, match="max_waiting"):
        await made.submit(group(0, 1), None)
    assert time.perf_counter() - started < 0.01
    await asyncio.gather(*waiting)


async def test_a_queue_too_long_for_the_deadline_refuses_and_an_idle_server_is_asked() -> None:
    server = Server(delay_s=0.1)
    made = batcher(server, window_ms=0, max_items=1, max_in_flight=1)
    await made.submit(group(0, 1), None)  # 11 tokens a tenth of a second
    waiting = [asyncio.ensure_future(made.submit(group(0, 1), None)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(ScorerOverloaded, match="would take about"):
        await made.submit(group(0, *range(40)), time.monotonic() + 0.05)
    await asyncio.gather(*waiting)
    server.delay_s = 0.0
    assert await made.submit(group(0, 1), time.monotonic() + 0.05) == [1.0]


async def test_a_reward_that_is_not_finite_fails_only_its_own_decision() -> None:
    async def poisoned(groups: Sequence[Group]) -> list[list[float]]:
        return [[math.nan if r == 13 else r for r in rewards] for rewards in worth(groups)]

    made = batcher(poisoned)
    bad, good = await asyncio.gather(
        made.submit(group(0, 1, 13), None), made.submit(group(1, 2), None), return_exceptions=True
    )
    assert isinstance(bad, InvalidScore)
    assert good == [2.0]
    assert made.stats.failures == 0


async def test_a_refused_batch_is_asked_again_one_decision_at_a_time() -> None:
    async def picky(groups: Sequence[Group]) -> list[list[float]]:
        if any(13 in suffix for group in groups for suffix in group.suffixes):
            raise ScorerRefused("400: token 13")
        return worth(groups)

    made = batcher(picky)
    bad, good = await asyncio.gather(
        made.submit(group(0, 1, 13), None), made.submit(group(1, 2), None), return_exceptions=True
    )
    assert isinstance(bad, ScorerRefused)
    assert good == [2.0]


async def test_a_bug_in_what_sends_reaches_whoever_waits() -> None:
    async def broken(groups: Sequence[Group]) -> list[list[float]]:
        raise KeyError("data")

    with pytest.raises(ScorerUnavailable, match="KeyError"):
        await batcher(broken).submit(group(0, 1), None)


async def test_half_open_lets_one_request_through_and_an_answer_closes_it() -> None:
    server = Server()
    server.error = ScorerUnavailable("503")
    made = batcher(server, Breaker(failures=1, cooldown_s=0.05))
    with pytest.raises(ScorerUnavailable, match="503"):
        await made.submit(group(0, 1), None)
    with pytest.raises(ScorerUnavailable, match="left alone"):
        await made.submit(group(0, 1), None)
    await asyncio.sleep(0.06)
    server.error, server.delay_s = None, 0.02
    probe = asyncio.ensure_future(made.submit(group(0, 1), None))
    await asyncio.sleep(0.01)
    with pytest.raises(ScorerUnavailable):
        await made.submit(group(0, 2), None)
    assert await probe == [1.0]
    assert made.stats.breaker == "closed"


async def test_closing_ends_what_waits_and_leaves_no_task() -> None:
    server = Server(delay_s=60)
    made = batcher(server, max_in_flight=1)
    tasks = [asyncio.ensure_future(made.submit(group(k, 1), None)) for k in range(3)]
    await asyncio.sleep(0.01)
    tasks.append(asyncio.ensure_future(made.submit(group(9, 1), None)))
    await asyncio.sleep(0)
    await made.aclose()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, ScorerUnavailable) for answer in answers), answers
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    "wrong",
    [{"window_ms": -1}, {"window_ms": math.nan}, {"max_items": 0}, {"timeout_s": 0}],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        BatchLimits(**wrong)  # type: ignore[arg-type]
