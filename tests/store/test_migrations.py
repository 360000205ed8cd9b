"""Migrations on both databases: they agree with the tables, and go up, down and up with data."""

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, func, inspect, select, text

from etl.clock import utc_now
from etl.errors import SchemaMismatch
from etl.invocation import find_resource
from etl.planning.run_demand import RunOptions
from etl.simulator import World
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant
from etl.store.schema.engine import open_engine, open_temporary_engine
from etl.store.store import Store
from tests.conftest import Runner
from tests.support.audit import differences
from tests.support.waiting import PATIENCE

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = ScriptDirectory(str(find_resource("migrations")))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def test_head_is_the_newest_migration() -> None:
    assert SCRIPTS.get_heads() == [migrate.HEAD]


def test_every_revision_is_named_by_its_file() -> None:
    names = sorted(path.name for path in find_resource("migrations", "versions").glob("*.py"))

    assert [name.partition("_")[0] for name in names] == REVISIONS


def test_migrations_and_tables_agree(store: Store) -> None:
    with store.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        options["include_name"] = lambda name, *_: not t.SEARCH_INDEX.fullmatch(name or "")
        context = MigrationContext.configure(connection, opts=options)

        assert compare_metadata(context, t.metadata) == []


def test_primary_keys_are_those_of_the_tables(store: Store) -> None:
    migrated = inspect(store.engine)

    for name, table in t.metadata.tables.items():
        wanted = [column.name for column in table.primary_key]
        assert migrated.get_pk_constraint(name)["constrained_columns"] == wanted, name


def test_every_revision_goes_up_and_down(engine: Engine) -> None:
    assert migrate.read_revision(engine) is None
    for revision in REVISIONS:
        migrate.upgrade(engine, revision)
        assert migrate.read_revision(engine) == revision
    for revision in [*REVISIONS[-2::-1], "base"]:
        migrate.downgrade(engine, revision)
        assert migrate.read_revision(engine) == (None if revision == "base" else revision)

    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_down_and_up_with_data_in_place(
    store: Store, world: World, run_agent: Runner, revision: str
) -> None:
    for agent in world.agent_ids():
        run_agent(agent, RunOptions("backfill"))
    [id, *_] = (record["id"] for record in world.sessions(agent) if record["state"] == "completed")
    world.change(id, state="failed")
    assert run_agent(agent, RunOptions("reconcile")).counts.updated == 1
    gone = ("retrievals", "state_changes", "database_identity")
    kept = [table for table in t.metadata.sorted_tables if table.name not in gone]
    kept += [t.session_states]
    before = _contents(store, kept)

    migrate.downgrade(store.engine, revision)
    migrate.upgrade(store.engine)

    after = _contents(store, kept)
    assert {name for name in before if before[name] != after[name]} == set()
    # What a downgrade loses comes back with the next reconcile.
    run_agent(agent, RunOptions("reconcile"))
    again = run_agent(agent)
    assert (again.status, again.counts.inserted, again.counts.updated) == ("succeeded", 0, 0)


def test_down_to_nothing_and_up_with_data_in_place(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, RunOptions("backfill"))

    migrate.downgrade(store.engine, "base")
    migrate.upgrade(store.engine)

    with store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(t.sessions)).scalar() == 0
    assert run_agent(agent).status == "succeeded"
    assert differences(store, world.sessions(agent), agent) == []


LOST = {"first_run_id"}
"""Columns that a downgrade loses. Which table tells a first state may differ, too."""


def _contents(store: Store, tables: list) -> dict[str, list[tuple]]:  # type: ignore[type-arg]
    with store.connect() as connection:
        found = {}
        for table in tables:
            columns = [column for column in table.c if column.name not in LOST]
            found[table.name] = sorted(map(str, connection.execute(select(*columns))))
        return found


def test_ensure_makes_an_empty_database_ready(engine: Engine) -> None:
    migrate.ensure(engine)
    migrate.ensure(engine)

    assert migrate.read_revision(engine) == migrate.HEAD


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_schema_is_refused_until_asked(engine: Engine, revision: str) -> None:
    migrate.upgrade(engine, revision)

    with pytest.raises(SchemaMismatch, match=revision) as refused:
        migrate.ensure(engine)
    assert "db upgrade" in refused.value.hint
    assert migrate.read_revision(engine) == revision
    migrate.ensure(engine, migrate=True)

    assert migrate.read_revision(engine) == migrate.HEAD


