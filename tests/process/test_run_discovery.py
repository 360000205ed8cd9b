"""`python -m etl run` with agents that are found: they come and go without a restart."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from etl.simulator import Fault, Simulator, World
from etl.store.read import status
from etl.store.schema import migrate
from tests.process.project import Project
from tests.support.waiting import until

LISTS = r"/agents\?|/teams"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def world() -> World:
    """Two agents of our own with a short history."""
    return World.generate(agents=2, sessions=30, seed=11)


@pytest.fixture
def start(project: Project, api: Simulator) -> Iterator[Start]:
    """Starts the scheduler, which looks and syncs every second; none outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def go(*typed: str) -> "subprocess.Popen[str]":
        schedule = {"every": "1s", "reconcile": "2s"}
        keys = {"api": {"max_attempts": 1}, "schedule": schedule, "discovery": {"own": True}}
        project.configure(api.base_url, typed, **keys)
        started.append(project.start("run"))
        return started[-1]

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def modes(project: Project, agent: str) -> list[str]:
    """The modes of an agent's runs that went well."""
    if not (project.folder / "gumloop.db").exists():
        return []
    with closing(project.store()) as store:
        if migrate.read_revision(store.engine) != migrate.HEAD:
            return []
        found = status.list_recent_runs(store, [agent], 1000)
        return [run["mode"] for run in found if run["status"] == "succeeded"]


def asked_for(api: Simulator, agent: str) -> int:
    return sum(agent in request.path for request in list(api.requests))


def looks(api: Simulator) -> int:
    return sum(request.path.endswith("/agents") for request in list(api.requests))


def stop(project: Project, process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGTERM)
    done = project.finish(process)
    assert (done.code, done.out) == (0, "")
    return done.err


def told(lines: str) -> list[tuple[str, str | None]]:
    """The events of a log, each with its agent."""
    found = [json.loads(line) for line in lines.splitlines()]
    return [(line["event"], line.get("agent")) for line in found]


def test_agents_get_and_lose_their_jobs(
    project: Project, world: World, api: Simulator, start: Start
) -> None:
    stays, goes = world.agent_ids()
    process = start()
    until(lambda: modes(project, goes), "a sync of the agent that goes")
    came = world.add_agent("New here")
    world.add_session(came)

    until(lambda: {"incremental", "reconcile"} <= set(modes(project, came)), "both of its jobs")
    world.retire_agent(goes)
    seen = looks(api)
    until(lambda: looks(api) >= seen + 3, "some looks")
    before = asked_for(api, goes)
    synced = len(modes(project, stays))
    until(lambda: len(modes(project, stays)) > synced + 2, "more syncs of the one that stays")

    assert asked_for(api, goes) == before
    world.return_agent(goes)
    until(lambda: asked_for(api, goes) > before, "its return")
    said = told(stop(project, process))
    assert ("agent_found", came) in said
    assert ("agent_gone", goes) in said


def test_nobody_loses_a_job_while_the_lists_are_away(
    project: Project, world: World, api: Simulator, start: Start
) -> None:
    process = start(typed := world.agent_ids()[0])
    found = world.agent_ids()[1]
    until(lambda: modes(project, found), "a sync of the one that is found")
    api.add_fault(Fault("status", path=LISTS, status=503, times=None))
    seen, synced = looks(api), len(modes(project, found))

    until(lambda: looks(api) >= seen + 3, "some looks in vain")
    until(lambda: len(modes(project, found)) > synced + 2, "syncs all the same")

    events = [event for event, _ in told(stop(project, process))]
    assert modes(project, typed)
    assert "discovery_incomplete" in events
    assert "agent_gone" not in events


def test_it_starts_in_an_outage_with_those_that_were_found_before(
    project: Project, world: World, api: Simulator, start: Start
) -> None:
    process = start()
    until(lambda: all(modes(project, id) for id in world.agent_ids()), "a sync of both")
    stop(project, process)
    api.add_fault(Fault("status", path=LISTS, status=503, times=None))
    before = {id: len(modes(project, id)) for id in world.agent_ids()}

    process = start()

    until(lambda: all(len(modes(project, id)) > before[id] for id in before), "syncs of both")
    stop(project, process)


def test_it_starts_while_there_is_no_agent_yet(
    project: Project, world: World, api: Simulator, start: Start
) -> None:
    agents = world.agent_ids()
    for id in agents:
        world.retire_agent(id)
    process = start()
    until(lambda: looks(api) >= 2, "some looks")

    world.return_agent(agents[0])

    until(lambda: modes(project, world.agent_ids()[0]), "its first sync")
    stop(project, process)
