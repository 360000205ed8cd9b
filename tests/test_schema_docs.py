"""docs/schema.md names every table, view and column, and its queries run on both databases."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite

from etl.planning.run_demand import RunOptions
from etl.simulator import World
from etl.store.schema.column_types import format_instant
from etl.store.schema.tables import metadata
from etl.store.store import Store
from tests.conftest import Runner
from tests.support import sample

PAGE = (Path(__file__).parents[1] / "docs" / "schema.md").read_text(encoding="utf-8")
TABLES, VIEWS, COOKBOOK = (
    re.split(r"^## (?:Tables|Views|Cookbook)$", PAGE, flags=re.MULTILINE)[n] for n in (1, 2, 3)
)
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<sqlite>[\w()]+) \| (?P<postgres>[\w() ]+?) "
    r"\| (?P<null>yes|no) \| (?:yes|no) \| .+ \|$"
)
STORED = {
    "TEXT": {"text"},
    "INTEGER": {"integer"},
    "REAL": {"real"},
    "NUMERIC": {"integer", "real"},
}
"""How SQLite stores what the page calls by these types, by `typeof`."""


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the third level."""
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(section: str) -> dict[str, re.Match[str]]:
    """The columns of a section's table, by name."""
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    rows = [ROW.match(line) for line in lines]
    assert None not in rows, lines[rows.index(None)]
    return {row["name"]: row for row in rows if row is not None}


def in_postgres(type) -> str:
    """How the page calls a type of PostgreSQL."""
    name = type.compile(postgresql.dialect()).lower()
    return name.replace("timestamp with time zone", "timestamptz")


QUERIES = {
    title: re.search(r"^```sql\n(.+?)\n```$", section, re.MULTILINE | re.DOTALL)
    for title, section in sections(COOKBOOK).items()
}


def test_the_page_has_every_table_and_no_other() -> None:
    assert set(sections(TABLES)) == set(metadata.tables)


@pytest.mark.parametrize("table", metadata.tables.values(), ids=str)
def test_the_page_has_every_column_and_its_types(table) -> None:
    columns = documented(sections(TABLES)[table.name])

    assert list(columns) == list(table.c.keys())
    for column in table.c:
        told = columns[column.name]
        assert told["sqlite"] == column.type.compile(sqlite.dialect()), column
        assert told["postgres"] == in_postgres(column.type), column
        assert told["null"] == ("yes" if column.nullable else "no"), column


def test_the_page_has_every_view_and_its_columns(store: Store) -> None:
    views = inspect(store.engine).get_view_names()

    assert set(sections(VIEWS)) == set(views)
    for view in views:
        columns = inspect(store.engine).get_columns(view)
        told = documented(sections(VIEWS)[view])
        assert list(told) == [column["name"] for column in columns], view
        if store.engine.dialect.name == "postgresql":
            types = [in_postgres(column["type"]) for column in columns]
            assert [row["postgres"] for row in told.values()] == types, view


def test_the_views_hold_what_the_page_says(store: Store, run_agent: Runner, world: World) -> None:
    agent = world.agent_ids()[0]
    world.add_session(agent, id="open", state="idle")
    world.add_session(agent, id="undated", created_at=None, creator=None, type=None, usage=None)
    run_agent(agent, RunOptions("backfill"))

    with store.connect() as connection:
        for view, section in sections(VIEWS).items():
            assert connection.exec_driver_sql(f"SELECT * FROM {view}").fetchall(), view
            for name, told in documented(section).items():
                nulls = f"SELECT count(*) FROM {view} WHERE {name} IS NULL"
                empty = connection.exec_driver_sql(nulls).scalar()
                assert told["null"] == "yes" or empty == 0, (view, name)
                if store.engine.dialect.name == "sqlite":
                    kinds = f"SELECT DISTINCT typeof({name}) FROM {view}"
                    found = set(connection.exec_driver_sql(kinds).scalars())
                    assert found - {"null"} <= STORED[told["sqlite"]], (view, name)


def test_the_picture_has_every_table_and_view() -> None:
    picture = PAGE.split("```mermaid")[1].split("```")[0]

    assert set(re.findall(r"\w+", picture)) >= {*metadata.tables, *sections(VIEWS)}


def test_the_database_has_no_table_that_the_page_lacks(store: Store) -> None:
    names = set(inspect(store.engine).get_table_names()) - {"alembic_version"}
    names -= {name for name in names if name.startswith("message_search")}

    assert names == set(sections(TABLES))


def test_every_query_finds_something_after_a_sync(
    store: Store, run_agent: Runner, world: World
) -> None:
    agent = world.agent_ids()[0]
    ada = {"id": "user_ada", "first_name": "Ada", "last_name": "Lovelace"}
    ids = [
        world.add_session(agent, created_at=world.now, state=state, creator=ada)
        for state in ("processing", "completed", "idle")
    ]
    world.add_raw(agent, {"id": "odd", "created_at": "last Tuesday"}, world.now)
    run_agent(agent, RunOptions("backfill"))
    world.change(ids[0], state="completed")
    world.change(ids[1], usage={"credit_cost": 99.5})
    assert run_agent(agent, RunOptions("reconcile")).status == "succeeded"

    with store.connect() as connection:
        assert len(QUERIES) == 12
        for title, block in QUERIES.items():
            assert block is not None, title
            answer = connection.exec_driver_sql(block[1], execution_options={"no_parameters": True})
            assert answer.fetchall(), f"{title}: no rows"


def test_the_answers_of_the_page_are_those_of_both_databases(store: Store) -> None:
    with store.engine.connect() as connection:
        sample.fill(connection)
        for title, block in QUERIES.items():
            assert block is not None
            answer = connection.exec_driver_sql(block[1], execution_options={"no_parameters": True})
            right = as_table(list(answer.keys()), answer.fetchall())
            told = re.search(r"(?:^\|.+\|\n)+", sections(COOKBOOK)[title], re.MULTILINE)
            told_lines = told[0].splitlines() if told else []

            assert without_age(told_lines) == without_age(right), "\n".join([title, *right])


def as_table(names: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """An answer as the page shows it."""
    lines = [names, *([shown(value) for value in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def shown(value: object) -> str:
    """A value as SQLite has it."""
    if isinstance(value, datetime):
        return format_instant(value.astimezone(UTC))
    if isinstance(value, Decimal):
        return str(float(value) if value.as_tuple().exponent else int(value))
    return str(value)


def without_age(lines: list[str]) -> list[str]:
    """A table without what grows by the clock."""
    cells = [line.split(" | ") for line in lines if "---" not in line]
    clock = cells[0].index("days_old") if cells and "days_old" in cells[0] else None
    return [" | ".join(row[:clock] + row[clock + 1 :] if clock else row) for row in cells]
