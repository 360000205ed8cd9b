"""A thread beside the scheduler, which sleeps by the wall clock: this one doesn't.

It notices that the clock was set, or that the machine slept, and makes jobs due; and it brings the
jobs back that were put off since the API asked for it.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from apscheduler.jobstores.base import JobLookupError

from etl.clock import utc_now
from etl.events import ClockStepped
from etl.planning.clock import measure_clock_step
from etl.service.runs import Service
from etl.service.triggers import plan_after_step

LOOK_PAUSE: Final = 1.0
"""Seconds between two looks."""

READ_WITHIN: Final = 0.1
"""Seconds that may lie between reading the one clock and the other."""

AFTER_STEP: Final = ("incremental:", "discovery")
"""What the ids of jobs begin with that run at once after a step: data may be old by then."""

AGAIN: Final = "again"
"""The prefix of a job that runs another one out of its turn, once."""


@dataclass(slots=True)
class Postponed:
    """The ids of jobs that are to run out of their turn, as soon as the API may be asked."""

    _ids: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, job_id: str) -> None:
        """Note a job; twice is once."""
        with self._lock:
            self._ids.add(job_id)

    def pop_ready(self, service: Service) -> set[str]:
        """Those that may run now; they are postponed no more."""
        with self._lock:
            if not self._ids or service.client.closed_for > 0:
                return set()
            ids, self._ids = self._ids, set()
            return ids


class _Clocks(NamedTuple):
    wall: datetime
    running: float


def watch(service: Service, scheduler: Any, postponed: Postponed) -> None:
    """Look every second until the service stops."""
    before = _read_clocks()
    while not service.stop.wait(LOOK_PAUSE):
        now = _read_clocks()
        step = measure_clock_step(*before, *now)
        before = now
        if step is not None:
            service.observe(ClockStepped(step))
            _reschedule(scheduler, postponed, step, now.wall)
        for id in postponed.pop_ready(service):
            job = scheduler.get_job(id)
            if job is not None:
                # Once, out of its turn, which stays as it is.
                options = {"id": f"{AGAIN}:{id}", "executor": job.executor}
                scheduler.add_job(job.func, **options, replace_existing=True)


def _read_clocks() -> _Clocks:
    """Both clocks at the same moment, even if this thread is held up in between."""
    while True:
        began = time.monotonic()
        wall = utc_now()
        if time.monotonic() - began < READ_WITHIN:
            return _Clocks(wall, began)


def _reschedule(scheduler: Any, postponed: Postponed, step: timedelta, now: datetime) -> None:
    """Have jobs fire as far from now as before, and agents found and synced at once."""
    for job in scheduler.get_jobs():
        with suppress(JobLookupError):
            at = plan_after_step(job.trigger, job.next_run_time, step, now)
            if at != job.next_run_time:
                job.modify(next_run_time=at)
        if job.id.startswith(AFTER_STEP):
            postponed.add(job.id)
    scheduler.wakeup()
