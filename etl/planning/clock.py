"""Whether the clock was set, or the machine slept: its wall time against its running time."""

from datetime import datetime, timedelta
from typing import Final

LEAST_STEP: Final = timedelta(seconds=1)
"""Less is the slow correction of NTP, or the time between reading the one clock and the other."""


def measure_clock_step(
    wall_before: datetime, running_before: float, wall_now: datetime, running_now: float
) -> timedelta | None:
    """By how much the wall time went further than the running time (seconds); None: it did not.

    Negative if the clock was set back. A change of time zone or to summer time is none.
    """
    step = (wall_now - wall_before) - timedelta(seconds=running_now - running_before)
    return step if abs(step) >= LEAST_STEP else None
