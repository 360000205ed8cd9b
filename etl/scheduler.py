"""When it runs: an incremental and a reconcile job per agent, by APScheduler, until a signal.

Incremental jobs run first at once; jobs are coalesced, and never skipped for being late. One that
fails records its run, and the schedule goes on. Several processes may share a database: an agent
that another one has just been at, or is at, is left alone.
"""

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from etl.api.client import utc_now
from etl.config import Agent, Schedule, parse_duration
from etl.errors import ConfigError, EtlError
from etl.models import AgentReport, Mode
from etl.service import Service, wish_of
from etl.store import reading

__all__ = ["check_schedule", "incremental_trigger", "reconcile_trigger", "run_scheduler"]

log: Final = logging.getLogger("etl.run")

RECENT: Final = 0.9
"""Another process's run counts for an interval if it began within this share of it."""


def run_scheduler(service: Service, agents: Sequence[Agent], stop: threading.Event) -> None:
    """Sync every agent on schedule until `stop` is set; then wait for the pages at hand."""
    at_once = max(1, min(len(agents), service.settings.api.concurrency))
    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={"default": ThreadPoolExecutor(at_once)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for number, agent in enumerate(agents):
        _add_jobs(scheduler, service, agent, share=number / len(agents))
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=True)


def check_schedule(schedule: Schedule) -> None:
    """Raise ConfigError if the schedule can't be read."""
    incremental_trigger(schedule)
    reconcile_trigger(schedule)


def incremental_trigger(schedule: Schedule) -> Any:
    """The trigger of the incremental jobs. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.cron is not None:
        return _cron("schedule.cron", schedule.cron, jitter)
    return IntervalTrigger(seconds=schedule.every.total_seconds(), timezone="UTC", jitter=jitter)


def reconcile_trigger(schedule: Schedule) -> Any:
    """The trigger of the reconcile jobs; None where they are off. Raises ConfigError."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.reconcile == "off":
        return None
    every = reconcile_interval(schedule)
    if every is None:
        return _cron("schedule.reconcile", schedule.reconcile, jitter)
    return IntervalTrigger(seconds=every.total_seconds(), timezone="UTC", jitter=jitter)


def reconcile_interval(schedule: Schedule) -> timedelta | None:
    """The time between two reconciles; None where a cron line or nothing tells it."""
    try:
        every = parse_duration(schedule.reconcile)
    except ValueError:
        return None
    if every <= timedelta(0):
        raise ConfigError("schedule.reconcile must be longer than nothing", 'or "off"')
    return every


def first_reconcile(
    last: datetime | None, every: timedelta, now: datetime, share: float
) -> datetime:
    """When an agent's first reconcile is due: an interval after its last one.

    Agents that were never reconciled spread over the interval, by their `share` of it.
    """
    if last is None:
        return now + every * (0.5 + share / 2)
    return max(now, last + every)


@dataclass(slots=True)
class _Jobs:
    """The jobs of one agent: one at a time in this process."""

    service: Service
    agent: Agent
    turn: threading.Lock = field(default_factory=threading.Lock)
    ran: bool = False

    def incremental(self) -> None:
        """Sync, unless a reconcile is at it, which sees what a sync would see."""
        if self.turn.acquire(blocking=False):
            try:
                self._run("incremental", self.service.settings.schedule.every)
            finally:
                self.turn.release()

    def reconcile(self) -> None:
        """Reconcile, after a sync that is under way."""
        with self.turn:
            every = reconcile_interval(self.service.settings.schedule) or timedelta(hours=1)
            self._run("reconcile", every)

    def _run(self, mode: Mode, every: timedelta) -> None:
        """One run; whatever happens is logged, since the scheduler would swallow it."""
        if self.service.stop.is_set():
            return
        try:
            if self.ran and self._done_elsewhere(mode, every):
                return
            self.ran = True
            wish = wish_of(self.service.settings, mode, waits=False)
            _log(self.service.sync_agent(self.agent, wish))
        except EtlError as error:
            log.warning("run_failed agent=%s mode=%s error=%s", self.agent.id, mode, error)
        except Exception:
            log.exception("run_crashed agent=%s mode=%s", self.agent.id, mode)

    def _done_elsewhere(self, mode: Mode, every: timedelta) -> bool:
        last = reading.last_started(self.service.store, self.agent.id, mode)
        return last is not None and utc_now() - last < every * RECENT


def _add_jobs(scheduler: Any, service: Service, agent: Agent, share: float) -> None:
    schedule, jobs, now = service.settings.schedule, _Jobs(service, agent), utc_now()
    scheduler.add_job(
        jobs.incremental,
        incremental_trigger(schedule),
        id=f"incremental:{agent.id}",
        next_run_time=now + random.random() * schedule.jitter,
    )
    trigger = reconcile_trigger(schedule)
    if trigger is None:
        return
    every = reconcile_interval(schedule)
    options = {}
    if every is not None:
        last = service.store.state(agent.id).last_reconciled_at
        options["next_run_time"] = first_reconcile(last, every, now, share)
    scheduler.add_job(jobs.reconcile, trigger, id=f"reconcile:{agent.id}", **options)


def _cron(key: str, line: str, jitter: float | None) -> Any:
    try:
        trigger = CronTrigger.from_crontab(line, timezone="UTC")
    except ValueError as error:
        hint = 'five fields like "*/15 * * * *"'
        raise ConfigError(f"{key} {line!r} can't be read: {error}", hint) from None
    trigger.jitter = jitter
    return trigger


def _log(report: AgentReport) -> None:
    c = report.counts
    counts = f"pages={c.pages} inserted={c.inserted} updated={c.updated} unchanged={c.unchanged}"
    line = (
        f"run_finished agent={report.agent_id} mode={report.mode} status={report.status} {counts}"
    )
    if done := report.transcripts:
        line += f" transcripts={done.fetched} transcripts_failed={done.failed}"
        line += f" transcripts_left={done.left}"
        if done.error:
            log.warning("transcripts_stopped agent=%s error=%s", report.agent_id, done.error)
    if report.error:
        log.warning("%s error=%s", line, report.error)
    else:
        log.info("%s", line)
