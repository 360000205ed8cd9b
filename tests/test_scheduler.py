"""The scheduler's end: nothing that is at work may keep it from coming. When cron lines fire."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.triggers.date import DateTrigger

from etl.clock import utc_now
from etl.config import Agent
from etl.input.config_file import convert_tables
from etl.models import Counts, Pruned
from etl.planning.run_demand import AgentState
from etl.service import agent_jobs
from etl.service.agent_jobs import AgentJobs
from etl.service.next_runs import NextRuns
from etl.service.schedule import (
    make_incremental_trigger,
    make_reconcile_trigger,
    plan_first_reconcile,
)
from etl.service.scheduler import run_scheduler
from etl.service.watch import Postponed
from etl.store.runs.lease import Lease
from etl.store.runs.runs import finish_run, start_run
from etl.store.store import Store
from etl.sync.discovery import AgentSelection
from tests.support.waiting import PATIENCE


class Looking:
    """A service whose look for agents lasts until the scheduler is asked to stop."""

    def __init__(self, store: Store | None = None) -> None:
        tables = {"discovery": {"own": True}, "schedule": {"reconcile": "off", "every": "1h"}}
        self.settings = convert_tables(tables, "test")
        self.stop = threading.Event()
        self.looks = threading.Event()
        self.found: list[str] = []
        self.store: Any = store or self

    def discover_agents(self) -> AgentSelection:
        self.looks.set()
        self.stop.wait(PATIENCE)
        # So that the scheduler is at its end when the agent is found.
        threading.Event().wait(0.3)
        return AgentSelection([Agent("late")])

    def transact(self, _work: Any) -> None:
        """Stands for the database, where the end of the scheduler is noted."""

    def prune(self) -> Pruned:
        return Pruned()

    def observe(self, event: Any) -> None:
        self.found += [event.agent_id] if hasattr(event, "agent_id") else []


def test_a_look_for_agents_under_way_does_not_keep_it_from_ending() -> None:
    service: Any = Looking()
    scheduler = threading.Thread(
        target=run_scheduler, args=(service, [], service.stop), daemon=True
    )
    scheduler.start()
    assert service.looks.wait(PATIENCE)

    service.stop.set()
    scheduler.join(PATIENCE)

    assert not scheduler.is_alive()
    assert service.found == ["late"]


def test_an_end_amid_a_look_for_due_jobs_is_quiet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Any = Looking(store)

    class Slow(DateTrigger):  # type: ignore[misc]
        """Asks for the end, and gives it time to come, where the job has just been handed over."""

        def get_next_fire_time(self, previous: datetime | None, now: datetime) -> Any:
            if previous is not None:
                service.stop.set()
                threading.Event().wait(0.3)
            return super().get_next_fire_time(previous, now)

    monkeypatch.setattr(agent_jobs, "DateTrigger", Slow)
    uncaught: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", uncaught.append)

    run_scheduler(service, [Agent("a")], service.stop)

    assert service.stop.is_set()
    assert not uncaught


@pytest.mark.parametrize(
    ("day", "hour"),
    [(datetime(2026, 1, 5, tzinfo=UTC), 5), (datetime(2026, 7, 6, tzinfo=UTC), 4)],
    ids=["winter", "summer"],
)
def test_cron_lines_are_of_the_configured_zone(day: datetime, hour: int) -> None:
    keys = {"cron": "0 6 * * *", "reconcile": "0 6 * * *", "timezone": "Europe/Vienna"}
    schedule = convert_tables({"schedule": keys}, "test").schedule

    for trigger in (make_incremental_trigger(schedule), make_reconcile_trigger(schedule)):
        assert trigger.get_next_fire_time(None, day) == day.replace(hour=hour)


@pytest.mark.parametrize(
    ("began", "counts"), [(-100, False), (5, True), (800, True), (820, False), (5000, False)]
)
def test_anothers_run_counts_if_it_was_lately_and_not_in_the_future(
    store: Store, began: int, counts: bool
) -> None:
    now = utc_now()
    lease = store.claim("a")
    assert isinstance(lease, Lease)
    at = now - timedelta(seconds=began)
    run = start_run(store, lease, "incremental", AgentState(), at)
    finish_run(store, run, "succeeded", Counts(), None, at)
    jobs = AgentJobs(Looking(store), Agent("a"), NextRuns(store), Postponed())  # type: ignore[arg-type]
    # Our own last run was told by a clock that has been set back since, or long ago.
    for since in (now + timedelta(hours=1), now - timedelta(hours=2)):
        jobs.since = since

        done = jobs._is_done_elsewhere("incremental", timedelta(minutes=15))

        assert done is (counts and since < now)


def test_a_reconcile_of_the_future_does_not_put_off_the_next() -> None:
    now, day = utc_now(), timedelta(days=1)

    assert plan_first_reconcile(now + timedelta(days=1500), day, now, 0.0) == now + day
    assert plan_first_reconcile(now - timedelta(hours=1), day, now, 0.0) == now + timedelta(
        hours=23
    )
