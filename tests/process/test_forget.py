"""`forget` as a process: beside a `run`, killed in the middle, and the bytes of the files after."""

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select

from etl.simulator import Simulator, World
from etl.store.schema import tables as t
from tests.process.project import Project
from tests.process.test_kill import SEED, rows
from tests.support.postgres import own_server
from tests.support.waiting import PATIENCE, until

ADDRESS, FIRST, SECRET = "Ada.Needle@example.com", "Adaneedle", "zebraneedle"
PERSON = {"email": ADDRESS, "first_name": FIRST, "last_name": "Needlelast"}


def people(world: World) -> list[str]:
    """The creators, those with most sessions first."""
    ids = [
        (session.get("creator") or {}).get("id")
        for agent in world.agent_ids()
        for session in world.sessions(agent)
    ]
    return sorted({id for id in ids if id}, key=lambda id: -ids.count(id))


@pytest.fixture
def world() -> World:
    """Two agents; one person has a name of her own, titles and messages that tell of her."""
    made = World.generate(agents=2, sessions=150, seed=21)
    ada = people(made)[0]
    for agent in made.agent_ids():
        for number, session in enumerate(made.sessions(agent)):
            creator = session.get("creator") or {}
            if creator.get("id") == ada:
                name = f"{FIRST}'s title {number}"
                made.change(session["id"], creator=creator | PERSON, name=name)
                said = f"{SECRET}{number} is what {FIRST} says"
                made.set_transcript(
                    session["id"], [{"id": "m", "content": said, "creator_id": ada}] * 3
                )
            elif number % 5 == 0:
                mixed = [{"content": "hello"}, {"content": f"{SECRET} here", "creator_id": ada}]
                made.set_transcript(session["id"], mixed)
        made.add_raw(agent, {"id": 7, "creator": {"id": ada} | PERSON}, at=made.now)
    return made


@pytest.fixture
def ada(world: World) -> str:
    """Her id."""
    return people(world)[0]


@pytest.fixture
def on(anywhere: Project, api: Simulator, world: World) -> Project:
    """The folder with transcripts switched on, synced by `run` all the time."""
    configure(anywhere, api, world)
    return anywhere


def configure(project: Project, api: Simulator, world: World, **tables: Any) -> None:
    """A run every 0.2 seconds."""
    api.latency = 0.002
    project.configure(
        api.base_url,
        world.agent_ids(),
        api={"page_size": 40, "max_attempts": 1},
        sync={"transcripts": True, "transcripts_per_run": 1000},
        schedule={"every": "0.2s", "reconcile": "1s"},
        **tables,
    )


def needles(ada: str) -> list[bytes]:
    return [one.encode() for one in (ada, ADDRESS, ADDRESS.lower(), FIRST, SECRET)]


def traces(project: Project, ada: str) -> list[tuple[str, bytes]]:
    """Where something of hers is: in which column, or in which of SQLite's files."""
    found = []
    with closing(project.store()) as store, store.connect() as connection:
        for table in t.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                text = str(tuple(row)).encode()
                found += [(table.name, one) for one in needles(ada) if one in text]
    files = project.files().items() if project.database.startswith("sqlite") else ()
    return found + [(name, one) for name, text in files for one in needles(ada) if one in text]


def ended_runs(project: Project) -> int:
    with closing(project.store()) as store:
        c = t.sync_runs.c
        return int(rows(store, select(func.count()).where(c.status == "succeeded"))[0][0])


@pytest.fixture
def working(on: Project) -> Iterator[Callable[[], Any]]:
    """Starts `run`; none outlives its test."""
    started: list[Any] = []

    def go() -> Any:
        # Nobody reads its log, and a full pipe would stop it.
        started.append(on.start("run", ETL_SERVICE__LOG_LEVEL="error"))
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.wait()


def test_a_person_is_forgotten_while_run_syncs(
    on: Project, world: World, ada: str, api: Simulator, working: Callable[[], Any]
) -> None:
    agents = world.agent_ids()
    assert on.run("backfill").code == 0
    assert {one for _, one in traces(on, ada)} == set(needles(ada)) - {ADDRESS.lower().encode()}
    workers = [working(), working()]
    before = ended_runs(on)
    until(lambda: ended_runs(on) > before + 2, "runs")

    done = on.run("forget", "--creator", ada, "--yes")

    assert (done.code, done.err) == (0, ""), done
    assert "backups" in done.out
    here = ended_runs(on)
    for number in range(3):
        creator = {"id": ada} | PERSON
        id = world.add_session(agents[0], creator=creator, name=f"{FIRST} again {number}")
        world.set_transcript(id, [{"content": SECRET}])
    until(lambda: ended_runs(on) > here + 8, "more runs")
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        assert on.finish(worker).code == 0
    assert on.run("reconcile").code == 0
    assert traces(on, ada) == []
    with closing(on.store()) as store:
        stored = rows(store, select(t.sessions.c.id, t.sessions.c.creator_id))
    assert len(stored) == sum(len(world.sessions(agent)) for agent in agents) - 2
    assert api.requests

    quiet = on.run("sync", "--json").json
    assert [(one["inserted"], one["updated"]) for one in quiet["agents"]] == [(0, 0)] * 2
    assert on.run("search", SECRET, "--json").json == {"hits": []}


def killed_while_forgetting(project: Project, ada: str, pause: float) -> None:
    process = project.start("forget", "--creator", ada, "--yes")
    assert process.stdout is not None
    assert process.stdout.readline(), "it has begun"
    time.sleep(pause)
    process.kill()
    process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("number", range(4))
def test_killed_in_the_middle_and_repeated_it_is_complete(
    on: Project, ada: str, number: int
) -> None:
    rng = random.Random(f"{SEED}-forget-{number}")
    print(f"replay with ETL_TEST_SEED={SEED}")
    assert on.run("backfill").code == 0

    killed_while_forgetting(on, ada, rng.uniform(0, 0.15))
    assert on.run("sync").code == 0
    done = on.run("forget", "--creator", ada, "--yes")

    assert done.code == 0, done
    assert traces(on, ada) == []
    assert on.run("reconcile").code == 0
    assert traces(on, ada) == []


def test_a_reader_keeps_the_journal_and_that_is_said(
    project: Project, api: Simulator, world: World, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, api, world)
    assert project.run("backfill").code == 0
    reader = sqlite3.connect(project.folder / "gumloop.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sessions").fetchone()

    done = project.run("forget", "--creator", ada, "--yes")

    done.fails(1, "journal", "db compact")
    reader.close()
    assert project.run("db", "compact").code == 0
    assert traces(project, ada) == []


@pytest.fixture
def server_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server of our own: a database, and the folder with its tables."""
    with own_server() as server:
        url = server.fresh()
        yield url, server.data / "base"


def test_nothing_is_left_in_postgres_files(
    server_data: tuple[str, Path], tmp_path: Path, api: Simulator, world: World, ada: str
) -> None:
    url, base = server_data
    project = Project(tmp_path, database=url)
    configure(project, api, world)
    assert project.run("backfill").code == 0
    with psycopg.connect(url, autocommit=True) as connection:
        # As autovacuum does: statistics hold samples of values.
        connection.execute("ANALYZE")

    def held() -> set[bytes]:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        texts = [path.read_bytes() for path in base.rglob("*") if path.is_file()]
        return {one for one in needles(ada) if any(one in text for text in texts)}

    assert {ada.encode(), ADDRESS.encode()} <= held()

    done = project.run("forget", "--creator", ada, "--yes")

    assert done.code == 0, done
    assert held() == set()
