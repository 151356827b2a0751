"""What is known is not asked; what several want is asked once, and each keeps its own deadline."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.serving.servers import Server, group
from toolrm_guard.errors import ScorerTimeout, ScorerUnavailable
from toolrm_guard.serving.batcher import Batcher, BatchLimits
from toolrm_guard.serving.fleet import Fleet
from toolrm_guard.serving.groups import Group
from toolrm_guard.serving.service import RewardService


def service(server: Server, *, cache_items: int = 100, window_ms: float = 0) -> RewardService:
    made = Batcher("http://one", server, limits=BatchLimits(window_ms=window_ms))
    return RewardService(Fleet([made]), fingerprint="model", cache_items=cache_items)


async def test_a_known_candidate_is_not_asked_again() -> None:
    server = Server()
    made = service(server)
    assert await made.rewards(group(0, 1, 2), None) == [1, 2]
    assert await made.rewards(group(0, 2, 3), None) == [2, 3]
    assert server.sizes == [2, 1]
    assert await made.rewards(group(9, 1), None) == [1]
    assert server.sizes == [2, 1, 1]  # the same candidate after another prompt is another
    assert (made.stats.items, made.stats.cache_hits) == (5, 1)


async def test_twins_in_one_decision_are_asked_once_and_keep_their_places() -> None:
    server = Server()
    assert await service(server).rewards(group(0, 5, 6, 5, 5), None) == [5, 6, 5, 5]
    assert server.sizes == [2]


async def test_the_seam_between_prompt_and_candidate_is_part_of_the_key() -> None:
    server = Server()
    made = service(server)
    await made.rewards(Group(prompt=(1, 2), suffixes=((3,),)), None)
    await made.rewards(Group(prompt=(1,), suffixes=((2, 3),)), None)
    assert server.sizes == [1, 1]


async def test_no_token_can_pass_for_a_length() -> None:
    server = Server()
    made = service(server)
    await made.rewards(Group(prompt=(7, 3, 9), suffixes=((4,),)), None)
    await made.rewards(Group(prompt=(7,), suffixes=((9, 1, 4),)), None)
    await made.rewards(Group(prompt=(3, 9), suffixes=((4,),)), None)
    assert server.sizes == [1, 1, 1]


async def test_concurrent_reviews_of_the_same_candidate_ask_once() -> None:
    server = Server(delay_s=0.02)
    made = service(server, cache_items=0)
    answers = await asyncio.gather(*(made.rewards(group(0, 1, 2), None) for _ in range(50)))
    assert answers == [[1, 2]] * 50
    assert server.sizes == [2]
    assert made.stats.joined == 98


async def test_who_asked_first_may_leave_and_the_others_get_their_answer() -> None:
    server = Server(delay_s=0.03)
    made = service(server)
    first = asyncio.ensure_future(made.rewards(group(0, 1), None))
    await asyncio.sleep(0.01)
    second = asyncio.ensure_future(made.rewards(group(0, 1), None))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [1]
    assert server.sizes == [1]


async def test_if_all_leave_the_request_is_given_up_and_may_be_asked_again() -> None:
    server = Server(delay_s=60)
    made = service(server)
    tasks = [asyncio.ensure_future(made.rewards(group(0, 1), None)) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0)  # they have left, and their request is ending
    server.delay_s = 0.0
    assert await made.rewards(group(0, 1), None) == [1]
    await asyncio.sleep(0)
    assert server.cancelled == 1


async def test_a_patient_review_outlives_the_hurried_one_that_it_joined() -> None:
    server = Server(delay_s=0.05)
    made = service(server)
    hurried = asyncio.ensure_future(made.rewards(group(0, 1), time.monotonic() + 0.02))
    await asyncio.sleep(0.005)
    patient = asyncio.ensure_future(made.rewards(group(0, 1), time.monotonic() + 5))
    with pytest.raises(ScorerTimeout):
        await hurried
    assert await patient == [1]


async def test_a_hurried_review_does_not_wait_for_the_patient_one_that_it_joined() -> None:
    server = Server(delay_s=0.3)
    made = service(server)
    patient = asyncio.ensure_future(made.rewards(group(0, 1), None))
    await asyncio.sleep(0.005)
    started = time.monotonic()
    with pytest.raises(ScorerTimeout):
        await made.rewards(group(0, 1), started + 0.03)
    assert time.monotonic() - started < 0.08
    assert await patient == [1]
    assert made.stats.expired == 1


async def test_a_failure_is_told_to_all_and_not_remembered() -> None:
    server = Server(delay_s=0.01)
    server.error = ScorerUnavailable("503")
    made = service(server)
    answers = await asyncio.gather(
        *(made.rewards(group(0, 1), None) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [ScorerUnavailable] * 3
    server.error = None
    assert await made.rewards(group(0, 1), None) == [1]


async def test_a_closed_service_ends_its_reviews_and_takes_no_more() -> None:
    server = Server(delay_s=60)
    made = service(server)
    task = asyncio.ensure_future(made.rewards(group(0, 1), None))
    await asyncio.sleep(0.01)
    await made.aclose()
    with pytest.raises(ScorerUnavailable, match="closed"):
        await task
    with pytest.raises(ScorerUnavailable, match="closed"):
        await made.rewards(group(0, 1), None)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(st.integers(0, 6), max_size=5),
            st.sampled_from([None, 0.0, 0.002, 1.0]),
            st.booleans(),
        ),
        max_size=25,
    ),
    st.sampled_from([0, 3, 100]),
)
def test_whatever_is_cancelled_or_late_every_answer_is_right(
    reviews: list[tuple[int, list[int], float | None, bool]], cache_items: int
) -> None:
    async def run() -> None:
        server = Server(delay_s=0.001)
        made = service(server, cache_items=cache_items, window_ms=1)
        tasks = []
        for prompt, suffixes, left_s, leaves in reviews:
            deadline = None if left_s is None else time.monotonic() + left_s
            task = asyncio.ensure_future(made.rewards(group(prompt, *suffixes), deadline))
            tasks.append(task)
            await asyncio.sleep(0)
            if leaves:
                asyncio.get_running_loop().call_later(0.001, task.cancel)
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        for (_, suffixes, left_s, leaves), answer in zip(reviews, answers, strict=True):
            if isinstance(answer, BaseException):
                assert leaves or (left_s is not None and isinstance(answer, ScorerTimeout)), answer
            else:
                assert answer == suffixes
        await made.aclose()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
