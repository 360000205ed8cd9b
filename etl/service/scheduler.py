"""When it runs: an incremental and a reconcile job per agent, by APScheduler, until a signal.

Every agent is synced once at the start, then in turn over the interval; jobs are coalesced, and
never skipped for being late. One that fails records its run, and the schedule goes on. Several
processes may share a database: an agent that another one has just been at, or is at, is left alone.
"""

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from etl.clock import utc_now
from etl.config import Agent
from etl.events import RetentionApplied, RetentionFailed, ServiceStopping
from etl.models import Pruned
from etl.service.agent_jobs import AgentJobs
from etl.service.discovery_job import DISCOVERY, DiscoveryJob
from etl.service.lake_job import LakeJob
from etl.service.next_runs import NextRuns
from etl.service.runs import Service
from etl.service.schedule import make_incremental_trigger
from etl.service.triggers import Interval
from etl.service.watch import Postponed, watch

HEARTBEAT_PAUSE: Final = 5
"""Seconds between two signs of life of the scheduler's thread."""

RETENTION: Final = "retention"
LAKE: Final = "lake"


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
    scheduler.add_listener(partial(next_runs.learn, scheduler), EVENT_JOB_SUBMITTED)
    postponed = Postponed()
    # In an order of its own, so that processes that start together share the agents out.
    for number, agent in enumerate(random.sample(agents, len(agents))):
        jobs = AgentJobs(service, agent, next_runs, postponed)
        jobs.add_to(scheduler, share=number / len(agents))
    every_beat = Interval(seconds=HEARTBEAT_PAUSE, timezone="UTC")
    scheduler.add_job(heartbeat, every_beat, executor="beat", next_run_time=utc_now())
    discovery = DiscoveryJob(
        scheduler, service, next_runs, postponed, {agent.id for agent in agents}
    )
    if discovers:
        trigger = make_incremental_trigger(service.settings.schedule)
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
    service.observe(ServiceStopping())
    watching.join()
    # A look at work changes jobs. It would wait for a lock that `shutdown` holds, and that for it.
    with discovery.lock:
        # If `shutdown` comes while APScheduler 3.11 looks for due jobs, the look no longer finds
        # the job that it removes, and fails. This waits for the look, and leaves no job to others.
        scheduler.remove_all_jobs()
        scheduler.shutdown(wait=True)
    next_runs.clear()


def _add_lake(scheduler: Any, service: Service, stop: threading.Event) -> None:
    """Carry over to the lake, if there is one, beside the syncs."""
    lake = service.settings.lake
    if lake.target is None:
        return
    job = LakeJob(service.store, lake, stop, service.observe)
    trigger = Interval(seconds=lake.every.total_seconds(), timezone="UTC")
    due = job.find_first_time(utc_now())
    scheduler.add_job(job.run, trigger, id=LAKE, executor=LAKE, next_run_time=due)


def _prune(service: Service) -> None:
    """Delete what is past its age; whatever happens is logged."""
    try:
        pruned = service.prune()
        if pruned != Pruned():
            service.observe(RetentionApplied(pruned))
    except Exception as error:
        service.observe(RetentionFailed(error))
