"""`kill -9` at random instants of `backfill` and `sync`, then the same command again.

`ETL_TEST_SEED` replays the instants of a failed test, `ETL_TEST_KILLS` asks for more of them.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from etl.simulator import Simulator, World
from etl.simulator.http.server import RequestRecord
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.process.project import Project
from tests.process.traffic import fetched_twice, pages, walks
from tests.support.audit import differences, instant
from tests.support.waiting import PATIENCE, until

SEED = int(os.environ.get("ETL_TEST_SEED") or random.SystemRandom().randrange(2**32))
KILLS = int(os.environ.get("ETL_TEST_KILLS") or 0)
PAGE = 40
TIMES = {"sqlite": KILLS or 6, "postgres": KILLS or 4}
KILLED = [pytest.param(name, n, id=f"{name}-{n}") for name in TIMES for n in range(TIMES[name])]
PAGES_TWICE = 3
"""Pages per walk that may be fetched again: the one under way, the one that is being saved, and
the one before, since a walk that enters at a stored cursor proves only what lies beyond its first
row."""


@dataclass(slots=True)
class Trigger:
    """Strikes a process when the API has been asked so often, and a moment later."""

    api: Simulator
    rng: random.Random
    asked: int = 0
    at: int = 0
    struck: float = 0.0
    due: threading.Event = None  # type: ignore[assignment]

    def arm(self, at: int) -> None:
        """Wait for that many requests from now on."""
        self.asked, self.at, self.due = 0, at, threading.Event()
        self.api.on_request = self.count

    def count(self, _: RequestRecord) -> None:
        """One more; the answer is as late as a network makes it."""
        self.api.latency = self.rng.uniform(0.015, 0.04)
        self.asked += 1
        if self.asked >= self.at:
            self.due.set()

    def strike(self, process: "subprocess.Popen[str]", number: int, pause: float) -> bool:
        """Send the signal; False if the process was over before."""
        until(lambda: self.due.is_set() or process.poll() is not None, "the requests")
        time.sleep(pause)
        self.struck = time.time()
        process.send_signal(number)
        return process.poll() is None


def answered(requests: list[RequestRecord], trigger: Trigger) -> list[RequestRecord]:
    """Those whose answer was sent before the process died; any latency is 15 ms at least."""
    return [request for request in requests if request.time + 0.015 < trigger.struck]


@contextmanager
def dying(
    project: Project, words: tuple[str, ...], trigger: Trigger, pause: float
) -> Iterator[None]:
    """A command that gets SIGKILL."""
    process = project.start(*words)
    trigger.strike(process, signal.SIGKILL, pause)
    process.communicate(timeout=PATIENCE)
    yield


def add_spread(world: World, agent: str, count: int) -> None:
    """New sessions, none of them older than `lookback`."""
    now = datetime.now(UTC)
    for number in range(count):
        world.add_session(agent, created_at=now - timedelta(seconds=6 * (number + 1)))


def rows(store: Store, query: Any) -> list[Any]:
    """What a query brings."""
    with store.connect() as connection:
        return list(connection.execute(query))


def check_all(project: Project, world: World) -> None:
    """The database is the API's truth, each session and state once, the watermark at its top."""
    with closing(project.store()) as store:
        for agent in world.agent_ids():
            check_agent(store, agent, world.sessions(agent))
        statuses = {row.status for row in rows(store, select(t.sync_runs.c.status))}
        assert statuses <= {"succeeded", "interrupted"}


def check_agent(store: Store, agent: str, truth: list[Any]) -> None:
    """The same for one agent; what the runs counted adds up, and nothing is left to do."""
    assert differences(store, truth, agent) == []
    assert store.load_state(agent).watermark == max(instant(s["created_at"]) for s in truth)
    assert store.load_state(agent).demand is None
    mine = t.sessions.c.agent_id == agent
    both = t.session_states.join(t.sessions, t.session_states.c.session_id == t.sessions.c.id)
    states = select(func.count()).select_from(both).where(mine)
    assert rows(store, states) == [(len(truth),)]
    inserted = select(func.sum(t.sync_runs.c.inserted)).where(t.sync_runs.c.agent_id == agent)
    assert int(rows(store, inserted)[0][0]) == len(truth)


