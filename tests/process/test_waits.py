"""A server that asks for a long wait, and what real processes make of it."""

import re
import time
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from etl.clock import utc_now
from etl.simulator import Fault, Simulator, World
from etl.store.schema import tables as t
from tests.cli.test_terminal import on_terminal
from tests.process.project import Project
from tests.process.watched import Watched

DAY = 86_400
# In the last minute of a day it is the midnight after tomorrow.
TOMORROW = re.compile(r"the API asks to come back at \d\d:\d\d UTC (tomorrow|on \d{4}-\d\d-\d\d)")


@pytest.fixture
def world() -> World:
    """Three agents with a short history."""
    return World.generate(agents=3, sessions=60, seed=11)


def slow_down(seconds: float, **more: object) -> Fault:
    fault = {"status": 429, "headers": {"Retry-After": str(seconds)}, "times": None, **more}
    return Fault("status", **fault)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words", [["backfill"], ["sync"], ["reconcile"], ["list"], ["agents"], ["check"]]
)
def test_a_command_ends_at_once_and_names_the_time(
    project: Project, world: World, api: Simulator, words: list[str]
) -> None:
    keys = {"own": True} if words == ["agents"] else {}
    project.configure(api.base_url, world.agent_ids(), discovery=keys, sync={"walkers": 1})
    api.add_fault(slow_down(DAY))

    words = [*words, world.agent_ids()[0]] if words == ["list"] else words
    done = project.run(*words)

    assert done.code == 1, done
    assert TOMORROW.search(done.err + done.out), done
    # Those under way when the first was answered, and no other.
    assert 1 <= len(api.requests) <= 3


def test_it_fails_gives_its_lease_back_and_goes_on_from_there(
    project: Project, world: World, api: Simulator
) -> None:
    agent = world.agent_ids()[0]
    project.configure(api.base_url, [agent], api={"page_size": 10, "concurrency": 2})
    api.add_fault(slow_down(DAY, after=3))
    done = project.run("backfill", "--json")

    run = done.json["agents"][0]
    assert (done.code, run["status"]) == (1, "failed")
    assert TOMORROW.search(run["error"])
    assert 0 < run["inserted"] < 60
    asked = len(api.requests)
    api.clear_faults()

    again = project.run("backfill", "--json")

    assert again.code == 0
    assert again.json["agents"][0]["inserted"] == 60 - run["inserted"]
    assert asked <= 3 + 2
    with closing(project.store()) as store:
        assert store.load_state(agent).watermark is not None


def test_the_scheduler_comes_back_then_and_not_before(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(
        api.base_url,
        world.agent_ids(),
        api={"max_wait": "1s"},
        schedule={"every": "0.5s"},
        service={"listen": "127.0.0.1:0"},
    )
    api.add_fault(slow_down(8, times=1))
    watched = Watched(project.start("run"))
    try:
        told = watched.await_event("retry_later")
        watched.await_metric("retry_later_seconds", 0.1)
        watched.await_metric("runs_total", agent=world.agent_ids()[2], status="succeeded")
        watched.await_ready()
        refused, *later = list(api.requests)
        skipped = len(watched.events("run_finished"))
        assert watched.ask("/healthz").json()["alive"]
        watched.stop()
    finally:
        watched.kill()

    # Those under way when the first was answered, and then no other.
    returned = [request for request in later if request.time > refused.time + 2]
    assert min(request.time for request in returned) - refused.time >= 8
    assert len(watched.events("retry_later")) == 1
    assert (told["http_status"], told["wait_seconds"]) == (429, 8)
    assert datetime.fromisoformat(told["until"]).timestamp() > time.time() - 60
    failed = [line for line in watched.events("run_finished") if line["status"] == "failed"]
    assert 1 <= len(failed) <= 3
    assert {line["reason"] for line in failed} == {"retry_later"}
    assert skipped >= len(failed)


def test_an_agent_that_is_not_due_soon_comes_back_then_too(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(
        api.base_url, world.agent_ids(), api={"max_wait": "1s"}, schedule={"every": "1h"}
    )
    api.add_fault(slow_down(4, times=1))
    watched = Watched(project.start("run"))
    try:
        for agent in world.agent_ids():
            watched.await_event("run_finished", agent=agent, status="succeeded")
        watched.stop()
    finally:
        watched.kill()


def test_a_shorter_wait_is_told_on_a_terminal_and_nowhere_else(
    project: Project, world: World, api: Simulator
) -> None:
    agent = world.agent_ids()[0]
    project.configure(api.base_url, world.agent_ids())
    api.add_fault(slow_down(4, times=1))

    shown = on_terminal(project, 100, "sync")
    api.add_fault(slow_down(4, times=1))
    listed = on_terminal(project, 100, "list", agent, "--limit", "1")
    api.add_fault(slow_down(4, times=1))
    piped = project.run("sync")

    assert sum(line.startswith("rate limited, going on in 4 s") for line in shown) == 1, shown
    assert listed[0] == "rate limited, going on in 4 s"
    assert piped.code == 0
    assert piped.err == ""
    assert "rate limited" not in piped.out


def test_a_clock_that_is_off_is_told(project: Project, world: World, api: Simulator) -> None:
    project.configure(
        api.base_url,
        world.agent_ids(),
        schedule={"every": "1h"},
        service={"listen": "127.0.0.1:0"},
    )
    api.clock_ahead = 3600

    checked, synced = project.run("check"), project.run("sync")

    assert checked.code == 1
    assert re.search(r"^FAIL clock: .*clock is 3\d\d\d s behind the API's", checked.out, re.M)
    assert synced.code == 0
    assert "s behind the API's" in synced.err
    watched = Watched(project.start("run"))
    try:
        line = watched.await_event("run_finished", status="succeeded")
        assert "behind the API's" in line["warnings"]
        assert -3600 <= (watched.metric("clock_skew_seconds") or 0) < -3500
        watched.stop()
    finally:
        watched.kill()


def test_a_clock_that_is_right_is_told_by_check_alone(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(api.base_url, world.agent_ids())

    checked, synced = project.run("check"), project.run("sync")

    assert checked.code == 0, checked
    assert "ok   clock: agrees with the API's" in checked.out
    assert (synced.code, synced.err) == (0, "")


def test_nothing_is_deleted_by_a_clock_that_is_ahead(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(api.base_url, world.agent_ids(), retention={"runs": "1h"})
    for _ in range(2):
        assert project.run("sync").code == 0
    with closing(project.store()) as store, store.engine.begin() as connection:
        old = utc_now() - timedelta(days=1)
        connection.execute(update(t.sync_runs).values(started_at=old))
    api.clock_ahead = -DAY

    ahead = project.run("sync")
    kept = len(project.run("runs", "--json").json["runs"])
    api.clock_ahead = 0
    right = project.run("sync")

    assert ahead.code == 1
    assert "retention: nothing is deleted by age: this machine's clock is" in ahead.err
    assert kept == 3 * len(world.agent_ids())
    assert right.code == 0
    assert len(project.run("runs", "--json").json["runs"]) < kept


def test_a_clock_that_is_ahead_fails_no_run_where_nothing_is_deleted_by_age(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(api.base_url, world.agent_ids())
    api.clock_ahead = -DAY

    assert project.run("sync").code == 0
