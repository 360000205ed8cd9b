"""Every wait of a client, for all threads: turns, back-off, and what the server asks for.

A wait that is longer than `api.max_wait` is not begun: it ends the run, and closes the rate limiter
until it is over, so that every other request fails at once, too, without being sent.
"""

import threading
from datetime import timedelta
from typing import Final

from etl.api.errors import retry_later
from etl.api.rate_limit import RateLimiter, steady_clock
from etl.clock import utc_now
from etl.errors import ApiError, RetryLater, Stopped, Transient
from etl.events import ApiClosed, Observe, RequestDelayed

PAUSE_SLICE: Final = 1.0
"""Seconds after which a pause looks whether another thread has to come back later."""


class Waits:
    """The waits of one client. Each raises Stopped once `stop` is set, and RetryLater."""

    def __init__(
        self, limiter: RateLimiter, longest: timedelta, stop: threading.Event, observe: Observe
    ) -> None:
        self._limiter = limiter
        self._longest = longest.total_seconds()
        self._stop = stop
        self._observe = observe

    @property
    def closed_for(self) -> float:
        """Seconds for which the API must not be asked; 0: it may."""
        return self._limiter.closed_for

    @property
    def is_saturated(self) -> bool:
        """Whether requests wait for their turn."""
        return self._limiter.is_saturated

    def await_turn(self) -> None:
        """Wait until the next request may start."""
        self._require_open()
        self.pause(0)
        waited = self._limiter.await_turn(self.pause)
        self._require_open()
        if waited > 0:
            self._observe(RequestDelayed(waited))

    def backoff(self, attempt: int, error: BaseException | None) -> float:
        """Seconds until the next attempt; a 429 holds every thread back, not just this one."""
        asked = error.retry_after if isinstance(error, Transient) else None
        wait = self._limiter.wait_after(attempt, asked)
        if isinstance(error, ApiError) and error.status == 429:
            self._limiter.hold(wait)
        return wait

    def limit_wait(self, what: str, error: Transient | RetryLater) -> ApiError:
        """The same error, or RetryLater if the server asks for longer than `max_wait`.

        Then no request starts before.
        """
        if isinstance(error, Transient):
            if error.retry_after is None or error.retry_after <= self._longest:
                return error
            error = retry_later(what, error.retry_after, error.status, utc_now())
        elif self.closed_for > 0:
            return error
        if self._limiter.close(error.seconds):
            self._observe(ApiClosed(error.seconds, error))
        return error

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the process works and the API may be asked at all."""
        until = steady_clock() + seconds
        while True:
            left = until - steady_clock()
            if self._stop.is_set() or (left > 0 and self._stop.wait(min(left, PAUSE_SLICE))):
                raise Stopped("asked to stop")
            if left <= 0:
                return
            self._require_open()

    def _require_open(self) -> None:
        left = self._limiter.closed_for
        if left > 0:
            raise retry_later(None, left, None, utc_now())
