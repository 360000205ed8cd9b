"""When it runs: an incremental job per agent, by APScheduler, until a signal.

Jobs run first at once, are coalesced, and are never skipped for being late. A job that fails
records its run; the schedule goes on.
"""

import logging
import random
import threading
from datetime import datetime, timedelta
from typing import Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from etl.api.client import utc_now
from etl.config import Agent, Schedule
from etl.errors import ConfigError
from etl.models import AgentReport
from etl.service import Service, wish_of

__all__ = ["run_scheduler", "trigger_of"]

log: Final = logging.getLogger("etl.run")


def run_scheduler(service: Service, agents: list[Agent], stop: threading.Event) -> None:
    """Sync every agent on schedule until `stop` is set; then wait for the pages at hand."""
    schedule = service.settings.schedule
    at_once = max(1, min(len(agents), service.settings.api.concurrency))
    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={"default": ThreadPoolExecutor(at_once)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for agent in agents:
        scheduler.add_job(
            _sync,
            trigger_of(schedule),
            args=(service, agent),
            id=f"incremental:{agent.id}",
            next_run_time=first_run(schedule, utc_now(), random.random()),
        )
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=True)


def trigger_of(schedule: Schedule) -> Any:
    """The trigger that the schedule asks for. Raises ConfigError for a cron line that isn't one."""
    jitter = schedule.jitter.total_seconds() or None
    if schedule.cron is None:
        return IntervalTrigger(
            seconds=schedule.every.total_seconds(), timezone="UTC", jitter=jitter
        )
    try:
        trigger = CronTrigger.from_crontab(schedule.cron, timezone="UTC")
    except ValueError as error:
        hint = 'five fields like "*/15 * * * *"'
        raise ConfigError(f"schedule.cron {schedule.cron!r} can't be read: {error}", hint) from None
    trigger.jitter = jitter
    return trigger


def first_run(schedule: Schedule, now: datetime, draw: float) -> datetime:
    """At once, within the jitter."""
    return now + timedelta(seconds=draw * schedule.jitter.total_seconds())


def _sync(service: Service, agent: Agent) -> None:
    """One job; whatever happens is logged, since the scheduler would swallow it."""
    try:
        report = service.sync_agent(agent, wish_of(service.settings, "incremental"))
    except Exception:
        log.exception("run_crashed agent=%s", agent.id)
        return
    _log(report)


def _log(report: AgentReport) -> None:
    c = report.counts
    counts = f"inserted={c.inserted} updated={c.updated} unchanged={c.unchanged}"
    line = f"run_finished agent={report.agent_id} status={report.status} pages={c.pages} {counts}"
    if report.error:
        log.warning("%s error=%s", line, report.error)
    else:
        log.info("%s", line)
