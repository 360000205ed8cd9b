"""When requests may start, on a clock that stands still unless a test moves it."""

import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.api.rate_limit import FIRST_WAIT, LONGEST_WAIT, RateLimiter, backoff

draws = st.floats(0, 1, exclude_max=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 100), draws)
def test_backoff_stays_within_its_bounds(attempt: int, draw: float) -> None:
    wait = backoff(attempt, None, draw)

    assert 0 <= wait <= min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))


def test_backoff_doubles_until_its_longest() -> None:
    waits = [backoff(attempt, None, 1.0) for attempt in range(1, 10)]

    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 100), st.floats(0, 3600), draws)
def test_the_servers_wish_goes_before_backoff(attempt: int, options: float, draw: float) -> None:
    assert backoff(attempt, options, draw) == options


def test_backoff_copes_with_any_number_of_attempts() -> None:
    assert backoff(5000, None, 1.0) == LONGEST_WAIT


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([0.5, 1, 3, 10, 1000]),
    st.lists(st.floats(0, 3), min_size=1, max_size=30),
)
def test_starts_are_never_closer_than_the_interval(per_second: float, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(per_second, clock)
    starts = []
    for pause in pauses:
        limiter.await_turn(clock.pause)
        starts.append(clock.now)
        clock.now += pause

    for before, after in pairwise(starts):
        assert after - before >= 1 / per_second - 1e-9


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([0.5, 1, 3, 10]), st.integers(1, 50))
def test_the_allowance_is_used_up(per_second: float, count: int) -> None:
    """Requests that are always ready start at the full rate, not below it."""
    clock = Clock()
    limiter = RateLimiter(per_second, clock)

    began = clock.now
    for _ in range(count):
        limiter.await_turn(clock.pause)

    assert clock.now - began <= (count - 1) / per_second + 1e-6


def test_a_pause_is_not_saved_up_for_a_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock)
    limiter.await_turn(clock.pause)
    clock.now += 100

    assert [limiter.await_turn(clock.pause) for _ in range(3)] == [0, 1, 1]


def test_without_a_limit_nobody_waits() -> None:
    clock = Clock()
    limiter = RateLimiter(0, clock)

    assert [limiter.await_turn(clock.pause) for _ in range(5)] == [0] * 5


def test_a_hold_keeps_everybody_back() -> None:
    clock = Clock()
    limiter = RateLimiter(0, clock)
    limiter.hold(7)

    assert [limiter.await_turn(clock.pause) for _ in range(2)] == [7, 0]


def test_a_hold_reaches_those_who_wait_already() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock)
    limiter.await_turn(clock.pause)

    def pause(seconds: float) -> None:
        if clock.now == 1000:
            limiter.hold(7)
        clock.now += seconds

    assert limiter.await_turn(pause) == 7


def test_who_is_told_to_stop_gives_way() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock)
    limiter.hold(7)

    def pause(seconds: float) -> None:
        raise InterruptedError

    for _ in range(2):
        with pytest.raises(InterruptedError):
            limiter.await_turn(pause)


def test_threads_that_wake_late_keep_their_distance() -> None:
    limiter, starts = RateLimiter(200), []

    def ask() -> None:
        for _ in range(10):
            limiter.await_turn(time.sleep)
            starts.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(starts) == 80
    assert max(starts) - min(starts) >= 78 / 200


def test_a_short_hold_does_not_end_a_longer_one() -> None:
    clock = Clock()
    limiter = RateLimiter(0, clock)
    limiter.hold(7)
    limiter.hold(1)

    assert limiter.await_turn(clock.pause) == 7


def test_the_wait_is_drawn() -> None:
    assert RateLimiter(draw=lambda: 0.5).wait_after(2, None) == FIRST_WAIT
    assert RateLimiter(draw=lambda: 0.5).wait_after(2, 9) == 9
