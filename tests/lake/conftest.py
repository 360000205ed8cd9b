"""Fixtures: a lake of a small database, and its rows as an engine of others reads them."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from sqlalchemy import select, text

from etl.analytics.lake.run import LakeReport, update_lake
from etl.analytics.lake.tables import DIGEST, MONTH, list_lake_tables
from etl.planning.run_demand import RunOptions
from etl.simulator import World
from etl.store.schema import tables as t
from etl.store.schema.column_types import format_instant
from etl.store.store import Store
from tests.conftest import Runner

Row = dict[str, Any]
Carry = Callable[..., LakeReport]
NANO = Decimal("1e-9")
TABLES = {table.name: table for table in list_lake_tables()}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder that isn't there yet."""
    return tmp_path / "lake"


@pytest.fixture
def carry(store: Store, lake: Path) -> Carry:
    """Carries over, by default to the lake."""

    def run(target: Path | str = lake, **options: Any) -> LakeReport:
        return update_lake(store, str(target), **options)

    return run


@pytest.fixture
def filled(store: Store, world: World, run_agent: Runner) -> Store:
    """Two agents with some pages of history, an undated session, and one that changed."""
    agent = world.agent_ids()[0]
    world.add_session(agent, id="undated", created_at=None, creator=None, usage=None)
    for one in world.agent_ids():
        run_agent(one, RunOptions("backfill"))
    world.change("undated", state="failed", name="\N{SNOWMAN}\u0001\uffff '; --\n\\N\t")
    run_agent(agent, RunOptions("reconcile"))
    return store


def stored(store: Store, name: str) -> list[Row]:
    """All rows of a table or view, as the rest of the program reads them."""
    kinds = {column.name: column.type for column in TABLES[name].columns}
    columns = ", ".join(kinds)
    with store.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM {name}")).mappings().all()
    return [{key: _cell(row[key], kinds[key]) for key in kinds} for row in rows]


def _cell(value: Any, kind: str) -> Any:
    """A value of either database, as a lake should have it."""
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(str(value)).quantize(NANO, ROUND_HALF_EVEN)
    if kind == "jsonb":
        return json.loads(value) if isinstance(value, str) else value
    if kind == "timestamptz":
        return format_instant(value.astimezone(UTC)) if isinstance(value, datetime) else value
    return value


DUCK = duckdb.connect(config={"threads": 1})


def duck(lake: Path | str, sql: str, names: list[str] | None = None) -> list[Row]:
    """What DuckDB answers to a query on the tables of a lake."""
    with DUCK.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in names or ["sessions"]:
            # Held here until the query has been answered.
            dataset = DeltaTable(f"{lake}/{name}").to_pyarrow_dataset()
            connection.register(name, dataset)
        rows: list[Row] = connection.sql(sql).to_arrow_table().to_pylist()
        return rows


def kept(lake: Path | str, name: str) -> list[Row]:
    """All rows of a table in a lake, as DuckDB reads them, without the columns of our own."""
    found = duck(lake, f"SELECT * FROM {name}", [name])
    return [plain(row, name) for row in found]


def plain(row: Row, name: str) -> Row:
    """A row as an engine gave it, in the form of `stored`."""
    kinds = {column.name: column.type for column in TABLES[name].columns}
    assert set(row) - set(kinds) <= {DIGEST, MONTH}
    return {key: _cell(row[key], kind) for key, kind in kinds.items()}


def ordered(rows: list[Row]) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)


def assert_equal(store: Store, lake: Path | str) -> None:
    """Check that the lake holds every row of the database, once, and no other."""
    for name, table in TABLES.items():
        rows = stored(store, name)
        if not rows and table.is_optional and not DeltaTable.is_deltatable(f"{lake}/{name}"):
            continue
        assert ordered(kept(lake, name)) == ordered(rows), name


def ids(store: Store) -> list[str]:
    """The sessions, in the order of their ids."""
    with store.connect() as connection:
        return list(connection.execute(select(t.sessions.c.id).order_by(t.sessions.c.id)).scalars())


def versions(lake: Path) -> dict[str, int]:
    """The version of each table."""
    return {path.name: DeltaTable(path).version() for path in sorted(lake.iterdir())}


def changed(report: LakeReport) -> dict[str, tuple[int, int, int]]:
    """Rows inserted, updated and deleted, of the tables where anything was."""
    counts = {one.name: (one.inserted, one.updated, one.deleted) for one in report.tables}
    return {name: count for name, count in counts.items() if any(count)}


def listens(port: int) -> bool:
    """Whether a server of ours takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