@pytest.mark.parametrize(("version", "hint"), [("9999", "newer"), ("ae1027a6acf", "another")])
def test_a_newer_schema_and_anothers_are_refused_in_any_case(
    engine: Engine, version: str, hint: str
) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))

    for attempt in (
        lambda: migrate.ensure(engine),
        lambda: migrate.ensure(engine, migrate=True),
        lambda: migrate.upgrade(engine),
        lambda: migrate.downgrade(engine, "base"),
    ):
        with pytest.raises(SchemaMismatch, match=version) as refused:
            attempt()
        assert hint in refused.value.hint
    assert migrate.read_revision(engine) == version


def test_a_migration_that_fails_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    class Broken(Exception): ...

    def fail(*_: object, **__: object) -> None:
        raise Broken

    monkeypatch.setattr(Operations, "create_index", fail)
    with pytest.raises(Broken):
        migrate.upgrade(engine)
    monkeypatch.undo()

    assert migrate.read_revision(engine) is None
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(engine)


def test_a_schema_that_appears_during_the_look_is_nobody_elses(engine: Engine) -> None:
    """Another process makes the schema between any two statements of the look."""
    number = 1
    while True:
        left = [number]

        def appear(connection: Connection, *_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                with open_temporary_engine(str(engine.url)) as other:
                    migrate.upgrade(other)

        event.listen(engine, "after_cursor_execute", appear)
        found = migrate.read_revision(engine)
        event.remove(engine, "after_cursor_execute", appear)

        assert found in (None, migrate.HEAD), f"after statement {number}"
        if left[0] > 0:
            break
        migrate.downgrade(engine, "base")
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        number += 1

    assert number > 1


def test_several_processes_may_begin_at_once(database_url: str) -> None:
    gate, failures = threading.Barrier(6), list[Exception]()

    def begin() -> None:
        opened = open_engine(database_url)
        gate.wait()
        try:
            migrate.ensure(opened)
        except Exception as error:
            failures.append(error)
        opened.dispose()

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


@pytest.mark.parametrize("by", ["file", "environment"])
def test_plain_alembic_works(database_url: str, tmp_path: Path, by: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[database]\nurl = "{database_url if by == "file" else "sqlite:///no.db"}"\n'
    )
    env = os.environ | {"ETL_CONFIG": str(config)}
    env |= {"ETL_DATABASE__URL": database_url} if by == "environment" else {}

    for words, revision in ((["upgrade", "head"], migrate.HEAD), (["downgrade", "base"], None)):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *words],
            cwd=REPOSITORY,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        opened = open_engine(database_url)
        assert migrate.read_revision(opened) == revision
        opened.dispose()


# -- SQLite's times -------------------------------------------------------------------------------

INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
TIMES = [
    (table.name, column.name)
    for table in t.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, Instant)
]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_sqlite_times_are_text_that_datetime_reads(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    for number, form in enumerate(
        ("2026-01-02T03:04:05Z", "2026-01-02 03:04:06.7", "2026-01-02T05:04:07.000001+02:00")
    ):
        world.add_session(agent, id=f"form {number}", created_at=form)
    world.change(world.sessions(agent)[5]["id"], usage="oops")
    run_agent(agent, RunOptions("backfill"))
    run_agent(agent)
    seen = set()

    connection = sqlite3.connect(store.engine.url.database or "")
    for table, column in TIMES:
        for value, kind, read in connection.execute(
            f"SELECT {column}, typeof({column}), datetime({column}) FROM {table}"
            f" WHERE {column} IS NOT NULL"
        ):
            seen.add((table, column))
            assert kind == "text", (table, column, value)
            assert INSTANT.fullmatch(value), (table, column, value)
            assert read == value[:19]
    forms = "SELECT created_at FROM sessions WHERE id LIKE 'form %' ORDER BY id"
    stored = [row[0] for row in connection.execute(forms)]
    connection.close()

    assert stored == [
        "2026-01-02 03:04:05.000000",
        "2026-01-02 03:04:06.700000",
        "2026-01-02 03:04:07.000001",
    ]
    assert ("sessions", "created_at") in seen
    assert ("rejected_records", "received_at") in seen
    assert ("coverage", "newest_created_at") in seen


def test_times_come_back_as_they_went_in(store: Store) -> None:
    instants = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(999, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        datetime(2026, 2, 28, 1, 2, 3, 456789, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        utc_now(),
    ]
    with store.engine.begin() as connection:
        for number, at in enumerate(instants):
            values = {"id": str(number), "first_seen_at": at, "updated_at": at}
            connection.execute(t.agents.insert().values(values))

    with store.connect() as connection:
        query = select(t.agents.c.first_seen_at).order_by(t.agents.c.first_seen_at)
        assert list(connection.execute(query).scalars()) == sorted(instants)
