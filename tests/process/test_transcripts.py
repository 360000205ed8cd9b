"""Transcripts in real processes: killed at any instant, and many large ones in bounded memory."""

import os
import random
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from etl.simulator import Simulator, World
from etl.store.schema import tables as t
from tests.process.project import Project
from tests.process.test_kill import SEED, Trigger, answered, dying, rows
from tests.support.waiting import PATIENCE

SESSIONS = 60
AT_ONCE = 4


@pytest.fixture
def world() -> World:
    """Two agents with a short history, each transcript with a word of its own."""
    made = World.generate(agents=2, sessions=SESSIONS, seed=12)
    for agent in made.agent_ids():
        for number, session in enumerate(made.sessions(agent)):
            said = [{"id": str(n), "content": f"{session['id']} {n}"} for n in range(number % 4)]
            made.set_transcript(session["id"], said)
    return made


@pytest.fixture
def on(anywhere: Project, api: Simulator, world: World) -> Project:
    """The folder with transcripts switched on."""
    anywhere.configure(
        api.base_url,
        world.agent_ids(),
        api={"concurrency": AT_ONCE},
        sync={"transcripts": True, "transcripts_per_run": 1000},
    )
    return anywhere


def retrieved(requests: list[Any]) -> list[str]:
    return [r.path.rpartition("/")[2] for r in requests if "/agents/" not in r.path]


def check_all(project: Project, world: World) -> None:
    """Each message is stored once and in its place, and each transcript is settled."""
    m, marks = t.session_messages.c, t.transcripts.c
    expected = {
        (session["id"], n, message["content"])
        for agent in world.agent_ids()
        for session in world.sessions(agent)
        for n, message in enumerate(world.get_transcript(session["id"])["messages"])
    }
    with closing(project.store()) as store:
        stored = [tuple(row) for row in rows(store, select(m.session_id, m.position, m.content))]
        markers = rows(store, select(marks.session_id, marks.error))
        states = {row.status for row in rows(store, select(t.sync_runs.c.status))}
    assert sorted(stored) == sorted(expected)
    assert sorted(markers) == sorted((s, None) for a in world.agent_ids() for s in ids(world, a))
    assert states <= {"succeeded", "interrupted"}


def ids(world: World, agent: str) -> list[str]:
    return [session["id"] for session in world.sessions(agent)]


def test_killed_while_retrieving_it_goes_on_where_it_was(
    on: Project, world: World, api: Simulator
) -> None:
    rng = random.Random(f"{SEED}-transcripts")
    print(f"replay with ETL_TEST_SEED={SEED}")
    trigger = Trigger(api, rng)
    # A few requests list the sessions, two agents have 60 transcripts each.
    trigger.arm(rng.randrange(12, 110))

    with dying(on, ("backfill",), trigger, rng.uniform(0, 0.04)):
        before = retrieved(answered(list(api.requests), trigger))
    api.clear_requests()
    done = on.run("backfill", "--json")

    assert done.code == 0, done
    check_all(on, world)
    again = retrieved(list(api.requests))
    assert len(again) == len(set(again))
    # Those that were answered, but not saved yet: no more than may be under way.
    print(f"{len(before)} before, {len(again)} after")
    assert len(set(before) & set(again)) <= AT_ONCE * len(world.agent_ids())
    api.clear_requests()
    assert on.run("backfill").code == 0
    assert retrieved(list(api.requests)) == []


def test_killed_again_and_again_while_retrieving(on: Project, world: World, api: Simulator) -> None:
    rng = random.Random(f"{SEED}-transcripts-again")
    print(f"replay with ETL_TEST_SEED={SEED}")
    trigger = Trigger(api, rng)
    for _ in range(3):
        trigger.arm(rng.randrange(8, 30))
        with dying(on, ("backfill",), trigger, rng.uniform(0, 0.04)):
            pass

    assert on.run("backfill").code == 0

    check_all(on, world)


def peak(project: Project) -> int:
    """The bytes of memory that a sync has held at most."""
    process = project.start("sync")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, project.finish(process, PATIENCE)
    project.finish(process, PATIENCE)
    return usage.ru_maxrss * 1024


def test_memory_holds_those_under_way_and_no_more(
    on: Project, world: World, api: Simulator
) -> None:
    size, agent = 1_000_000, world.agent_ids()[0]
    for id in ids(world, agent):
        world.set_transcript(id, [{"content": "word " * (size // 20)}] * 4)
    peaks = []
    for most in (10, 1000):
        wanted = {"transcripts": True, "transcripts_per_run": most}
        on.configure(api.base_url, [agent], api={"concurrency": 1}, sync=wanted)
        if not peaks:
            # The first run also makes the tables.
            assert on.run("sync").code == 0
        peaks.append(peak(on))

    with closing(on.store()) as store:
        found = rows(store, select(t.session_messages.c.session_id).distinct())
    assert len(found) == SESSIONS
    # The second run had 40 of them, 40 MB, the first one 10.
    assert peaks[1] - peaks[0] < 15 * size, peaks
