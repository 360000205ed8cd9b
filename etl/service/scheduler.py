"""When it runs: an incremental and a reconcile job per agent, by APScheduler, until a signal.

Every agent is synced once at the start, then in turn over the interval; jobs are coalesced, and
never skipped for being late. One that
fails records its run, and the schedule goes on. Several processes may share a database: an agent
that another one has just been at, or is at, is left alone.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from etl.clock import utc_now
from etl.config import Agent, Schedule, Settings, parse_duration
from etl.errors import ConfigError, EtlError, RetryLater, Stopped
from etl.events import (
    AgentFound,
    AgentGone,
    DiscoveryFailed,
    DiscoveryIncomplete,
    RetentionApplied,
    RetentionFailed,
    RunCrashed,
    RunFinished,
    Stopping,
)
from etl.models import AgentReport, Mode, Pruned
from etl.service.lake_job import LakeJob
from etl.service.next_runs import JOB, NextRuns
from etl.service.runs import Service, run_options
from etl.service.triggers import Cron, Interval
from etl.service.watch import AGAIN, Postponed, watch
from etl.store.read import status

__all__ = [
    "check_schedule",
    "incremental_trigger",
    "ready_within",
    "reconcile_trigger",
    "run_scheduler",
]

BEAT: Final = 5
"""Seconds between two signs of life of the scheduler's thread."""

TURNS: Final = 4
"""The last success may be so many intervals old before the data counts as not ready."""

SHORTEST_READY: Final = timedelta(minutes=1)
FIRINGS: Final = 10
"""So many firings of a cron line tell its longest pause: nights and weekends, not holidays."""

DISCOVERY: Final = "discovery"
RETENTION: Final = "retention"
LAKE: Final = "lake"

RECENT: Final = 0.9
"""Another process's run counts for an interval if it began within this share of it."""


def run_scheduler(
    service: Service,
    agents: Sequence[Agent],
    stop: threading.Event,
    heartbeat: Callable[[], None] = lambda: None,
) -> None:
    """Sync every agent on schedule until `stop` is set; then wait for the pages at hand.

    `heartbeat` is called every few seconds, by a worker of its own, while the scheduler works.
    """
    limit, discovers = service.settings.api.concurrency, service.settings.discovery.on
    at_once = limit if discovers else max(1, min(len(agents), limit))
    # Neither a sign of life nor a look for agents waits until an agent has done with its history.
    workers = {"default": at_once, "beat": 1, DISCOVERY: 1, RETENTION: 1, LAKE: 1}
    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={name: ThreadPoolExecutor(number) for name, number in workers.items()},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    next_runs = NextRuns(service.store)
    next_runs.follow(scheduler)
    postponed = Postponed()
    # In an order of its own, so that processes that start together share the agents out.
    for number, agent in enumerate(random.sample(agents, len(agents))):
        _add_jobs(scheduler, service, agent, next_runs, postponed, share=number / len(agents))
    every_beat = Interval(seconds=BEAT, timezone="UTC")
    scheduler.add_job(heartbeat, every_beat, executor="beat", next_run_time=utc_now())
    discovery = _DiscoveryJob(
        scheduler, service, next_runs, postponed, {agent.id for agent in agents}
    )
    if discovers:
        trigger = incremental_trigger(service.settings.schedule)
        scheduler.add_job(
            discovery.run, trigger, id=DISCOVERY, executor=DISCOVERY, next_run_time=utc_now()
        )
    daily = Interval(days=1, timezone="UTC")
    scheduler.add_job(_prune, daily, [service], executor=RETENTION, next_run_time=utc_now())
    _add_lake(scheduler, service, stop)
    scheduler.start()
    watching = threading.Thread(target=watch, args=(service, scheduler, postponed), daemon=True)
    watching.start()
    stop.wait()
    service.observe(Stopping())
    watching.join()
    # A look at work changes jobs. It would wait for a lock that `shutdown` holds, and that for it.
    with discovery.lock:
        # A look for due jobs that `shutdown` comes amid doesn't find the job that it takes away
        # (APScheduler 3.11, `remove_job`). This waits for the look, and leaves nothing for others.
        scheduler.remove_all_jobs()
        scheduler.shutdown(wait=True)
    next_runs.drop()


