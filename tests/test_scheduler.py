"""The scheduler's end: nothing that is at work may keep it from coming."""

import threading
from typing import Any

from etl import config
from etl.config import Agent
from etl.models import Pruned
from etl.service.scheduler import run_scheduler
from etl.sync.discovery import AgentSelection
from tests.support.waiting import PATIENCE


class Looking:
    """A service whose look for agents lasts until the scheduler is asked to stop."""

    def __init__(self) -> None:
        tables = {"discovery": {"own": True}, "schedule": {"reconcile": "off", "every": "1h"}}
        self.settings = config.check(tables, "test")
        self.stop = threading.Event()
        self.looks = threading.Event()
        self.found: list[str] = []

    def roster(self) -> AgentSelection:
        self.looks.set()
        self.stop.wait(PATIENCE)
        # So that the scheduler is at its end when the agent is found.
        threading.Event().wait(0.3)
        return AgentSelection([Agent("late")])

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
