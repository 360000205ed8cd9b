"""The days of a zone: gapless, as Python knows them, and the same in the migration."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from etl.store.schema import calendar
from etl.store.schema import tables as t
from etl.store.store import Store

# Halves of hours, changes at midnight, changes of half an hour, far from UTC on both sides.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]


@cache
def days_of(name: str) -> list[calendar.Day]:
    return list(calendar.list_days(ZoneInfo(name)))


@pytest.mark.parametrize("name", ZONES)
def test_days_follow_each_other_without_a_gap(name: str) -> None:
    days = days_of(name)

    assert (days[0].day, days[-1].day) == (date(2020, 1, 1), date(2039, 12, 31))
    for one, following in pairwise(days):
        assert one.from_utc < one.until_utc == following.from_utc
        assert following.day - one.day in (timedelta(0), timedelta(days=1))


@settings(max_examples=300)
@given(st.sampled_from(ZONES), st.datetimes(datetime(2020, 1, 2), datetime(2039, 12, 30)))
def test_each_instant_has_the_local_day_and_offset_that_python_knows(name, naive) -> None:
    at = naive.replace(tzinfo=UTC)
    local = at.astimezone(ZoneInfo(name))

    [row] = [day for day in days_of(name) if day.from_utc <= at < day.until_utc]

    assert row.day == local.date()
    assert timedelta(minutes=row.offset_minutes) == local.utcoffset()


def test_a_day_with_a_change_of_clocks_has_two_rows() -> None:
    rows = [day for day in days_of("Europe/Berlin") if day.day == date(2026, 10, 25)]

    assert [row.offset_minutes for row in rows] == [120, 60]
    assert rows[0].until_utc == datetime(2026, 10, 25, 1, tzinfo=UTC)
    assert rows[1].until_utc - rows[0].from_utc == timedelta(hours=25)


def test_the_migration_has_the_days_of_utc(store: Store) -> None:
    with store.engine.begin() as connection:
        rows = select(t.calendar).order_by(t.calendar.c.from_utc)
        migrated = connection.execute(rows).fetchall()
        calendar.set_time_zone(connection, ZoneInfo("UTC"))

        assert connection.execute(rows).fetchall() == migrated
    assert len(migrated) == (date(2040, 1, 1) - date(2020, 1, 1)).days


def test_zones_that_were_chosen_before_stay(store: Store) -> None:
    with store.engine.begin() as connection:
        for name in ("Europe/Berlin", "Asia/Kathmandu", "Europe/Berlin"):
            calendar.set_time_zone(connection, ZoneInfo(name))
        counts = select(t.calendar.c.time_zone, func.count()).group_by(t.calendar.c.time_zone)

        assert calendar.read_time_zone(connection) == "Europe/Berlin"
        assert dict(connection.execute(counts).all()) == {
            name: len(days_of(name)) for name in ("UTC", "Europe/Berlin", "Asia/Kathmandu")
        }
