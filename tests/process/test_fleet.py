"""Four schedulers share one PostgreSQL: killed, frozen and woken, they never work on one agent at
once, and leave nothing undone.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from etl.simulator import Simulator, World
from etl.store.read import status
from tests.process.project import SECRET, Project
from tests.process.watched import Watched
from tests.support.audit import differences
from tests.support.postgres import Cluster
from tests.support.waiting import PATIENCE, until

WORKERS = 4
LONG = 4_500
"""Sessions of the agent whose first run lasts some seconds; settled, or each run retrieves all."""

LEASE_OVER = 2 * PATIENCE
"""Seconds within which a lease of 30 s must have run out and been taken over."""


@pytest.fixture
def world() -> World:
    """Forty agents with a page or two, one of them with many."""
    world = World.generate(agents=40, sessions=45, seed=23)
    for _ in range(LONG):
        world.add_session(world.agent_ids()[0], state="completed")
    return world


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    """The API, slow enough for a run to be caught at work."""
    with Simulator(world, token=SECRET, latency=0.03) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, postgres: Cluster, api: Simulator, world: World) -> Iterator[Project]:
    """A folder with a database on a server."""
    url = postgres.fresh()
    project = Project(tmp_path, database=url)
    keys = {"page_size": 20, "concurrency": 4}
    project.configure(api.base_url, world.agent_ids(), api=keys, schedule={"every": "10s"})
    assert project.run("db", "upgrade").code == 0
    yield project
    postgres.drop(url)


@pytest.fixture
def hire(project: Project) -> Iterator[Callable[[], Watched]]:
    """Starts a worker; none outlives its test."""
    hired: list[Watched] = []

    def go() -> Watched:
        hired.append(Watched(project.start("run")))
        return hired[-1]

    yield go
    for worker in hired:
        worker.kill()


def runs(project: Project, agent: str) -> list[dict[str, Any]]:
    """An agent's runs, the oldest first."""
    with closing(project.store()) as store:
        return status.list_recent_runs(store, [agent], 1000)[::-1]


def succeeded(worker: Watched) -> set[str]:
    """The agents that this worker brought up to date."""
    return {e["agent"] for e in worker.events("run_finished") if e["status"] == "succeeded"}


def wrong(project: Project, world: World) -> list[str]:
    """How the database differs from the API's truth."""
    with closing(project.store()) as store:
        found = (differences(store, world.sessions(id), id) for id in world.agent_ids())
        return [what for some in found for what in some]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_workers_share_the_agents_and_survive_each_other(
    project: Project, world: World, hire: Callable[[], Watched]
) -> None:
    workers = [hire() for _ in range(WORKERS)]
    slow = world.agent_ids()[0]

    def at_work() -> Watched | None:
        begun = (w for w in workers if any(e["agent"] == slow for e in w.events("run_started")))
        return next(begun, None)

    frozen = until(at_work, "a worker at the long history")
    until(lambda: sum(run["pages"] for run in runs(project, slow)), "a page of it")
    frozen.process.send_signal(signal.SIGSTOP)
    held = runs(project, slow)[-1]
    assert held["status"] == "running"
    others = [worker for worker in workers if worker is not frozen]
    others[0].process.kill()
    others[0].process.wait()
    others[0] = hire()

    def everybody() -> bool:
        return set().union(*map(succeeded, workers), succeeded(others[0])) >= {*world.agent_ids()}

    until(everybody, "a success of every agent", LEASE_OVER)
    buried = next(run for run in runs(project, slow) if run["id"] == held["id"])
    assert buried["status"] == "interrupted"
    assert any(worker.events("lease_taken_over") for worker in others)

    frozen.process.send_signal(signal.SIGCONT)
    frozen.await_event("lease_lost", agent=slow)
    new = [world.add_session(id) for id in world.agent_ids()]
    until(lambda: not wrong(project, world), f"{len(new)} new sessions", LEASE_OVER)
    for worker in (*others, frozen):
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.process.wait(PATIENCE) for worker in (*others, frozen)] == [0] * WORKERS

    assert next(run for run in runs(project, slow) if run["id"] == held["id"]) == buried
    assert all(len(succeeded(worker)) > len(world.agent_ids()) // 20 for worker in others)
    for agent in world.agent_ids():
        for before, after in pairwise(runs(project, agent)):
            assert before["finished_at"] <= after["started_at"], (before, after)
    assert wrong(project, world) == []
