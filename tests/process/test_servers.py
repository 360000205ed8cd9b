"""PostgreSQL as people run it: a fail-over in the middle of a run, and a pooler in between."""

import signal
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from etl.simulator import Simulator, World
from etl.store.read import status
from etl.store.schema import tables as t
from tests.process.project import Project
from tests.support.audit import differences
from tests.support.postgres import Cluster, Standby, own_server
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def wrong(project: Project, world: World) -> list[str]:
    """How the database differs from the API's truth."""
    with closing(project.store()) as store:
        found = (differences(store, world.sessions(id), id) for id in world.agent_ids())
        return [what for some in found for what in some]


def pages(project: Project) -> int:
    """How many pages the runs have saved."""
    with closing(project.store()) as store:
        return sum(run["pages"] for run in status.list_recent_runs(store, None, 100))


def test_a_failover_costs_no_run(project: Project, world: World, api: Simulator) -> None:
    with own_server() as primary:
        standby = Standby(primary.folder.with_name("standby"), primary)
        standby.initialize()
        standby.start("hot_standby=on")
        try:
            primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.run("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
            primary.stop()
            # The settings of the command line would win over those.
            primary.start("synchronous_commit=remote_apply")
            name = primary.fresh().rsplit("/", 1)[1]
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            project.database = (
                f"postgresql://postgres@{hosts}/{name}?target_session_attrs=read-write"
            )
            project.configure(api.base_url, world.agent_ids(), api={"page_size": 10})
            assert project.run("db", "upgrade").code == 0
            process = project.start("backfill")
            until(lambda: pages(project) >= 10, "some pages")

            primary.stop(signal.SIGQUIT)
            standby.promote()
            done = project.finish(process, 2 * PATIENCE)

            assert done.code == 0, done
            assert wrong(project, world) == []
        finally:
            standby.stop(signal.SIGQUIT)


def test_a_server_that_lost_commits_ends_the_run(
    project: Project, world: World, api: Simulator, postgres: Cluster
) -> None:
    """As after a fail-over to a standby that had not got them: no coverage without its rows."""
    project.database = postgres.fresh()
    project.configure(api.base_url, world.agent_ids()[:1], api={"page_size": 10})
    assert project.run("db", "upgrade").code == 0
    process = project.start("backfill")
    until(lambda: pages(project) >= 10, "some pages")

    with closing(project.store()) as store, store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(saves=1))

    done = project.finish(process)
    assert done.code == 1
    assert "the database has lost what was committed" in done.out + done.err
    assert project.run("backfill").code == 0
    with closing(project.store()) as store:
        assert differences(store, world.sessions(world.agent_ids()[0]), world.agent_ids()[0]) == []
    postgres.drop(project.database)


def test_through_a_pooler_of_transactions(
    project: Project, world: World, api: Simulator, postgres: Cluster, pooler: int
) -> None:
    database = postgres.fresh()
    project.database = database
    project.configure(api.base_url, world.agent_ids())
    assert project.run("db", "upgrade").code == 0
    name = database.rsplit("/", 1)[1]
    project.database = f"postgresql://etl@127.0.0.1:{pooler}/{name}?pgbouncer=true"
    project.configure(api.base_url, world.agent_ids(), api={"page_size": 10})
    until(lambda: project.run("check").code == 0, "the pooler")

    for command in ("backfill", "sync", "reconcile"):
        for agent in world.agent_ids():
            world.add_session(agent)
        assert project.run(command).code == 0

    assert wrong(project, world) == []
    project.database = database
    postgres.drop(database)
