"""The configured schedule as triggers, and when each job is due first: functions of values."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from etl.clock import utc_now
from etl.config import Schedule, Settings, parse_duration
from etl.errors import ConfigError
from etl.service.triggers import Cron, Interval
from etl.wording import format_duration

READY_INTERVALS: Final = 4
"""Intervals since the last success after which the data counts as not ready."""

RECENT_SHARE: Final = 0.9
"""Another process's work counts for an interval if it was done within this share of it."""

SHORTEST_READY: Final = timedelta(minutes=1)
SAMPLED_FIRINGS: Final = 10
"""Firings of a cron line that tell its longest pause: nights and weekends, not holidays."""


def check_schedule(schedule: Schedule) -> None:
    """Raise ConfigError if the schedule can't be read."""
    triggers = {"schedule.cron": make_incremental_trigger(schedule)}
    triggers["schedule.reconcile"] = make_reconcile_trigger(schedule)
    for key, trigger in triggers.items():
        if trigger is not None and trigger.get_next_fire_time(None, utc_now()) is None:
            raise ConfigError(f"{key} never comes", "is there such a day in that month?")


def describe_schedule(schedule: Schedule) -> str:
    """The schedule in words: `sync every 15m, reconcile every 1d`."""
    sync = schedule.cron or f"every {format_duration(schedule.every)}"
    reconcile, has_cron = schedule.reconcile, " " in schedule.reconcile
    if not has_cron and reconcile != "off":
        reconcile = f"every {reconcile}"
    zone = f" (in {schedule.timezone})" if schedule.cron or has_cron else ""
    return f"sync {sync}, reconcile {reconcile}{zone}"


def make_incremental_trigger(schedule: Schedule) -> Any:
    """The trigger of the incremental jobs. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.cron is not None:
        return _make_cron("schedule.cron", schedule.cron, schedule.timezone, jitter)
    return Interval(seconds=schedule.every.total_seconds(), timezone="UTC", jitter=jitter)


def make_reconcile_trigger(schedule: Schedule) -> Any:
    """The trigger of the reconcile jobs; None where they are off. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.reconcile == "off":
        return None
    every = reconcile_interval(schedule)
    if every is None:
        return _make_cron("schedule.reconcile", schedule.reconcile, schedule.timezone, jitter)
    return Interval(seconds=every.total_seconds(), timezone="UTC", jitter=jitter)


def reconcile_interval(schedule: Schedule) -> timedelta | None:
    """The time between two reconciles; None where a cron line or nothing tells it."""
    try:
        every = parse_duration(schedule.reconcile)
    except ValueError:
        return None
    if every <= timedelta(0):
        raise ConfigError("schedule.reconcile must be greater than zero", 'or "off"')
    return every


def choose_readiness_limit(settings: Settings) -> timedelta:
    """How old an agent's last success may be: as configured, else four turns of the schedule."""
    if settings.service.ready_within is not None:
        return settings.service.ready_within
    every: timedelta = settings.schedule.every
    if settings.schedule.cron is not None:
        every = _find_longest_pause(make_incremental_trigger(settings.schedule), utc_now()) or every
    return max(SHORTEST_READY, READY_INTERVALS * every)


def plan_second_sync(every: timedelta, now: datetime, share: float) -> datetime:
    """When an agent is synced next after the first time: agents take turns over the interval."""
    return now + every * (1 - share)


def plan_first_reconcile(
    last: datetime | None, every: timedelta, now: datetime, share: float
) -> datetime:
    """When an agent's first reconcile is due: an interval after its last one.

    Agents that were never reconciled spread over the interval, by their `share` of it.
    """
    if last is None:
        return now + every * (0.5 + share / 2)
    return max(now, min(last, now) + every)


def _find_longest_pause(trigger: Any, now: datetime) -> timedelta | None:
    """The longest time between two of a trigger's next firings; None if there are none."""
    times: list[datetime] = []
    while len(times) <= SAMPLED_FIRINGS:
        at = trigger.get_next_fire_time(times[-1] if times else None, times[-1] if times else now)
        if at is None:
            break
        times.append(at)
    return max((b - a for a, b in pairwise(times)), default=None)


def _make_cron(key: str, line: str, zone: str, jitter: float | None) -> Any:
    try:
        trigger = Cron.from_crontab(line, timezone=zone)
    except ValueError as error:
        hint = 'five fields like "*/15 * * * *"'
        if key == "schedule.reconcile":
            hint = 'a duration like "1d", "off", or ' + hint
        raise ConfigError(f"{key} {line!r} can't be read: {error}", hint) from None
    trigger.jitter = jitter
    return trigger
