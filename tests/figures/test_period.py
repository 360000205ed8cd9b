"""Ranges on a clock that is set forward and back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.analytics.figures.period import (
    Period,
    Step,
    choose_step,
    find_default_since,
    find_next_bin,
    find_period_before,
    floor_to,
    list_bins,
    list_offsets,
    to_wall,
)

ZONES = (
    "UTC",
    "Europe/Vienna",
    "America/New_York",
    "America/Havana",  # set back at 1:00 to 0:00: a midnight twice
    "Asia/Beirut",  # set forward at 0:00: a day without a midnight
    "Asia/Kathmandu",  # 5:45
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Pacific/Apia",  # lacks 2011-12-30
)
STEPS: tuple[Step, ...] = ("hour", "day", "week", "month")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(
    datetime(1985, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC), allow_imaginary=False
)


@st.composite
def periods(draw: st.DrawFn, longest: timedelta = timedelta(days=800)) -> Period:
    since = draw(instants)
    length = draw(st.timedeltas(timedelta(microseconds=1), longest))
    return Period(since, since + length)


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[Period, ZoneInfo]:
    """A few hours around the instant at which a clock is set."""
    zone = draw(zones.filter(lambda zone: str(zone) not in ("UTC", "Asia/Kathmandu")))
    year = draw(st.integers(2005, 2012))
    whole = Period(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    change = draw(st.sampled_from(list_offsets(whole, zone)))
    since = change.since + draw(st.integers(-400, 100)) * MINUTE
    return Period(since, since + draw(st.integers(1, 600)) * MINUTE), zone


@st.composite
def within(draw: st.DrawFn, period: Period) -> datetime:
    return period.since + draw(st.timedeltas(timedelta(0), period.length - timedelta.resolution))


@pytest.mark.parametrize("step", STEPS)
@given(st.data())
def test_every_instant_has_its_bin(step: Step, data: st.DataObject) -> None:
    longest = timedelta(days=3) if step == "hour" else timedelta(days=800)
    case = st.one_of(near_a_change(), st.tuples(periods(longest), zones))
    period, zone = data.draw(case)
    found = list_bins(period, step, zone)

    at = floor_to(to_wall(data.draw(within(period)), zone), step)

    assert at in found
    assert found == sorted(set(found))
    assert all(floor_to(clock, step) == clock for clock in found)
    assert all(clock < find_next_bin(clock, step) for clock in found)


@given(periods(), zones, st.data())
def test_a_bin_ends_where_the_next_begins(
    period: Period, zone: ZoneInfo, data: st.DataObject
) -> None:
    step = data.draw(st.sampled_from(STEPS))
    clock = floor_to(to_wall(data.draw(within(period)), zone), step)
    after = find_next_bin(clock, step)

    assert floor_to(after, step) == after
    assert floor_to(after - timedelta.resolution, step) == clock


@given(st.one_of(near_a_change(), st.tuples(periods(), zones)), st.data())
def test_offsets_turn_every_instant_into_wall_time(
    case: tuple[Period, ZoneInfo], data: st.DataObject
) -> None:
    period, zone = case
    found = list_offsets(period, zone)
    at = data.draw(st.one_of(within(period), st.sampled_from([offset.since for offset in found])))

    holds = [offset for offset in found if offset.since <= at][-1]

    assert at.replace(tzinfo=None) + timedelta(seconds=holds.seconds) == to_wall(at, zone)


@example(
    Period(datetime(2012, 1, 1, tzinfo=UTC), datetime(2012, 4, 9, 0, 0, 0, 1, UTC)),
    ZoneInfo("Pacific/Apia"),
)
@given(periods(), zones)
def test_the_range_before_is_as_long_and_does_not_overlap(period: Period, zone: ZoneInfo) -> None:
    before = find_period_before(period, zone)

    assert before is not None
    assert before.until <= period.since
    assert before.since < before.until
    # Apia once skipped a day a few weeks after it had set its clock forward.
    clocks = [offset.seconds for offset in list_offsets(Period(before.since, period.until), zone)]
    changes = sum(abs(later - earlier) for earlier, later in pairwise(clocks))
    assert abs(before.length - period.length) <= timedelta(seconds=changes)


@given(st.integers(1, 400), instants)
def test_the_range_before_shows_the_same_time_of_day(days: int, since: datetime) -> None:
    before = find_period_before(Period(since, since + days * DAY), ZoneInfo("Europe/Vienna"))

    assert before is not None
    clocks = [to_wall(at, ZoneInfo("Europe/Vienna")) for at in (since, before.since)]
    # An hour that the clock skips has no such time; it lies an hour off.
    assert (clocks[0] - clocks[1]) in (
        days * DAY,
        days * DAY + 60 * MINUTE,
        days * DAY - 60 * MINUTE,
    )


def test_there_is_no_range_before_the_calendar() -> None:
    first = datetime(1, 1, 2, tzinfo=UTC)

    assert find_period_before(Period(first, first + 40 * DAY), UTC) is None


def test_the_default_range_is_thirty_days_of_the_zone() -> None:
    vienna = ZoneInfo("Europe/Vienna")
    now = datetime(2026, 10, 27, 23, 30, tzinfo=UTC)  # the 28th in Vienna; clocks were set on 25th

    since = find_default_since(now, vienna)

    assert since == datetime(2026, 9, 28, 22, 0, tzinfo=UTC)
    assert len(list_bins(Period(since, now), "day", vienna)) == 30


def test_a_day_of_25_hours_has_24_bins_of_an_hour() -> None:
    vienna = ZoneInfo("Europe/Vienna")
    period = Period(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))

    assert period.length == timedelta(hours=25)
    assert len(list_bins(period, "hour", vienna)) == 24
    assert list_bins(period, "day", vienna) == [datetime(2026, 10, 25)]


def test_a_day_that_a_zone_never_had_has_no_bin() -> None:
    apia = ZoneInfo("Pacific/Apia")
    period = Period(datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 2, tzinfo=UTC))

    assert datetime(2011, 12, 30) not in list_bins(period, "day", apia)


@given(periods(timedelta(days=20_000)))
def test_a_range_is_drawn_in_some_dozens_of_bins(period: Period) -> None:
    step = choose_step(period)

    assert len(list_bins(period, step, UTC)) <= (108 if step != "month" else 660)
