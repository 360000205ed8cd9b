"""`python -m etl run`, the scheduler, as a real process."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from etl.clock import utc_now
from etl.simulator import Fault, Simulator, World
from etl.store.read import status
from etl.store.schema import migrate
from etl.store.schema import tables as t
from tests.process.project import Done, Project
from tests.support.audit import differences, instant
from tests.support.waiting import until

AT_ONCE = 30.0
"""Seconds within which a process that was asked to stop must be over, on the slowest machine."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def world() -> World:
    """Two agents with a short history."""
    return World.generate(agents=2, sessions=120, seed=11)


@pytest.fixture
def start(anywhere: Project, world: World, api: Simulator) -> Iterator[Start]:
    """Starts the scheduler, which syncs every second; none outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def go(api_keys: dict[str, Any] | None = None, **schedule: str) -> "subprocess.Popen[str]":
        anywhere.configure(
            api.base_url,
            world.agent_ids(),
            api={"page_size": 40, **(api_keys or {})},
            schedule=schedule or {"every": "1s"},
        )
        started.append(anywhere.start("run"))
        return started[-1]

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def runs(project: Project, agent: str) -> list[dict[str, Any]]:
    """An agent's runs, the oldest first; none while there is no table yet."""
    if project.database.startswith("sqlite") and not (project.folder / "gumloop.db").exists():
        return []
    with closing(project.store()) as store:
        if migrate.read_revision(store.engine) != migrate.HEAD:
            return []
        return status.list_recent_runs(store, [agent], 1000)[::-1]


def statuses(project: Project, agent: str) -> list[str]:
    """How an agent's runs went."""
    return [run["status"] for run in runs(project, agent)]


def lines(done: Done) -> list[dict[str, Any]]:
    """The log of a process: a JSON document a line, and nothing else."""
    return [json.loads(line) for line in done.err.splitlines()]


