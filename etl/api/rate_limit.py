"""When the next request may start. One limiter serves all threads of a process.

Requests are spaced evenly, never in bursts; a wait that the server asks for holds every
thread. One that is too long closes the limiter: until it is over no request may start.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0
SATURATED_FOR: Final = 2.0
"""Seconds for which a request that has waited for its turn tells that the allowance is used up."""

NEWS: Final = 60.0
"""A new end of a closed time is reported only if it is later by so many seconds: requests under way
repeat the old one."""


def steady_clock() -> float:
    """Seconds that no setting of the clock changes.

    On Linux a sleep of the machine counts, which `time.monotonic` leaves out.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def backoff(attempt: int, retry_after: float | None, draw: float) -> float:
    """Seconds to wait after the given attempt (from 1) failed.

    What the server asks for, else exponential with full jitter; `draw` is from [0, 1).
    """
    if retry_after is not None:
        return retry_after
    return draw * min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 30))


class RateLimiter:
    """Hands out start times, `per_second` at most (0: no limit)."""

    def __init__(
        self,
        per_second: float = 0,
        clock: Callable[[], float] = steady_clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._draw = draw
        self._next = 0.0
        self._closed_until = 0.0
        self._waited_at = -SATURATED_FOR
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def await_turn(self, pause: Callable[[float], None]) -> float:
        """Wait by `pause` until the next request may start; returns the seconds it took.

        One thread waits, the others for their turn behind it: were each to wait for a start of
        its own, those that wake up late would bunch up (54 in a second where 50 are allowed).
        """
        if not self._interval and self._next <= self._clock():
            return 0.0
        began = self._clock()
        with self._turn:
            while (wait := self._next - self._clock()) > 0:
                pause(wait)
            started = self._clock()
            self.hold(self._interval)
        if started > began:
            self._waited_at = started
        return started - began

    @property
    def is_saturated(self) -> bool:
        """Whether a request had to wait for its turn lately."""
        return self._clock() - self._waited_at < SATURATED_FOR

    def hold(self, seconds: float) -> None:
        """Let nobody start within the next seconds: the server asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def close(self, seconds: float) -> bool:
        """Let no request start within the next seconds. False if that is no news."""
        with self._lock:
            now, known = self._clock(), self._closed_until
            self._closed_until = max(known, now + seconds)
        return known <= now or known + NEWS < now + seconds

    @property
    def closed_for(self) -> float:
        """Seconds until requests may start again; 0: they may."""
        return max(0.0, self._closed_until - self._clock())

    def wait_after(self, attempt: int, retry_after: float | None) -> float:
        """The pause before the next attempt, see `backoff`."""
        return backoff(attempt, retry_after, self._draw())
