"""The three roles of docs/operations.md, made by the page's own statements."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from etl.simulator import Simulator, World
from tests.process.project import Project
from tests.support.audit import differences
from tests.support.postgres import Server, own_server

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def server() -> Iterator[Server]:
    with own_server() as running:
        yield running


def statements() -> list[str]:
    """What the page lets an administrator run, a statement each."""
    section = PAGE.read_text(encoding="utf-8").split("\n## PostgreSQL\n")[1]
    block = re.search(r"```sql\n(.*?)```", section, re.DOTALL)
    assert block is not None
    passwords = [line for line in block[1].splitlines() if line.startswith("\\password")]
    assert len(passwords) == 3
    rest = "\n".join(line for line in block[1].splitlines() if line not in passwords)
    return [one.strip() for one in re.split(r";\n|(?<=\\connect gumloop)\n", rest) if one.strip()]


def make_roles(server: Server) -> None:
    database = "postgres"
    for statement in statements():
        if statement.startswith("\\connect"):
            database = statement.split()[1]
            continue
        url = server.admin_url.rsplit("/", 1)[0] + f"/{database}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


def test_workers_without_ddl_a_reader_and_an_owner(
    tmp_path: Path, world: World, api: Simulator, server: Server
) -> None:
    make_roles(server)
    project = Project(tmp_path)
    urls = {
        role: f"postgresql://gumloop_{role}@127.0.0.1:{server.port}/gumloop"
        for role in ("owner", "worker", "reader")
    }
    project.database = urls["worker"]
    project.configure(api.base_url, world.agent_ids())

    project.run("sync").fails(1, "permission denied", "db upgrade")
    assert "let the owner of the database run" in project.run("check").out
    assert project.run("db", "upgrade", ETL_DATABASE__URL=urls["owner"]).code == 0
    [revoke] = re.findall(r"-c '(REVOKE .* ON alembic_version .*)'", PAGE.read_text("utf-8"))
    with psycopg.connect(urls["owner"]) as owner:
        owner.execute(revoke)

    for command in ("check", "backfill", "sync", "reconcile", "status"):
        done = project.run(command)
        assert done.code == 0, done

    store = project.store()
    for agent in world.agent_ids():
        assert differences(store, world.sessions(agent), agent) == []
    store.close()
    for role, forbidden in (
        ("worker", "CREATE TABLE more (id int)"),
        ("worker", "DROP TABLE bookmarks"),
        ("worker", "UPDATE alembic_version SET version_num = '0001'"),
        ("reader", "DELETE FROM sessions"),
    ):
        with psycopg.connect(urls[role]) as connection, pytest.raises(InsufficientPrivilege):
            connection.execute(forbidden)
    with psycopg.connect(urls["reader"]) as connection:
        [(days,)] = connection.execute("SELECT count(*) FROM agent_days").fetchall()
        assert days > 0
