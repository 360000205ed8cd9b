"""docs/schema.md names every table, view and column, and its queries run on both databases."""

import re
from pathlib import Path

import pytest
from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite

from etl.simulator import World
from etl.store.store import Store
from etl.store.tables import metadata
from etl.sync.agent import Wish
from tests.conftest import Runner

PAGE = (Path(__file__).parents[1] / "docs" / "schema.md").read_text(encoding="utf-8")
TABLES, VIEWS, COOKBOOK = (
    re.split(r"^## (?:Tables|View|Cookbook)$", PAGE, flags=re.MULTILINE)[n] for n in (1, 2, 3)
)
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<sqlite>[\w()]+) \| (?P<postgres>[\w()]+) "
    r"\| (?P<null>yes|no) \| (?:yes|no) \| .+ \|$"
)
VIEW = "session_freshness"


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


QUERIES = {
    title: re.search(r"^```sql\n(.+?)\n```$", section, re.MULTILINE | re.DOTALL)
    for title, section in sections(COOKBOOK).items()
}


def test_the_page_has_every_table_and_no_other() -> None:
    assert set(sections(TABLES)) == set(metadata.tables)
    assert set(sections(VIEWS)) == {VIEW}


@pytest.mark.parametrize("table", metadata.tables.values(), ids=str)
def test_the_page_has_every_column_and_its_types(table) -> None:
    columns = documented(sections(TABLES)[table.name])

    assert list(columns) == list(table.c.keys())
    for column in table.c:
        told = columns[column.name]
        in_postgres = column.type.compile(postgresql.dialect()).lower()
        in_postgres = in_postgres.replace("timestamp with time zone", "timestamptz")
        assert told["sqlite"] == column.type.compile(sqlite.dialect()), column
        assert told["postgres"] == in_postgres, column
        assert told["null"] == ("yes" if column.nullable else "no"), column


def test_the_page_has_the_view_as_it_is(store: Store) -> None:
    found = {column["name"] for column in inspect(store.engine).get_columns(VIEW)}

    assert set(documented(sections(VIEWS)[VIEW])) == found


def test_the_picture_has_every_table() -> None:
    picture = PAGE.split("```mermaid")[1].split("```")[0]

    assert set(re.findall(r"\w+", picture)) >= {*metadata.tables, VIEW}


def test_the_database_has_no_table_that_the_page_lacks(store: Store) -> None:
    names = set(inspect(store.engine).get_table_names()) - {"alembic_version"}
    names -= {name for name in names if name.startswith("message_search")}

    assert names == set(sections(TABLES))
    assert set(inspect(store.engine).get_view_names()) == {VIEW}


def test_every_query_runs_and_has_the_columns_of_its_sample(
    store: Store, run_agent: Runner, world: World
) -> None:
    agent = world.agent_ids()[0]
    ada = {"id": "user_ada", "first_name": "Ada", "last_name": "Lovelace"}
    ids = [
        world.add_session(agent, created_at=world.now, state=state, creator=ada)
        for state in ("processing", "completed", "idle")
    ]
    world.add_raw(agent, {"id": "odd", "created_at": "last Tuesday"}, world.now)
    run_agent(agent, Wish("backfill"))
    world.change(ids[0], state="completed")
    world.change(ids[1], usage={"credit_cost": 99.5})
    assert run_agent(agent, Wish("reconcile")).status == "succeeded"

    with store.reading() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        assert len(QUERIES) == 8
        for title, block in QUERIES.items():
            assert block is not None, title
            answer = connection.exec_driver_sql(block[1], execution_options={"no_parameters": True})
            assert f"| {' | '.join(answer.keys())} |" in sections(COOKBOOK)[title], title
            assert answer.fetchall(), f"{title}: no rows"
