"""The days of a time zone, for the views: which day an instant belongs to there.

SQLite knows no time zones, and PostgreSQL's may be of another year than Python's. So the days are
worked out here, once, and both databases look them up in the table `calendar`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, insert, select, update

from etl.store.schema import tables as t

FIRST_DAY: Final = date(2020, 1, 1)
LAST_DAY: Final = date(2039, 12, 31)
STEP: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)


class Day(NamedTuple):
    """A stretch of one local day with one offset: a day with a change of clocks has two."""

    day: date
    from_utc: datetime
    until_utc: datetime
    offset_minutes: int


def list_days(zone: ZoneInfo) -> Iterator[Day]:
    """The days of a zone without a gap, from the first to the last."""
    at = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC) - timedelta(days=1)
    begin, here = at, _convert_to_local(at, zone)
    while here[0] <= LAST_DAY:
        at += STEP
        if (next_here := _convert_to_local(at, zone)) == here:
            continue
        end = _find_change(at - STEP, at, zone)
        if here[0] >= FIRST_DAY:
            yield Day(here[0], begin, end, here[1] // 60)
        begin, here = end, next_here


def read_time_zone(connection: Connection) -> str:
    """The name of the zone whose days the views show."""
    return str(connection.execute(select(t.report_settings.c.time_zone)).scalar_one())


def set_time_zone(connection: Connection, zone: ZoneInfo) -> None:
    """Let the views show this zone's days, by the rules that Python knows today."""
    # The one row of the settings comes first: two that set the same zone take turns at it.
    connection.execute(update(t.report_settings).values(time_zone=zone.key))
    connection.execute(delete(t.calendar).where(t.calendar.c.time_zone == zone.key))
    connection.execute(insert(t.calendar), [_make_row(zone.key, day) for day in list_days(zone)])


def _make_row(name: str, day: Day) -> dict[str, Any]:
    dated = {
        "time_zone": name,
        "week": day.day - timedelta(days=day.day.weekday()),
        "month": day.day.replace(day=1),
        "weekday": day.day.isoweekday(),
    }
    return dated | day._asdict()


def _convert_to_local(at: datetime, zone: ZoneInfo) -> tuple[date, int]:
    """The local day, and how many seconds local time is ahead of UTC."""
    local = at.astimezone(zone)
    offset = local.utcoffset()
    assert offset is not None
    return local.date(), int(offset.total_seconds())


def _find_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, to the second, whose day or offset is not that of `before`."""
    was = _convert_to_local(before, zone)
    # Nearly every day begins at a whole hour of UTC.
    if _convert_to_local(after - SECOND, zone) == was:
        return after
    while after - before > SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (
            (middle, after) if _convert_to_local(middle, zone) == was else (before, middle)
        )
    return after
