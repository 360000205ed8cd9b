"""`lake` as a user types it, `run` that carries over by itself, and `status` that tells of it."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from etl.simulator import Simulator, World
from tests.lake.conftest import assert_equal, kept
from tests.process.conftest import kept_private
from tests.process.project import REPOSITORY, SECRET, Project
from tests.process.watched import Watched
from tests.support.waiting import until


@pytest.fixture
def world() -> World:
    return World.generate(agents=2, sessions=120, seed=11)


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    with Simulator(world, token=SECRET) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, api: Simulator, world: World) -> Iterator[Project]:
    folder = Project(tmp_path)
    folder.configure(api.base_url, world.agent_ids())
    yield from kept_private(folder)


def test_the_command_carries_over_and_says_what_changed(project: Project) -> None:
    assert project.run("backfill").code == 0

    first = project.run("lake", "lake")
    second = project.run("lake", "./lake/", "--json")

    assert (first.code, second.code) == (0, 0)
    assert "sessions" in first.out and "shows the database as of" in first.out
    document = second.json
    assert set(document) == {"target", "as_of", "tables"}
    assert document["target"] == str(project.folder / "lake")
    [sessions] = [one for one in document["tables"] if one["name"] == "sessions"]
    assert (sessions["rows"], sessions["inserted"], sessions["updated"]) == (240, 0, 0)
    with closing(project.store()) as store:
        assert_equal(store, project.folder / "lake")
    [shown] = project.run("status", "--json").json["lakes"]
    assert shown["target"] == str(project.folder / "lake") and shown["error"] is None
    assert "lake" in project.run("status").out


def test_other_rules_are_applied_before_anything_is_carried_over(project: Project) -> None:
    assert project.run("backfill").code == 0

    done = project.run("lake", "lake", ETL_PRIVACY__EMAILS="drop", ETL_PRIVACY__NAMES="drop")

    assert done.code == 0
    people = kept(project.folder / "lake", "creators")
    assert people and {row["email"] for row in people} == {None}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no address"),
        (("ftp://host/path",), "can't be on ftp://"),
        (("s3://key:secret@bucket/path",), "must not carry a user"),
        (("gs://bucket/path?token=secret",), "must not carry a user"),
        (("s3://",), "names no bucket"),
    ],
)
def test_bad_addresses_are_usage_errors(
    project: Project, words: tuple[str, ...], says: str
) -> None:
    project.run("lake", *words).fails(2, says)


def test_without_a_database_or_a_writable_place_it_says_so(project: Project) -> None:
    project.run("lake", "lake").fails(1, "no database")
    assert project.run("db", "upgrade").code == 0
    (project.folder / "file").write_text("x")

    project.run("lake", "file").fails(1, "can't be made", "name a folder")
    [shown] = project.run("status", "--json").json["lakes"]
    assert shown["as_of"] is None and "can't be made" in shown["error"]


def test_without_deltalake_it_says_what_to_install(project: Project, tmp_path: Path) -> None:
    stub = tmp_path / "stub" / "deltalake"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('no deltalake')")
    path = f"{stub.parent}:{REPOSITORY}"

    project.run("lake", "lake", PYTHONPATH=path).fails(2, "deltalake", "pip install '.[lake]'")


def test_the_service_carries_over_beside_its_syncs(
    project: Project, api: Simulator, world: World
) -> None:
    project.configure(
        api.base_url,
        world.agent_ids(),
        schedule={"every": "1s"},
        lake={"target": "lake", "every": "2s"},
        service={"listen": "127.0.0.1:0"},
    )
    watched = Watched(project.start("run"))
    try:
        watched.await_event("lake_updated")
        assert watched.await_metric("lake_runs_total", 2, outcome="updated") >= 2
        assert (watched.metric("lake_as_of_timestamp_seconds") or 0) > time.time() - 60
        until(lambda: (watched.metric("lake_rows_total", outcome="inserted") or 0) > 400, "rows")
        done = watched.stop()
    finally:
        watched.kill()

    assert "lake_failed" not in done.err
    assert project.run("lake", "lake").code == 0
    with closing(project.store()) as store:
        assert_equal(store, project.folder / "lake")


def test_a_lake_that_fails_is_an_event_and_no_sync_suffers(
    project: Project, api: Simulator, world: World
) -> None:
    (project.folder / "file").write_text("x")
    project.configure(
        api.base_url,
        world.agent_ids(),
        schedule={"every": "1s"},
        lake={"target": "file", "every": "1s"},
        service={"listen": "127.0.0.1:0"},
    )
    watched = Watched(project.start("run"))
    try:
        failed = watched.await_event("lake_failed")
        assert failed["reason"] == "etl_error" and "name a folder" in failed["hint"]
        watched.await_metric("lake_runs_total", outcome="failed")
        watched.await_ready()
        watched.stop()
    finally:
        watched.kill()


def test_a_lake_in_the_making_does_not_keep_the_service_from_ending(
    project: Project, api: Simulator, world: World
) -> None:
    assert project.run("backfill").code == 0
    with closing(project.store()) as store, store.engine.begin() as connection:
        names = "id, agent_id, name, created_at, first_seen_at, updated_at, as_of"
        connection.execute(
            text(
                f"INSERT INTO sessions ({names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                " SELECT i + 1 FROM n WHERE i < 150000)"
                " SELECT 'x' || i, agent_id, name, created_at,"
                " first_seen_at, updated_at, as_of FROM n, (SELECT * FROM sessions LIMIT 1) s"
            )
        )
    tables = {"lake": {"target": "lake"}, "schedule": {"every": "1s"}}
    project.configure(api.base_url, world.agent_ids(), service={"log": "json"}, **tables)
    watched = Watched(project.start("run"))
    try:
        until(lambda: list((project.folder / "lake").glob("sessions/*")), "the first files")
        watched.stop()
    finally:
        watched.kill()
    until(lambda: project.run("lake", "lake").code == 0, "the lock")
    with closing(project.store()) as store:
        assert len(kept(project.folder / "lake", "sessions")) == 150_240