@pytest.mark.parametrize(("anywhere", "number"), KILLED, indirect=["anywhere"])
def test_killed_at_any_instant(
    anywhere: Project, world: World, api: Simulator, number: int
) -> None:
    command = ("backfill", "sync")[number % 2]
    rng = random.Random(f"{SEED}-{number}-{command}")
    print(f"replay with ETL_TEST_SEED={SEED}")
    anywhere.configure(api.base_url, world.agent_ids(), api={"page_size": PAGE})
    if command == "sync":
        assert anywhere.run("backfill").code == 0
        for agent in world.agent_ids():
            add_spread(world, agent, rng.randrange(200, 500))
    trigger = Trigger(api, rng)
    # Two agents with fifteen pages each and some more requests besides; 0: before the first one.
    trigger.arm(rng.choice([0, *range(1, 30)]))
    pause = rng.uniform(0, 0.04) if trigger.at else rng.uniform(0, 0.6)
    api.clear_requests()

    with dying(anywhere, (command,), trigger, pause):
        before = answered(list(api.requests), trigger)
    api.clear_requests()
    done = anywhere.run(command, "--json")

    assert done.code == 0, done
    check_all(anywhere, world)
    was, again = pages(world, before, PAGE), pages(world, list(api.requests), PAGE)
    # Counted by cursors: those that were asked for, and answered, before the kill, and asked for
    # again after it. The head page has no cursor; it is looked at again in any case, since time
    # has passed. A walk of the first run is a chain of cursors.
    twice = {page.key for page in was if page.cursor} & {page.key for page in again}
    print(f"{len(was)} pages in {walks(was)} walks, {len(again)} more, {len(twice)} of them again")
    assert len(twice) <= PAGES_TWICE * walks(was)


@pytest.mark.parametrize("command", ["backfill", "sync"])
def test_killed_again_and_again(
    project: Project, world: World, api: Simulator, command: str
) -> None:
    rng = random.Random(f"{SEED}-again-{command}")
    print(f"replay with ETL_TEST_SEED={SEED}")
    project.configure(api.base_url, world.agent_ids(), api={"page_size": 20})
    trigger = Trigger(api, rng)
    for _ in range(5):
        trigger.arm(rng.randrange(4, 14))
        with dying(project, (command,), trigger, rng.uniform(0, 0.04)):
            pass

    assert project.run(command).code == 0

    check_all(project, world)


def pages_twice_after_stop(count: int) -> int:
    """Pages that are fetched again at most where so many walks of an agent were asked to stop.

    Each goes on from its last page, and the newest page is looked at again. Where there was a walk
    amid the list, the one from above arrives with a page that reaches into what it has fetched.
    """
    return count + 1 + max(0, count - 2)


@pytest.mark.parametrize(
    ("command", "number"),
    [("backfill", signal.SIGTERM), ("sync", signal.SIGINT), ("reconcile", signal.SIGTERM)],
    ids=["backfill", "sync", "reconcile"],
)
@pytest.mark.parametrize("anywhere", ["sqlite", "postgres"], indirect=True)
def test_asked_to_stop_in_the_middle(
    anywhere: Project, world: World, api: Simulator, command: str, number: signal.Signals
) -> None:
    anywhere.configure(api.base_url, world.agent_ids(), api={"page_size": PAGE})
    trigger = Trigger(api, random.Random(SEED))
    trigger.arm(9)
    process = anywhere.start(command, "--json")
    assert trigger.strike(process, number, 0)

    done = anywhere.finish(process)

    assert (done.code, done.json["status"]) == (130, "interrupted")
    assert "the same command goes on from there" in done.err
    asked = pages(world, list(api.requests), PAGE)
    store = anywhere.store()
    stored = {row.id for row in rows(store, select(t.sessions.c.id))}
    statuses = {row.status for row in rows(store, select(t.sync_runs.c.status))}
    store.close()
    # The page at hand is saved: whatever was asked for before the end is there.
    assert {id for page in asked for id in page.ids} <= stored
    assert len(stored) < 1200
    assert statuses == {"interrupted"}
    api.clear_requests()

    assert anywhere.run(command).code == 0

    check_all(anywhere, world)
    again = pages(world, list(api.requests), PAGE)
    assert fetched_twice(asked, again) <= PAGE * sum(
        pages_twice_after_stop(walks([page for page in asked if page.agent_id == agent]))
        for agent in world.agent_ids()
    )


def test_a_restart_that_is_stopped_does_not_claim_to_go_on(
    project: Project, world: World, api: Simulator
) -> None:
    project.configure(api.base_url, world.agent_ids(), api={"page_size": PAGE})
    trigger = Trigger(api, random.Random(SEED))
    trigger.arm(9)
    process = project.start("backfill", "--restart")
    assert trigger.strike(process, signal.SIGINT, 0)

    done = project.finish(process)

    assert "stopping: saving the page at hand\n" in done.err


def test_a_second_signal_ends_it_at_once(project: Project, world: World, api: Simulator) -> None:
    api.latency = 120.0
    project.configure(api.base_url, world.agent_ids(), api={"timeout": 200})
    process = project.start("backfill")
    until(lambda: api.requests, "a request")

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)

    assert project.finish(process).code == 130
    api.latency = 0
    assert project.run("backfill").code == 0
    check_all(project, world)


@pytest.mark.parametrize("anywhere", ["sqlite", "postgres"], indirect=True)
def test_two_at_once_take_turns(anywhere: Project, world: World, api: Simulator) -> None:
    anywhere.configure(api.base_url, world.agent_ids(), api={"page_size": PAGE})

    both = [anywhere.start("backfill", "--json") for _ in range(2)]
    done = [anywhere.finish(process) for process in both]

    assert [one.code for one in done] == [0, 0], done
    check_all(anywhere, world)
