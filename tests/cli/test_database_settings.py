"""PostgreSQL as administrators, roles and environments set it: the same rows, or one sentence."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl.clock import utc_now
from etl.simulator import Simulator, World
from etl.store.schema import migrate
from etl.store.schema.session_settings import read_options
from etl.store.store import Store
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.audit import differences
from tests.support.postgres import Cluster

HOSTILE = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/St_Johns",
    "array_nulls": "off",
    "bytea_output": "escape",
    "client_encoding": "SQL_ASCII",
    "client_min_messages": "error",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-15",
    "gin_fuzzy_search_limit": "1",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "mine, public",
    "standard_conforming_strings": "off",
    "statement_timeout": "50",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
}
BY_ITSELF = (
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "client_encoding",
    "default_transaction_isolation",
    "extra_float_digits",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
)
ENVIRONMENT = {
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kathmandu",
    "PGCLIENTENCODING": "LATIN1",
}
SAID = r"перед \ back~slash 50% Ωmega"


@pytest.fixture
def world() -> World:
    """Two agents with a short history, texts of many scripts and numbers of many digits."""
    made = World.generate(agents=2, sessions=30, seed=5)
    for agent in made.agent_ids():
        for number, session in enumerate(made.sessions(agent)):
            if number % 3 == 0:
                costs = {"credit_cost": 1234.567890123456, "tool_credit_cost": 0.1 + 0.2}
                made.change(session["id"], name=f"Привет \\ мир {number}", **costs)
                made.set_transcript(session["id"], [{"id": "m", "content": f"{SAID} {number}"}])
    return made


@pytest.fixture
def database(postgres: Cluster) -> Iterator[str]:
    """A database with a schema of the user's."""
    url = postgres.fresh()
    run(url, "CREATE SCHEMA mine")
    yield url
    postgres.drop(url)
    postgres.run(f"DROP ROLE IF EXISTS {name_of(url)}_role")


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def name_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


def spoil(postgres: Cluster, url: str, settings: dict[str, str]) -> None:
    """Set these for every session in this database."""
    for name, value in settings.items():
        quoted = value if name == "search_path" else f"'{value}'"
        postgres.run(f"ALTER DATABASE {name_of(url)} SET {name} = {quoted}")


def owned(postgres: Cluster, url: str, settings: dict[str, str]) -> str:
    """The URL of a role that has these settings, and owns the database."""
    role = f"{name_of(url)}_role"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    postgres.run(f"ALTER DATABASE {name_of(url)} OWNER TO {role}")
    run(url, f"ALTER SCHEMA mine OWNER TO {role}")
    for name, value in settings.items():
        quoted = value if name == "search_path" else f"'{value}'"
        postgres.run(f"ALTER ROLE {role} SET {name} = {quoted}")
    return re.sub("//[^@]*@", f"//{role}:{role}@", url)


def configure(project: Project, api: Simulator, world: World, url: str) -> None:
    project.database = url
    options = {"transcripts": True, "transcripts_per_run": 1000, "walkers": 1}
    project.configure(
        api.base_url, world.agent_ids(), api={"page_size": 20, "max_attempts": 1}, sync=options
    )


def copy_of(postgres: Cluster, url: str) -> str:
    """The same rows in a database without settings: a copy doesn't take them along."""
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name_of(url)}' AND pid <> pg_backend_pid()"
    )
    return postgres.fresh(name_of(url))


def wrong(url: str, world: World) -> list[str]:
    with closing(Store(url, utc_now)) as store:
        return [w for id in world.agent_ids() for w in differences(store, world.sessions(id), id)]


