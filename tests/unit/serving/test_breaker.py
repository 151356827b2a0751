"""A server that keeps failing is left alone, then tried with one request."""

from toolrm_guard.serving.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(clock: Clock) -> Breaker:
    return Breaker(failures=2, cooldown_s=1.0, clock=clock)


def fail(breaker: Breaker) -> None:
    assert breaker.allows()
    breaker.begin()
    breaker.fail()


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = made(Clock())
    for _ in range(5):
        fail(breaker)
        breaker.begin()
        breaker.succeed()
    assert breaker.state == "closed"
    fail(breaker)
    fail(breaker)
    assert breaker.state == "open"
    assert not breaker.allows()
    assert breaker.opened == 1


def test_after_the_pause_one_request_may_try() -> None:
    clock = Clock()
    breaker = made(clock)
    fail(breaker)
    fail(breaker)
    clock.now = 1.0
    assert breaker.state == "half_open"
    assert breaker.allows()
    breaker.begin()
    assert not breaker.allows()
    breaker.succeed()
    assert breaker.state == "closed"
    assert breaker.allows()


def test_each_failed_trial_doubles_the_pause_up_to_its_end() -> None:
    clock = Clock()
    breaker = made(clock)
    fail(breaker)
    fail(breaker)
    for pause in (1.0, 2.0, 4.0, 8.0, 8.0):
        clock.now += pause - 0.01
        assert not breaker.allows()
        clock.now += 0.01
        fail(breaker)


def test_a_trial_that_was_cancelled_makes_room_for_another() -> None:
    clock = Clock()
    breaker = made(clock)
    fail(breaker)
    fail(breaker)
    clock.now = 1.0
    breaker.begin()
    breaker.abandon()
    assert breaker.allows()


def test_failures_of_requests_sent_before_it_opened_do_not_prolong_the_pause() -> None:
    clock = Clock()
    breaker = made(clock)
    for _ in range(4):
        breaker.begin()
    for _ in range(4):
        breaker.fail()
    clock.now = 1.0
    assert breaker.allows()
    assert breaker.opened == 1
