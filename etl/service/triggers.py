"""APScheduler's triggers, fit for a clock that steps.

APScheduler 3 waits for times of the wall clock. After a step back it would wait as much longer;
after one forward it lists every firing that it has missed, years of them if need be, to run one.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

LONG_AGO: Final = timedelta(days=1)


class Interval(IntervalTrigger):  # type: ignore[misc]
    """Fires in whole intervals after the last firing, and never in the past."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:
        """The next firing after `now`."""
        if previous_fire_time is not None and previous_fire_time < now:
            previous_fire_time += (now - previous_fire_time) // self.interval * self.interval
        return super().get_next_fire_time(previous_fire_time, now)


class Cron(CronTrigger):  # type: ignore[misc]
    """Fires by a cron line; what was missed long ago is not looked up."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:
        """The next firing."""
        if previous_fire_time is not None and now - previous_fire_time > LONG_AGO:
            previous_fire_time = None
        return super().get_next_fire_time(previous_fire_time, now)


def plan_after_step(trigger: Any, due: datetime, step: timedelta, now: datetime) -> datetime | None:
    """When a job fires that was due at `due`, now that the clock has been stepped by `step`.

    As far from now as before, and never later; by a cron line, whenever that fires next.
    """
    if step > timedelta(0):
        return due
    if isinstance(trigger, CronTrigger):
        at: datetime | None = trigger.get_next_fire_time(None, now)
        return at
    return due + step
