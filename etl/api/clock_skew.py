"""How far this machine's clock is ahead of the API's, by the `Date` headers of its responses.

A header tells whole seconds, of some moment between the request and the response's arrival. So each
response bounds the difference from both sides, and what they surely show is the least of them.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from etl.api.errors import parse_date

RESPONSES: Final = 8
"""So many are compared, the newest: a clock that was set is noticed after as many."""

RESOLUTION: Final = timedelta(seconds=1)
TOLERANCE: Final = timedelta(seconds=5)
"""NTP keeps clocks closer than this, and no rule here suffers from less."""


class ClockSkew:
    """Takes note of responses, from many threads."""

    def __init__(self) -> None:
        self._found: deque[timedelta] = deque(maxlen=RESPONSES)

    def note(self, date: str | None, sent_at: datetime, arrived_at: datetime) -> None:
        """Take note of a response's `Date` header, if it has one that can be read."""
        told = parse_date(date or "")
        if told is not None:
            self._found.append(estimate_skew(told, sent_at, arrived_at))

    @property
    def least(self) -> timedelta | None:
        """The least skew that the last responses show, negative if behind; None without any."""
        return min(tuple(self._found), key=abs, default=None)


def estimate_skew(told: datetime, sent_at: datetime, arrived_at: datetime) -> timedelta:
    """By how much this machine's clock is ahead at least (negative: behind), by one response."""
    lowest, highest = sent_at - told - RESOLUTION, arrived_at - told
    return max(lowest, min(highest, timedelta(0)))


def describe_skew(skew: timedelta | None) -> set[str]:
    """What to say of a clock that is off by more than NTP would let it be."""
    if skew is None or abs(skew) <= TOLERANCE:
        return set()
    side = "ahead of" if skew > timedelta(0) else "behind"
    seconds = f"{abs(skew).total_seconds():.0f} s"
    return {f"this machine's clock is {seconds} {side} the API's; is NTP at work?"}
