"""Saves in the database when this scheduler syncs each agent next: `status` shows it."""

from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

from etl.errors import StoreError
from etl.store.runs.lease import name_holder
from etl.store.runs.next_runs import clear_next_runs, save_next_run
from etl.store.store import Store

SYNC_JOB: Final = "incremental:"
"""What the id of an agent's repeated sync begins with."""


class NextRuns:
    """The times of the next syncs. If the database can't be written, only `status` lacks them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._me = name_holder()
        self._times: dict[str, datetime] = {}

    def learn(self, scheduler: Any, event: Any) -> None:
        """Learn when a job that begins comes next; at its end it may not ask the scheduler."""
        job = scheduler.get_job(event.job_id)
        if job is not None and event.job_id.startswith(SYNC_JOB) and job.next_run_time:
            self.expect(event.job_id.removeprefix(SYNC_JOB), job.next_run_time)

    def expect(self, agent_id: str, at: datetime) -> None:
        """Note when an agent is synced next."""
        self._times[agent_id] = at

    def save(self, agent_id: str) -> None:
        """Write an agent's time, after a run of it."""
        at = self._times.get(agent_id)
        if at is not None:
            now = self._store.now()
            save = partial(save_next_run, agent_id=agent_id, at=at, me=self._me, now=now)
            with suppress(StoreError):
                self._store.transact(save)

    def clear(self, agent_id: str | None = None) -> None:
        """The agent, or any agent, is synced no more by this process."""
        with suppress(StoreError):
            self._store.transact(partial(clear_next_runs, me=self._me, agent_id=agent_id))
