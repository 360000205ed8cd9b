"""The job that looks for agents, and gives and takes their jobs."""

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from etl.config import Agent
from etl.errors import RetryLater, Stopped
from etl.events import AgentFound, AgentGone, DiscoveryFailed, DiscoveryIncomplete
from etl.service.agent_jobs import AgentJobs, remove_agent_jobs
from etl.service.next_runs import NextRuns
from etl.service.runs import Service
from etl.service.watch import Postponed

DISCOVERY = "discovery"
"""The job's id, and its executor's."""


@dataclass(slots=True)
class DiscoveryJob:
    """Gives agents that are found their jobs, and takes them from those that are no more."""

    scheduler: Any
    service: Service
    next_runs: NextRuns
    postponed: Postponed
    scheduled: set[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Discover once, unless the service is stopping; whatever happens is logged."""
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
            selection = self.service.discover_agents()
            failures, warnings = len(selection.failures), len(selection.warnings)
            if failures or warnings:
                self.service.observe(DiscoveryIncomplete(failures, warnings))
            wanted = {agent.id: agent for agent in selection.agents}
            for id in () if failures else self.scheduled - wanted.keys():
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
        jobs = AgentJobs(self.service, agent, self.next_runs, self.postponed)
        try:
            jobs.add_to(self.scheduler, random.random())
        except BaseException:
            self._remove_agent(agent.id)
            raise
        self.service.observe(AgentFound(agent.id))

    def _remove_agent(self, agent_id: str) -> None:
        remove_agent_jobs(self.scheduler, agent_id)
        self.scheduled.discard(agent_id)
        self.service.observe(AgentGone(agent_id))
        self.next_runs.clear(agent_id)