def check_schedule(schedule: Schedule) -> None:
    """Raise ConfigError if the schedule can't be read."""
    triggers = {"schedule.cron": incremental_trigger(schedule)}
    triggers["schedule.reconcile"] = reconcile_trigger(schedule)
    for key, trigger in triggers.items():
        if trigger is not None and trigger.get_next_fire_time(None, utc_now()) is None:
            raise ConfigError(f"{key} never comes", "is there such a day in that month?")


def incremental_trigger(schedule: Schedule) -> Any:
    """The trigger of the incremental jobs. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.cron is not None:
        return _cron("schedule.cron", schedule.cron, schedule.timezone, jitter)
    return Interval(seconds=schedule.every.total_seconds(), timezone="UTC", jitter=jitter)


def reconcile_trigger(schedule: Schedule) -> Any:
    """The trigger of the reconcile jobs; None where they are off. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.reconcile == "off":
        return None
    every = reconcile_interval(schedule)
    if every is None:
        return _cron("schedule.reconcile", schedule.reconcile, schedule.timezone, jitter)
    return Interval(seconds=every.total_seconds(), timezone="UTC", jitter=jitter)


def ready_within(settings: Settings) -> timedelta:
    """How old an agent's last success may be: as configured, else four turns of the schedule."""
    if settings.service.ready_within is not None:
        return settings.service.ready_within
    every: timedelta = settings.schedule.every
    if settings.schedule.cron is not None:
        every = _longest_pause(incremental_trigger(settings.schedule), utc_now()) or every
    return max(SHORTEST_READY, TURNS * every)


def _longest_pause(trigger: Any, now: datetime) -> timedelta | None:
    """The longest time between two of a trigger's next firings; None if there are none."""
    fires: list[datetime] = []
    while len(fires) <= FIRINGS:
        at = trigger.get_next_fire_time(fires[-1] if fires else None, fires[-1] if fires else now)
        if at is None:
            break
        fires.append(at)
    return max((b - a for a, b in pairwise(fires)), default=None)


def reconcile_interval(schedule: Schedule) -> timedelta | None:
    """The time between two reconciles; None where a cron line or nothing tells it."""
    try:
        every = parse_duration(schedule.reconcile)
    except ValueError:
        return None
    if every <= timedelta(0):
        raise ConfigError("schedule.reconcile must be greater than zero", 'or "off"')
    return every


def second_sync(every: timedelta, now: datetime, share: float) -> datetime:
    """When an agent is synced next after the first time: agents take turns over the interval."""
    return now + every * (1 - share)


def first_reconcile(
    last: datetime | None, every: timedelta, now: datetime, share: float
) -> datetime:
    """When an agent's first reconcile is due: an interval after its last one.

    Agents that were never reconciled spread over the interval, by their `share` of it.
    """
    if last is None:
        return now + every * (0.5 + share / 2)
    return max(now, min(last, now) + every)


@dataclass(slots=True)
class _Jobs:
    """The jobs of one agent: one at a time in this process."""

    service: Service
    agent: Agent
    next_runs: NextRuns
    postponed: Postponed
    lock: threading.Lock = field(default_factory=threading.Lock)
    since: datetime = field(default_factory=utc_now)
    """Runs that began later are another process's."""

    def incremental(self) -> None:
        """Sync, unless a reconcile is at it, which sees what a sync would see."""
        if self.lock.acquire(blocking=False):
            try:
                self._run("incremental", self.service.settings.schedule.every)
                self.next_runs.keep(self.agent.id)
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
            if self._done_elsewhere(mode, every):
                return
            options = run_options(self.service.settings, mode, waits=False)
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

    def _done_elsewhere(self, mode: Mode, every: timedelta) -> bool:
        """Whether another process has just been at it. One that is still at it holds the lease."""
        now = utc_now()
        last = status.last_started(self.service.store, self.agent.id, mode, now)
        # The clock may have been set back since our own last run.
        return last is not None and last >= min(self.since, now) and now - last < every * RECENT


