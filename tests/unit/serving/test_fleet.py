"""Several servers as one: in turn, around failures, hedged when slow."""

import asyncio
import time

import pytest

from tests.unit.serving.servers import Server, group
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerRefused,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.serving.batcher import Batcher, BatchLimits
from toolrm_guard.serving.breaker import Breaker
from toolrm_guard.serving.fleet import Fleet, Hedging
from toolrm_guard.serving.latencies import ENOUGH

NO_WINDOW = BatchLimits(window_ms=0)


def fleet(*servers: Server, hedging: Hedging | None = None, failures: int = 5) -> Fleet:
    batchers = [
        Batcher(f"http://{k}", server, limits=NO_WINDOW, breaker=Breaker(failures=failures))
        for k, server in enumerate(servers)
    ]
    return Fleet(batchers, hedging=hedging)


async def test_servers_take_turns() -> None:
    servers = Server(), Server(), Server()
    made = fleet(*servers)
    for k in range(9):
        assert await made.score(group(k, k), None) == [k]
    assert [len(server.asked) for server in servers] == [3, 3, 3]


@pytest.mark.parametrize("error", [ScorerUnavailable, InvalidScore, ScorerRefused])
async def test_another_server_is_asked_if_one_fails(error: type[Exception]) -> None:
    broken, sound = Server(), Server()
    broken.error = error("no")
    made = fleet(broken, sound)
    for k in range(6):
        assert await made.score(group(k, k), None) == [k]
    assert made.counts.failovers > 0


async def test_if_all_fail_the_first_reason_is_given() -> None:
    one, two = Server(), Server()
    one.error, two.error = ScorerUnavailable("one is down"), ScorerUnavailable("two is down")
    with pytest.raises(ScorerUnavailable, match="one is down"):
        await fleet(one, two).score(group(0, 1), None)
    assert len(two.asked) == 1


async def test_an_open_breaker_takes_a_server_out_of_the_turn() -> None:
    broken, sound = Server(), Server()
    broken.error = ScorerUnavailable("503")
    made = fleet(broken, sound, failures=2)
    for k in range(20):
        assert await made.score(group(k, k), None) == [k]
    assert len(broken.asked) == 2
    assert made.servers[0].stats.breaker == "open"


async def test_after_a_timeout_there_is_no_time_for_another() -> None:
    slow, sound = Server(delay_s=60), Server()
    with pytest.raises(ScorerTimeout):
        await fleet(slow, sound).score(group(0, 1), time.monotonic() + 0.03)
    assert sound.asked == []


async def warmed(hedging: Hedging | None = None) -> tuple[Fleet, Server, Server]:
    one, two = Server(delay_s=0.005), Server(delay_s=0.005)
    made = fleet(one, two, hedging=hedging)
    for k in range(2 * ENOUGH + 2):
        await made.score(group(k, k), None)
    one.asked.clear()
    two.asked.clear()
    return made, one, two


async def test_a_slow_answer_is_asked_for_elsewhere_and_the_loser_is_given_up() -> None:
    made, one, _ = await warmed()
    one.delay_s = 60
    before = made.counts.hedges
    started = time.monotonic()
    assert await made.score(group(0, 4), None) == [4]
    assert time.monotonic() - started < 1
    assert made.counts.hedges == before + 1
    assert made.counts.hedges_won >= 1
    await asyncio.sleep(0.01)
    assert one.cancelled == 1
    assert made.servers[0].stats.in_flight == 0


async def test_a_hedge_whose_server_fails_still_waits_for_the_first() -> None:
    made, one, two = await warmed()
    one.delay_s, two.error = 0.1, ScorerUnavailable("503")
    assert await made.score(group(0, 4), None) == [4]
    assert len(two.asked) == 1


async def test_hedges_are_a_small_share_of_what_is_asked() -> None:
    made, one, two = await warmed(Hedging(percentile=50.0, share=0.1))
    one.delay_s = two.delay_s = 0.02
    await asyncio.gather(*(made.score(group(k, k), None) for k in range(60)))
    assert 0 < made.counts.hedges <= 0.1 * made.counts.asked


async def test_without_a_percentile_nothing_is_hedged() -> None:
    made, one, _ = await warmed(Hedging(percentile=None))
    one.delay_s = 0.1
    await made.score(group(0, 1), None)
    assert made.counts.hedges == 0


async def test_a_cancelled_decision_leaves_no_task() -> None:
    made = fleet(Server(delay_s=60), Server(delay_s=60))
    task = asyncio.ensure_future(made.score(group(0, 1), None))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("wrong", [{"percentile": 0.0}, {"percentile": 100.0}, {"share": 2.0}])
def test_hedging_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Hedging(**wrong)
