"""The jobs of one agent: a first sync, repeated ones, and reconciles."""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apscheduler.jobstores.base import JobLookupError
from apscheduler.triggers.date import DateTrigger

from etl.clock import utc_now
from etl.config import Agent
from etl.errors import EtlError, RetryLater
from etl.events import RunCrashed, RunFinished
from etl.models import AgentReport, Mode
from etl.service.next_runs import SYNC_JOB, NextRuns
from etl.service.runs import Service, run_options
from etl.service.schedule import (
    RECENT_SHARE,
    make_incremental_trigger,
    make_reconcile_trigger,
    plan_first_reconcile,
    plan_second_sync,
    reconcile_interval,
)
from etl.service.watch import AGAIN, Postponed
from etl.store.read import status


@dataclass(slots=True)
class AgentJobs:
    """The jobs of one agent: one at a time in this process."""

    service: Service
    agent: Agent
    next_runs: NextRuns
    postponed: Postponed
    lock: threading.Lock = field(default_factory=threading.Lock)
    since: datetime = field(default_factory=utc_now)
    """Runs that began later are another process's."""

    def add_to(self, scheduler: Any, share: float) -> None:
        """Schedule a sync at once, and what follows; `share` of an interval sets agents apart."""
        schedule, now = self.service.settings.schedule, utc_now()
        id = self.agent.id
        first = DateTrigger(now + random.random() * schedule.jitter)
        scheduler.add_job(self.incremental, first, id=f"first:{id}")
        turns = (
            {} if schedule.cron else {"next_run_time": plan_second_sync(schedule.every, now, share)}
        )
        trigger = make_incremental_trigger(schedule)
        due = turns.get("next_run_time") or trigger.get_next_fire_time(None, now)
        self.next_runs.expect(id, due)
        scheduler.add_job(self.incremental, trigger, id=f"{SYNC_JOB}{id}", **turns)
        trigger = make_reconcile_trigger(schedule)
        if trigger is None:
            return
        every = reconcile_interval(schedule)
        options = {}
        if every is not None:
            last = self.service.store.load_state(id).last_reconciled_at
            options["next_run_time"] = plan_first_reconcile(last, every, now, share)
        scheduler.add_job(self.reconcile, trigger, id=f"reconcile:{id}", **options)

    def incremental(self) -> None:
        """Sync, unless a reconcile is at it, which sees what a sync would see."""
        if self.lock.acquire(blocking=False):
            try:
                self._run("incremental", self.service.settings.schedule.every)
                self.next_runs.save(self.agent.id)
            finally:
                self.lock.release()

    def reconcile(self) -> None:
        """Reconcile, after a sync that is under way."""
        with self.lock:
            # A cron line has no interval; an hour keeps two processes from doing it twice.
            every = reconcile_interval(self.service.settings.schedule) or timedelta(hours=1)
            self._run("reconcile", every)

    def _run(self, mode: Mode, every: timedelta) -> None:
        """One run; whatever happens is reported, since the scheduler would swallow it."""
        if self.service.stop.is_set():
            return
        job_id = f"{mode}:{self.agent.id}"
        if self.service.client.closed_for > 0:
            self.postponed.add(job_id)
            return
        began = time.monotonic()
        try:
            if self._is_done_elsewhere(mode, every):
                return
            options = run_options(self.service.settings, mode, wait_for_lease=False)
            report = self.service.sync_agent(self.agent, options)
            if isinstance(report.cause, RetryLater):
                self.postponed.add(job_id)
            if report.status != "skipped":
                self.since = utc_now()
        except EtlError as error:
            report = AgentReport(self.agent.id, mode, "failed", error=str(error), cause=error)
            self.service.observe(RunFinished(report, time.monotonic() - began))
        except Exception as error:
            self.service.observe(RunCrashed(self.agent.id, mode, error))

    def _is_done_elsewhere(self, mode: Mode, every: timedelta) -> bool:
        """Whether another process has just been at it. One that is still at it holds the lease."""
        now = utc_now()
        last = status.find_last_start(self.service.store, self.agent.id, mode, now)
        # The clock may have been set back since our own last run.
        return (
            last is not None and last >= min(self.since, now) and now - last < every * RECENT_SHARE
        )


def remove_agent_jobs(scheduler: Any, agent_id: str) -> None:
    """Take an agent's jobs away; a run under way goes on to its end."""
    for job in ("first", "incremental", "reconcile"):
        for id in (f"{job}:{agent_id}", f"{AGAIN}:{job}:{agent_id}"):
            with suppress(JobLookupError):
                scheduler.remove_job(id)