def _add_lake(scheduler: Any, service: Service, stop: threading.Event) -> None:
    """Carry over to the lake, if there is one, beside the syncs."""
    lake = service.settings.lake
    if lake.target is None:
        return
    job = LakeJob(service.store, lake, stop, service.observe)
    trigger = Interval(seconds=lake.every.total_seconds(), timezone="UTC")
    due = job.first_at(utc_now())
    scheduler.add_job(job.run, trigger, id=LAKE, executor=LAKE, next_run_time=due)


def _prune(service: Service) -> None:
    """Delete what is past its age; whatever happens is logged."""
    try:
        done = service.prune()
        if done != Pruned():
            service.observe(RetentionApplied(done))
    except Exception as error:
        service.observe(RetentionFailed(error))


@dataclass(slots=True)
class _DiscoveryJob:
    """Gives agents that are found their jobs, and takes them from those that are no more."""

    scheduler: Any
    service: Service
    next_runs: NextRuns
    postponed: Postponed
    scheduled: set[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Discover once, unless this is the end; whatever happens is logged."""
        if self.lock.acquire(blocking=False):
            try:
                self._discover()
            finally:
                self.lock.release()

    def _discover(self) -> None:
        """If a list can't be read, nobody loses a job."""
        if self.service.stop.is_set():
            return
        try:
            found = self.service.roster()
            if found.warnings or found.failures:
                told = DiscoveryIncomplete(len(found.failures), len(found.warnings))
                self.service.observe(told)
            wanted = {agent.id: agent for agent in found.agents}
            for id in () if found.failures else self.scheduled - wanted.keys():
                self._remove_agent(id)
            for id in wanted.keys() - self.scheduled:
                self._add_agent(wanted[id])
        except Stopped:
            return
        except RetryLater:
            self.postponed.add(DISCOVERY)
        except Exception as error:
            self.service.observe(DiscoveryFailed(error))

    def _add_agent(self, agent: Agent) -> None:
        self.scheduled.add(agent.id)
        try:
            _add_jobs(
                self.scheduler, self.service, agent, self.next_runs, self.postponed, random.random()
            )
        except BaseException:
            self._remove_agent(agent.id)
            raise
        self.service.observe(AgentFound(agent.id))

    def _remove_agent(self, agent_id: str) -> None:
        """Take the jobs away; a run under way goes on to its end."""
        for job in ("first", "incremental", "reconcile"):
            for id in (f"{job}:{agent_id}", f"{AGAIN}:{job}:{agent_id}"):
                with suppress(JobLookupError):
                    self.scheduler.remove_job(id)
        self.scheduled.discard(agent_id)
        self.service.observe(AgentGone(agent_id))
        self.next_runs.drop(agent_id)


def _add_jobs(
    scheduler: Any,
    service: Service,
    agent: Agent,
    next_runs: NextRuns,
    postponed: Postponed,
    share: float,
) -> None:
    schedule, now = service.settings.schedule, utc_now()
    jobs = _Jobs(service, agent, next_runs, postponed)
    first = DateTrigger(now + random.random() * schedule.jitter)
    scheduler.add_job(jobs.incremental, first, id=f"first:{agent.id}")
    turns = {} if schedule.cron else {"next_run_time": second_sync(schedule.every, now, share)}
    trigger = incremental_trigger(schedule)
    next_runs.expect(agent.id, turns.get("next_run_time") or trigger.get_next_fire_time(None, now))
    scheduler.add_job(jobs.incremental, trigger, id=f"{JOB}{agent.id}", **turns)
    trigger = reconcile_trigger(schedule)
    if trigger is None:
        return
    every = reconcile_interval(schedule)
    options = {}
    if every is not None:
        last = service.store.state(agent.id).last_reconciled_at
        options["next_run_time"] = first_reconcile(last, every, now, share)
    scheduler.add_job(jobs.reconcile, trigger, id=f"reconcile:{agent.id}", **options)


def _cron(key: str, line: str, zone: str, jitter: float | None) -> Any:
    try:
        trigger = Cron.from_crontab(line, timezone=zone)
    except ValueError as error:
        hint = 'five fields like "*/15 * * * *"'
        if key == "schedule.reconcile":
            hint = 'a duration like "1d", "off", or ' + hint
        raise ConfigError(f"{key} {line!r} can't be read: {error}", hint) from None
    trigger.jitter = jitter
    return trigger
