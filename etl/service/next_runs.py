"""Saves in the database when this scheduler syncs each agent next: `status` shows it."""

from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_SUBMITTED

from etl.errors import StoreError
from etl.store.runs.lease import holder
from etl.store.runs.next_runs import clear_next_runs, save_next_run
from etl.store.store import Store

JOB = "incremental:"
"""What the id of an agent's repeated sync begins with."""


class NextRuns:
    """The times of the next syncs. If the database can't be written, only `status` lacks them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._me = holder()
        self._times: dict[str, datetime] = {}

    def follow(self, scheduler: Any) -> None:
        """Learn the times from a scheduler, in its own thread: a job may not ask it at its end."""

        def learn(event: Any) -> None:
            job = scheduler.get_job(event.job_id)
            if job is not None and event.job_id.startswith(JOB) and job.next_run_time:
                self.expect(event.job_id.removeprefix(JOB), job.next_run_time)

        scheduler.add_listener(learn, EVENT_JOB_SUBMITTED)

    def expect(self, agent_id: str, at: datetime) -> None:
        """Learn one time."""
        self._times[agent_id] = at

    def save(self, agent_id: str) -> None:
        """Write an agent's time, after a run of it."""
        at = self._times.get(agent_id)
        if at is not None:
            now = self._store.now()
            self._write(partial(save_next_run, agent_id=agent_id, at=at, me=self._me, now=now))

    def clear(self, agent_id: str | None = None) -> None:
        """The agent, or any agent, is synced no more by this process."""
        self._write(partial(clear_next_runs, me=self._me, agent_id=agent_id))

    def _write(self, work: Any) -> None:
        with suppress(StoreError):
            self._store.transact(work)
