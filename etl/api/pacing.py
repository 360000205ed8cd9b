"""When the next request may start. One pacer serves all threads of a process.

Requests are spaced evenly, never in bursts; a server's wish to wait holds every thread back.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Pacer", "backoff"]

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0


def backoff(attempt: int, wish: float | None, draw: float) -> float:
    """Seconds to wait after the given attempt (from 1) failed.

    The server's wish if it has one, else exponential with full jitter; `draw` is from [0, 1).
    """
    if wish is not None:
        return wish
    return draw * min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 30))


class Pacer:
    """Hands out start times, `per_second` at most (0: no limit)."""

    def __init__(
        self,
        per_second: float = 0,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._draw = draw
        self._next = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next start and return the seconds until it."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self._interval
            return start - now

    def hold(self, seconds: float) -> None:
        """Let nobody start within the next seconds: the server asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def wait_after(self, attempt: int, wish: float | None) -> float:
        """The pause before the next attempt, see `backoff`."""
        return backoff(attempt, wish, self._draw())
