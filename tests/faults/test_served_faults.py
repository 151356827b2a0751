"""Reviews while the reward server is killed, stalls, lies or is somebody else: a small `faults`."""

import pytest

from bench.faults import Scenario, run, scenarios

REVIEWS = 60


@pytest.mark.parametrize("fault", scenarios())
async def test_no_fault_of_the_server_crashes_a_review_or_becomes_a_score(fault: Scenario) -> None:
    outcome = await run(fault, REVIEWS)
    assert outcome.crashed == 0
    assert outcome.against_policy == 0
    assert outcome.wrong_scores == 0
    assert outcome.stored_wrong == 0
    assert outcome.judged + outcome.unjudged == REVIEWS
    # The machine that runs this may be late by itself: the bench measures against 20 ms.
    assert outcome.worst_over_ms < 100 + outcome.timer_over_ms
    assert outcome.judged > 0
    if fault == "none":
        assert outcome.judged > outcome.unjudged  # a busy machine may miss a deadline by itself
