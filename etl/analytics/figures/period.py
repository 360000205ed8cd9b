"""Ranges of time as a reader of the report sees them: in a time zone, in bins, with one before.

Instants are aware and in UTC; *wall* times are naive and show what a clock in the zone shows.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, NamedTuple

Step = Literal["hour", "day", "week", "month"]

LOOKS_BACK: Final = 30
"""Days that the report covers unless told otherwise, today included."""

MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
LONGEST_RANGES: Final[dict[Step, timedelta]] = {
    "hour": timedelta(days=3),
    "day": timedelta(days=92),
    "week": timedelta(days=731),
}
"""The longest range that is drawn in each step."""

STRIDE: Final[dict[Step, timedelta]] = {
    "hour": timedelta(minutes=15),
    "day": timedelta(hours=6),
    "week": DAY,
    "month": DAY,
}
"""Shorter than any bin of the step, however far a clock is set forward or back."""


class Period(NamedTuple):
    """Instants `[since, until)`, in UTC."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is, in real time."""
        return self.until - self.since


class Offset(NamedTuple):
    """From this instant on clocks are so many seconds ahead of UTC."""

    since: datetime
    seconds: int


def to_wall(instant: datetime, zone: tzinfo) -> datetime:
    """What a clock in the zone shows; at the calendar's edges, what one in UTC shows."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return instant.replace(tzinfo=None)


def find_default_since(until: datetime, zone: tzinfo) -> datetime:
    """The midnight, in the zone, from which a range of whole days up to `until` begins."""
    last = floor_to(to_wall(until - MICROSECOND, zone), "day")
    first = last - timedelta(days=LOOKS_BACK - 1)
    return first.replace(tzinfo=zone).astimezone(UTC)


def find_period_before(period: Period, zone: tzinfo) -> Period | None:
    """The range before: as long by the clock, so many days earlier that the two don't overlap.

    A range of less than a day moves by its own length. None where the calendar has none.
    """
    shift = math.ceil(period.length / DAY) * DAY if period.length >= DAY else period.length
    try:
        if shift < DAY:
            return Period(period.since - shift, period.since)
        clocks = (instant.astimezone(zone) - shift for instant in period)
        since, until = (clock.astimezone(UTC) for clock in clocks)
    except OverflowError:
        return None
    # A clock that was set forward in between makes the range before longer than its days.
    return Period(since, min(until, period.since))


def choose_step(period: Period) -> Step:
    """The step in which a range is drawn: some dozens of bins."""
    return next((step for step, most in LONGEST_RANGES.items() if period.length <= most), "month")


def floor_to(clock: datetime, step: Step) -> datetime:
    """The beginning of the hour, day, week (Monday) or month that a wall time lies in."""
    if step == "hour":
        return clock.replace(minute=0, second=0, microsecond=0)
    day = clock.replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if step == "week" else 0)


def find_next_bin(clock: datetime, step: Step) -> datetime:
    """The beginning of the next bin."""
    widths = {"hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY, "month": 31 * DAY}
    return floor_to(clock + widths[step], step)


def list_bins(period: Period, step: Step, zone: tzinfo) -> list[datetime]:
    """The bins that a range touches, by the wall times at which they begin, in order.

    An hour or day that no clock in the zone showed has none; an hour that it showed twice is one.
    """
    instants = [*_list_strides(period, STRIDE[step]), period.until - MICROSECOND]
    return sorted({floor_to(to_wall(instant, zone), step) for instant in instants})


def list_offsets(period: Period, zone: tzinfo) -> list[Offset]:
    """The zone's offsets within a range, each with the instant from which it holds."""
    found = [Offset(period.since, _measure_offset(period.since, zone))]
    before = period.since
    for instant in [*_list_strides(period, DAY), period.until]:
        if _measure_offset(instant, zone) != found[-1].seconds:
            found.append(_find_change(before, instant, zone))
        before = instant
    return found


def _find_change(low: datetime, high: datetime, zone: tzinfo) -> Offset:
    """The instant after `low`, up to `high`, at which the offset of `high` begins."""
    seconds = _measure_offset(high, zone)
    while high - low > MICROSECOND:
        middle = low + (high - low) / 2
        low, high = (low, middle) if _measure_offset(middle, zone) == seconds else (middle, high)
    return Offset(high, seconds)


def _measure_offset(instant: datetime, zone: tzinfo) -> int:
    return round((to_wall(instant, zone) - instant.replace(tzinfo=None)).total_seconds())


def _list_strides(period: Period, stride: timedelta) -> Iterator[datetime]:
    for number in range(math.ceil(period.length / stride)):
        yield period.since + number * stride
