"""`run` on a machine whose clock is stepped under it, by libfaketime."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from etl.simulator import Simulator, World
from etl.store.schema import tables as t
from tests.process.project import Project
from tests.process.watched import Watched
from tests.support.waiting import until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

Stepped = Callable[..., Watched]


@pytest.fixture
def world() -> World:
    """One agent with a short history."""
    return World.generate(agents=1, sessions=60, seed=11)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file that tells by how many seconds the clock is off."""
    if not LIBRARIES:
        pytest.skip("there is no libfaketime: `make extras` as root on Debian installs it")
    file = tmp_path / "faketime"
    file.write_text("+0")
    return file


@pytest.fixture
def start(project: Project, world: World, api: Simulator, clock: Path) -> Iterator[Stepped]:
    """Starts the scheduler on that clock."""
    started: list[Watched] = []

    def go(**schedule: Any) -> Watched:
        project.configure(
            api.base_url,
            world.agent_ids(),
            schedule=schedule,
            service={"listen": "127.0.0.1:0", "ready_within": "30m"},
        )
        env = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(clock)}
        env |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        started.append(Watched(project.start("run", **env)))
        return started[-1]

    yield go
    for watched in started:
        watched.kill()


def successes(watched: Watched) -> list[dict[str, Any]]:
    return [line for line in watched.events("run_finished") if line["status"] == "succeeded"]


@pytest.mark.parametrize("offset", ["-3600", "+3600"])
@pytest.mark.parametrize("every", ["1h", "2s"])
def test_after_a_step_agents_are_synced_at_once_and_go_on(
    start: Stepped, clock: Path, world: World, api: Simulator, offset: str, every: str
) -> None:
    watched = start(every=every, reconcile="off")
    watched.await_ready()
    until(lambda: len(successes(watched)) >= 1, "the first run")

    clock.write_text(offset)
    told = watched.await_event("clock_stepped")
    before = len(successes(watched))
    more = 1 if every == "1h" else 4
    until(lambda: len(successes(watched)) >= before + more, "runs after the step")
    watched.await_ready()
    health = watched.ask("/healthz").json()
    direction = "back" if offset.startswith("-") else "forward"
    steps = watched.metric("clock_steps_total", direction=direction)
    watched.stop()

    assert abs(told["step_seconds"] - float(offset)) < 5
    assert (health["alive"], steps) == (True, 1)
    assert len(watched.events("clock_stepped")) == 1
    # One that the step found at work may lack a proof; those that begin after it do not.
    statuses = [line["status"] for line in watched.events("run_finished")]
    failed = [status for status in statuses if status not in ("succeeded", "interrupted")]
    assert failed in ([], ["incomplete"])


def test_what_the_wrong_clock_claimed_is_taken_back(
    project: Project, start: Stepped, clock: Path, world: World
) -> None:
    """A session that was shown tomorrow changes today: nothing stored is newer than that."""
    agent = world.agent_ids()[0]
    clock.write_text("+86400")
    watched = start(every="1h", reconcile="off")
    watched.await_ready()
    newest = world.sessions(agent)[0]["id"]
    world.change(newest, name="Changed")

    clock.write_text("+0")
    watched.await_event("clock_stepped")
    until(lambda: len(successes(watched)) >= 2, "the run after the step")
    watched.await_ready()
    watched.stop()

    store = project.store()
    state = store.load_state(agent)
    with store.connect() as connection:
        name = connection.execute(
            select(t.sessions.c.name).where(t.sessions.c.id == newest)
        ).scalar()
    store.close()
    now = datetime.now().astimezone()
    assert state.last_success_at is not None
    assert state.last_success_at < now
    assert max(span.newest for span in state.coverage) < now
    assert name == "Changed"


def test_a_beat_goes_on_so_that_nobody_restarts_it(start: Stepped, clock: Path) -> None:
    watched = start(every="1h", reconcile="off")
    watched.await_ready()

    clock.write_text("-3600")
    watched.await_event("clock_stepped")
    silence = until(
        lambda: (s := watched.ask("/healthz").json()["scheduler_silent_seconds"]) > 3 and s,
        "a silence",
    )
    until(
        lambda: watched.ask("/healthz").json()["scheduler_silent_seconds"] < silence, "a beat", 30
    )
    watched.stop()
