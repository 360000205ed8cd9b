"""Databases of older revisions, as their own programs left them, brought up to date and back.

The dumps were made by the program of that revision: a backfill of two small agents with odd
records, a change, a removal, a sync; and a reconcile, where it knew that. From 0003 on they are
that of 0002, upgraded by the program of that revision, with the calendar cut to some months.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, inspect

from etl.clock import utc_now
from etl.errors import SchemaMismatch
from etl.invocation import find_resource
from etl.store.read import status
from etl.store.schema import migrate
from etl.store.schema.engine import open_engine
from etl.store.store import Store

DUMPS = Path(__file__).parent / "dumps"
REVISIONS = sorted(path.stem.removeprefix("sqlite_") for path in DUMPS.glob("sqlite_*.sql"))
Rows = list[tuple[Any, ...]]


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(database_url: str, revision: str) -> Iterator[Engine]:
    """A database of an older revision with rows."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        connection.executescript((DUMPS / f"sqlite_{revision}.sql").read_text(encoding="utf-8"))
        connection.close()
    else:
        with psycopg.connect(database_url) as to:
            to.execute((DUMPS / f"postgres_{revision}.sql").read_bytes())
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def columns(engine: Engine) -> dict[str, str]:
    """The columns of each table."""
    found = inspect(engine).get_multi_columns()
    return {
        name: ", ".join(f'"{column["name"]}"' for column in columns)
        for (_, name), columns in found.items()
        if name != "alembic_version"
    }


def contents(engine: Engine, tables: dict[str, str]) -> dict[str, Rows]:
    """Every row of these tables, in these columns."""
    return {
        name: sorted(ask(engine, f"SELECT {columns} FROM {name}"), key=str)
        for name, columns in tables.items()
    }


def ask(engine: Engine, sql: str) -> Rows:
    with engine.connect().execution_options(reads=True) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def test_every_older_revision_has_a_dump() -> None:
    scripts = find_resource("migrations", "versions").glob("[0-9]*_*.py")
    revisions = {path.name.split("_")[0] for path in scripts}

    missing = "check out main and run: python -m tests.store.dump_revision"
    assert set(REVISIONS) == revisions - {migrate.HEAD}, missing
    assert all((DUMPS / f"postgres_{one}.sql").exists() for one in REVISIONS)


def test_an_upgrade_keeps_every_row_and_a_downgrade_too(old: Engine, revision: str) -> None:
    tables = columns(old)
    views = set(inspect(old).get_view_names())
    before = contents(old, tables)
    with pytest.raises(SchemaMismatch, match=revision):
        migrate.ensure(old)

    migrate.upgrade(old)

    assert migrate.read_revision(old) == migrate.HEAD
    assert contents(old, tables) == before

    migrate.downgrade(old, revision)

    assert migrate.read_revision(old) == revision
    assert contents(old, tables) == before
    assert {*inspect(old).get_table_names()} == {*tables, "alembic_version"}
    assert {*inspect(old).get_view_names()} == views


def test_every_view_answers_after_an_upgrade(old: Engine, database_url: str) -> None:
    dated = ask(old, "SELECT id, created_at FROM sessions WHERE created_at IS NOT NULL")
    [(sessions, open_ones)] = ask(
        old,
        "SELECT count(*), count(CASE WHEN state IN ('completed', 'failed') THEN NULL"
        " WHEN missing_since IS NULL THEN 1 END) FROM sessions",
    )
    looks = ask(old, "SELECT session_id, state, observed_at FROM session_states")

    migrate.upgrade(old)

    days = ask(old, "SELECT session_id, created_at FROM session_days")
    spans = ask(old, "SELECT session_id, state, observed_from FROM state_spans")
    assert sorted(days) == sorted(dated)
    assert sorted(spans, key=str) == sorted(looks, key=str)
    assert ask(old, "SELECT sum(sessions) FROM agent_days") == [(len(dated),)]
    assert ask(old, "SELECT sum(sessions), sum(undated) FROM type_states") == [
        (sessions, sessions - len(dated))
    ]
    assert ask(old, "SELECT count(*) FROM open_sessions") == [(open_ones,)]
    [(credits, tokens, day)] = ask(
        old,
        "SELECT credit_cost, input_tokens, day FROM session_days WHERE session_id = 'sess_night'",
    )
    assert (float(credits), tokens, str(day)) == (1.25, 7, "2026-10-25")
    for view in inspect(old).get_view_names():
        assert ask(old, f"SELECT * FROM {view}"), view
    store = Store(database_url, utc_now)
    assert len(status.list_known_agents(store)) == 2
    store.close()
