"""Who wins a knockout and a round robin, and after how many comparisons."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.scorers.tournament import gather, knockout, round_robin
from toolrm_guard.selection import best

PLAYS = {"knockout": knockout, "round_robin": round_robin}
STRENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=17)


def play(name: str, strengths: list[int]) -> tuple[list[float], list[tuple[int, int]]]:
    met: list[tuple[int, int]] = []

    async def compare(first: int, second: int) -> float:
        met.append((first, second))
        lead = strengths[first] - strengths[second]
        return 0.5 + lead / 10

    return asyncio.run(PLAYS[name](len(strengths), compare)), met


@pytest.mark.parametrize("name", PLAYS)
@given(strengths=STRENGTHS)
def test_the_strongest_wins_and_of_equals_the_earliest(name: str, strengths: list[int]) -> None:
    rewards, _ = play(name, strengths)
    assert best(rewards, blocked=[False] * len(rewards)) == strengths.index(max(strengths))


@given(strengths=STRENGTHS)
def test_a_knockout_takes_one_comparison_less_than_there_are_candidates(
    strengths: list[int],
) -> None:
    _, met = play("knockout", strengths)
    assert len(met) == len(strengths) - 1
    assert all(first < second for first, second in met)


@given(strengths=STRENGTHS)
def test_a_round_robin_takes_every_pair_once_and_orders_all(strengths: list[int]) -> None:
    rewards, met = play("round_robin", strengths)
    assert sorted(met) == list(itertools.combinations(range(len(strengths)), 2))
    assert all(0.0 <= reward <= 1.0 for reward in rewards)
    for one, other in met:
        if strengths[one] > strengths[other]:
            assert rewards[one] > rewards[other]


@given(st.lists(st.floats(0, 1), min_size=120, max_size=120), st.integers(2, 16))
def test_without_any_consistency_the_champion_still_has_the_highest_reward(
    chances: list[float], count: int
) -> None:
    given_chances = iter(chances)
    champion: list[int] = []

    async def compare(first: int, second: int) -> float:
        chance = next(given_chances)
        champion[:] = [first if chance >= 0.5 else second]
        return chance

    rewards = asyncio.run(knockout(count, compare))
    assert best(rewards, blocked=[False] * count) == champion[0]


async def test_rounds_are_asked_side_by_side() -> None:
    at_once = 0
    most = 0

    async def compare(first: int, second: int) -> float:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return 1.0

    await knockout(8, compare)
    assert most == 4


async def test_the_first_error_ends_all_other_questions() -> None:
    cancelled: list[int] = []

    async def wait(index: int) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(index)
            raise

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await gather([wait(0), fail(), wait(1)])
    assert cancelled == [0, 1]