def stop(project: Project, process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> Done:
    """Ask it to stop; it must be over soon."""
    process.send_signal(number)
    return project.finish(process, AT_ONCE)


def wrong(project: Project, world: World) -> list[str]:
    """How the database differs from the API's truth."""
    with closing(project.store()) as store:
        return [
            what
            for agent in world.agent_ids()
            for what in differences(store, world.sessions(agent), agent)
        ]


both = pytest.mark.parametrize("anywhere", ["sqlite", "postgres"], indirect=True)
one = pytest.mark.parametrize("anywhere", ["sqlite"], indirect=True)


@both
def test_it_syncs_at_once_and_again(anywhere: Project, world: World, start: Start) -> None:
    process = start()
    for agent in world.agent_ids():
        until(lambda agent=agent: "succeeded" in statuses(anywhere, agent), f"a run of {agent}")
    assert wrong(anywhere, world) == []
    new = [world.add_session(agent) for agent in world.agent_ids()]

    def all_there() -> bool:
        with closing(anywhere.store()) as store, store.connect() as connection:
            return set(connection.execute(select(t.sessions.c.id)).scalars()).issuperset(new)

    until(all_there, "the new sessions")
    done = stop(anywhere, process)

    assert (done.code, done.out) == (0, "")
    assert wrong(anywhere, world) == []
    assert runs(anywhere, world.agent_ids()[0])[0]["mode"] == "incremental"


@one
def test_the_first_run_does_not_wait_for_the_interval(
    anywhere: Project, world: World, start: Start
) -> None:
    process = start(every="7d")

    until(lambda: "succeeded" in statuses(anywhere, world.agent_ids()[0]), "the first run")

    assert stop(anywhere, process).code == 0


@one
def test_cron_lines_are_taken(anywhere: Project, world: World, start: Start) -> None:
    process = start(cron="0 0 1 1 *")

    for agent in world.agent_ids():
        until(lambda agent=agent: "succeeded" in statuses(anywhere, agent), f"a run of {agent}")

    done = stop(anywhere, process, signal.SIGINT)
    assert done.code == 0
    assert lines(done)[0]["schedule"] == "sync 0 0 1 1 *, reconcile every 1d (in UTC)"


@one
def test_a_failing_agent_is_recorded_while_the_other_goes_on(
    anywhere: Project, world: World, api: Simulator, start: Start
) -> None:
    broken, fine = world.agent_ids()
    api.add_fault(Fault("status", path=broken, status=500, message="It broke.", times=None))
    process = start({"max_attempts": 1})

    until(lambda: statuses(anywhere, broken).count("failed") >= 2, "two failed runs")
    until(lambda: statuses(anywhere, fine).count("succeeded") >= 2, "two good runs")
    assert "500" in runs(anywhere, broken)[0]["error"]
    api.clear_faults()
    until(lambda: "succeeded" in statuses(anywhere, broken), "its recovery")
    done = stop(anywhere, process)

    assert done.code == 0
    ended = [line for line in lines(done) if line["event"] == "run_finished"]
    failed = [line for line in ended if line["status"] == "failed"]
    assert {(line["agent"], line["http_status"]) for line in failed} == {(broken, 500)}
    assert {line["agent"] for line in ended if line["status"] == "succeeded"} == {broken, fine}
    assert "failed" not in statuses(anywhere, fine)
    assert wrong(anywhere, world) == []


@one
def test_it_starts_while_the_api_is_away(
    anywhere: Project, world: World, api: Simulator, start: Start
) -> None:
    agent = world.agent_ids()[0]
    api.stop()
    process = start({"max_attempts": 1})
    until(lambda: "failed" in statuses(anywhere, agent), "a failed run")

    api.start()

    until(lambda: "succeeded" in statuses(anywhere, agent), "its recovery")
    assert stop(anywhere, process).code == 0


@both
def test_stopped_while_an_answer_is_late(
    anywhere: Project, world: World, api: Simulator, start: Start
) -> None:
    api.add_fault(Fault("latency", seconds=300.0, path="cursor=", after=2, times=None))
    process = start({"timeout": 600})
    until(lambda: sum("cursor=" in r.query for r in list(api.requests)) >= 3, "the late request")

    done = stop(anywhere, process)

    assert done.code == 0
    api.clear_faults()
    assert anywhere.run("sync").code == 0
    assert wrong(anywhere, world) == []


@one
def test_stopped_while_an_answer_trickles(anywhere: Project, api: Simulator, start: Start) -> None:
    api.add_fault(Fault("stall", seconds=300.0, times=None))
    process = start({"timeout": 600})
    until(lambda: api.requests, "a request")

    assert stop(anywhere, process).code == 0


@both
@pytest.mark.parametrize("status", [429, 503])
def test_stopped_during_a_long_retry_after(
    anywhere: Project, api: Simulator, start: Start, status: int
) -> None:
    headers = {"Retry-After": "600"}
    api.add_fault(Fault("status", status=status, headers=headers, times=None))
    process = start()
    until(lambda: api.requests, "a request")

    assert stop(anywhere, process).code == 0


@one
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_stopped_in_the_middle_it_saves_the_page_at_hand(
    anywhere: Project, world: World, api: Simulator, start: Start, number: signal.Signals
) -> None:
    agent = world.agent_ids()[0]
    now = datetime.now(UTC)
    for day in range(400):
        world.add_session(agent, created_at=now - timedelta(hours=day))
    process = start({"page_size": 10})
    until(lambda: sum("page_size=10" in r.query for r in list(api.requests)) >= 6, "some pages")

    done = stop(anywhere, process, number)

    assert done.code == 0
    assert "interrupted" in statuses(anywhere, agent)
    run = runs(anywhere, agent)[0]
    assert run["inserted"] > 0
    assert anywhere.run("sync").code == 0
    assert wrong(anywhere, world) == []


@one
def test_two_schedulers_share_the_work(anywhere: Project, world: World, start: Start) -> None:
    first, second = start(), start()
    agent = world.agent_ids()[0]
    until(lambda: statuses(anywhere, agent).count("succeeded") >= 3, "some runs")

    codes = {stop(anywhere, first).code, stop(anywhere, second).code}

    assert codes == {0}
    assert "interrupted" not in statuses(anywhere, agent)[:-2]
    assert wrong(anywhere, world) == []


def test_status_tells_the_next_run_while_a_scheduler_is_at_work(
    start: Start, anywhere: Project, world: World
) -> None:
    def next_runs() -> list[str]:
        done = anywhere.run("status", "--json")
        return [one["next_run_at"] for one in done.json["agents"]] if done.code == 0 else []

    process = start(every="1h")
    at = until(lambda: all(found := next_runs()) and found, "every agent has a next run")
    assert len(at) == len(world.agent_ids())
    assert all(utc_now() < instant(one) <= utc_now() + timedelta(hours=1) for one in at)
    assert "next run" in anywhere.run("status").out

    stop(anywhere, process)

    assert next_runs() == [None, None]
    assert "next run" not in anywhere.run("status").out