def shown(etl: Command, project: Project, url: str, *tables: str, **env: str) -> dict[str, Any]:
    """What the reading commands give out: the lines of a search, and the files of an export.

    Their lines are sorted: a view promises no order, and statistics may change it at any time.
    """
    env["ETL_DATABASE__URL"] = url
    out = project.folder / f"export-{len(list(project.folder.iterdir()))}"
    named = [word for table in tables for word in ("--table", table)]
    exported = etl("export", "--format", "csv", "--output", str(out), *named, **env)
    assert exported.code == 0, exported
    found: dict[str, Any] = {
        path.name: sorted(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(out.rglob("*.csv"))
    }
    found.pop("open_sessions.csv", None)  # it tells ages
    assert sum("Привет \\ мир" in line for line in found["sessions.csv"]) == 20
    found["search"] = etl("search", "перед back slash", "--json", "--limit", "1000", **env).out
    assert len(json.loads(found["search"])["hits"]) == 20
    return found


def go_the_whole_way(etl: Command, world: World, folder: Path, **env: str) -> None:
    """Each command that writes, and those that only read and tell the time."""
    report = str(folder / "report.html")
    for words in (
        ["backfill"],
        ["sync"],
        ["reconcile"],
        ["verify"],
        ["check"],
        ["status", "--json"],
        ["runs", "--json"],
        ["report", "--output", report],
        ["db", "timezone", "Asia/Kathmandu"],
        ["db", "current"],
        ["db", "prune"],
    ):
        if words[0] in ("sync", "reconcile"):
            for agent in world.agent_ids():
                world.add_session(agent)
        done = etl(*words, **env)
        assert done.code == 0, (words, done)


@pytest.mark.parametrize("way", ["direct", "pooled"])
def test_the_rows_are_the_same_under_all_settings_at_once(
    etl: Command,
    project: Project,
    api: Simulator,
    world: World,
    postgres: Cluster,
    database: str,
    request: pytest.FixtureRequest,
    way: str,
) -> None:
    url, env = database, dict(ENVIRONMENT)
    spoil(postgres, database, HOSTILE)
    if way == "pooled":
        port = request.getfixturevalue("pooler")
        url = f"postgresql://etl@127.0.0.1:{port}/{name_of(database)}?pgbouncer=true"
        env["PGOPTIONS"] = "-c search_path=mine,public -c extra_float_digits=0"
    else:
        env["PGOPTIONS"] = r"-c search_path=mine,\ public -c statement_timeout=1h"
        url = owned(postgres, database, HOSTILE) + "?client_encoding=latin1"
    configure(project, api, world, url)

    go_the_whole_way(etl, world, project.folder, **env)
    told = shown(etl, project, url, **env)

    plain = copy_of(postgres, database)
    assert wrong(plain + "?options=-c%20search_path%3Dmine", world) == []
    assert told == shown(etl, project, plain, PGOPTIONS="-c search_path=mine")
    creator = next(s["creator"]["id"] for s in world.sessions(world.agent_ids()[0]) if s["creator"])
    assert etl("forget", "--creator", creator, "--yes", **env).code == 0
    assert etl("db", "compact", **env).code == 0
    postgres.drop(plain)


@pytest.mark.parametrize("name", BY_ITSELF)
def test_the_rows_are_the_same_under_each_setting(
    etl: Command,
    project: Project,
    api: Simulator,
    world: World,
    postgres: Cluster,
    database: str,
    name: str,
) -> None:
    spoil(postgres, database, {name: HOSTILE[name]})
    configure(project, api, world, database)

    assert etl("sync").code == 0

    told = shown(etl, project, database, "sessions")
    plain = copy_of(postgres, database)
    there = "?options=-c%20search_path%3Dmine" if name == "search_path" else ""
    assert wrong(plain + there, world) == []
    assert told == shown(etl, project, plain + there, "sessions")
    postgres.drop(plain)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_of_another_encoding_is_refused_with_the_way_to_a_right_one(
    etl: Command, postgres: Cluster, encoding: str
) -> None:
    name = f"etl_encoding_{encoding.lower()}"
    postgres.run(f"DROP DATABASE IF EXISTS {name}")
    postgres.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = postgres.admin_url.rsplit("/", 1)[0] + f"/{name}"

    for words in (["check"], ["sync"], ["db", "upgrade"]):
        done = etl(*words, ETL_DATABASE__URL=url)
        assert done.code == 2
        said = done.out + done.err
        assert f"the database's encoding is {encoding}, and UTF8 is needed" in said

    advice = re.search(r"CREATE DATABASE .* TEMPLATE template0", said)
    assert advice is not None
    postgres.drop(url)
    postgres.run(advice[0].replace("gumloop", name))
    assert etl("sync", ETL_DATABASE__URL=url).code == 0
    postgres.drop(url)


def test_a_database_of_another_encoding_that_is_in_use_says_what_it_can_not_hold(
    etl: Command, project: Project, api: Simulator, world: World, postgres: Cluster
) -> None:
    """Made by an earlier version; what is in it can still be read and taken elsewhere."""
    postgres.run("CREATE DATABASE etl_old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = postgres.admin_url.rsplit("/", 1)[0] + "/etl_old"
    with closing(Store(url, utc_now)) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "check_encoding", lambda _: None)
        migrate.upgrade(store.engine)
    configure(project, api, world, url)

    etl("sync", "--agent", world.agent_ids()[0]).fails(1, "ENCODING 'UTF8'")

    assert etl("status").code == 0
    assert etl("export", "--format", "csv").code == 0
    postgres.drop(url)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("default_transaction_read_only = on", "default_transaction_read_only"),
        ("search_path = nowhere", "search_path"),
        ("search_path = ''", "search_path"),
    ],
)
def test_a_setting_that_forbids_the_work_is_named(
    etl: Command, postgres: Cluster, database: str, setting: str, words: str
) -> None:
    postgres.run(f"ALTER DATABASE {name_of(database)} SET {setting}")

    etl("sync", ETL_DATABASE__URL=database).fails(1, words)
    etl("db", "upgrade", ETL_DATABASE__URL=database).fails(1, words)


def test_options_that_a_pooler_can_not_pass_on_are_refused(
    etl: Command, postgres: Cluster, database: str, pooler: int
) -> None:
    url = f"postgresql://etl@127.0.0.1:{pooler}/{name_of(database)}?pgbouncer=true"

    etl("sync", ETL_DATABASE__URL=url, PGOPTIONS="-e").fails(2, "pgbouncer", "-c NAME=VALUE")


def test_the_environment_is_read_as_the_server_reads_it() -> None:
    text = r"-c search_path=a,\ b -cwork_mem=4MB --lock-timeout=5s -c x.y=c:\\d=e"

    assert read_options(text) == {
        "search_path": "a, b",
        "work_mem": "4MB",
        "lock_timeout": "5s",
        "x.y": r"c:\d=e",
    }
