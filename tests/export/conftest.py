"""Fixtures: a database of hostile values, and what it holds by another way than the export's."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import insert, select

from etl.analytics.export.exporter import ExportOptions, export
from etl.clock import utc_now
from etl.store.schema import tables as t
from etl.store.store import Store

Rows = list[dict[str, Any]]
Export = Callable[..., dict[str, Any]]

NOON = datetime(2026, 5, 15, 12, tzinfo=UTC)
IDS = (
    "plain",
    "../../etc/passwd",
    "/",
    "..",
    "a/b",
    "a%2Fb",
    "month=2026-05",
    "'; DROP TABLE sessions; --",
    "*.parquet",
    "a\nb\t\\c",
    "\N{PILE OF POO}\N{RIGHT-TO-LEFT OVERRIDE}=1",
    "x" * 1000,
    "x" * 999,
    "\N{EURO SIGN}" * 600,
)
TIMES = (
    None,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 5, 31, 23, 59, 59, 999999, UTC),
    datetime(2026, 6, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
)
TEXTS = (
    "=cmd|' /C calc'!A0",
    "\N{NO-BREAK SPACE}\N{FULLWIDTH EQUALS SIGN}1+1",
    'say "hi", she said;\r\nand\nleft\r',
    "",
    None,
    "<script>alert(1)</script>",
    "\N{GRINNING FACE}\ufeff\uffff\x01",
    "-",
    "NULL",
    "long " * 20_000,
)
COSTS = (None, 0, 1, 0.1, 1e-9, 123456789.123456, -2.5)
EXTRAS = (None, {}, {"z": 1, "a": "=1+1", "\N{SNOWMAN}": [None, "\n", {"n": 0.5}]})


@pytest.fixture
def hostile(store: Store) -> Store:
    """A store with ids, names, times and numbers as bad as the tables take them."""
    fill(store)
    return store


def fill(store: Store) -> None:
    """Fill a store with them: the same on both databases."""
    seen = {"first_seen_at": NOON, "updated_at": NOON}
    with store.engine.begin() as connection:
        for id in IDS:
            connection.execute(insert(t.agents).values({"id": id, "name": id} | seen))
            creator = {"id": id, "email": id, "as_of": NOON}
            connection.execute(insert(t.creators).values(creator | seen))
        for number in range(len(IDS) * len(TIMES)):
            add_session(connection, number)


def add_session(connection: Any, number: int, **fields: Any) -> None:
    """One of the many combinations of the values above."""
    row: dict[str, Any] = {
        "id": f"{IDS[number % len(IDS)]}#{number}",
        "agent_id": IDS[number % len(IDS)],
        "creator_id": IDS[number // 3 % len(IDS)],
        "name": TEXTS[number % len(TEXTS)],
        "state": TEXTS[number % 7],
        "created_at": TIMES[number % len(TIMES)],
        "credit_cost": COSTS[number % len(COSTS)],
        "input_tokens": (None, 0, 2**63 - 1)[number % 3],
        "first_seen_at": NOON,
        "updated_at": NOON,
        "as_of": NOON,
    }
    if (extra := EXTRAS[number % len(EXTRAS)]) is not None:
        row["extra"] = extra
    connection.execute(insert(t.sessions).values(row | fields))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder that isn't there yet."""
    return tmp_path / "lake"


@pytest.fixture
def exported(store: Store, lake: Path) -> Export:
    """Exports the store, by default to the lake."""

    def run(output: Path = lake, **options: Any) -> dict[str, Any]:
        return export(store.url, ExportOptions(output, **options), utc_now())

    return run


DUCK = duckdb.connect(config={"threads": 1})


def stored(store: Store, name: str) -> Rows:
    """All rows of a table, as the rest of the program reads them."""
    table = getattr(t, name)
    with store.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table))]


def duck(sql: str) -> Rows:
    """What DuckDB answers."""
    with DUCK.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows: Rows = connection.sql(sql).to_arrow_table().to_pylist()
        return rows


def parquet(lake: Path, name: str) -> Rows:
    """All rows of a table in a lake, as DuckDB reads them: without the folders' columns."""
    path = lake / name
    files = f"{path}/**/*.parquet" if path.is_dir() else f"{path}.parquet"
    return duck(f"SELECT * FROM read_parquet('{files}', hive_partitioning = false)")


def same(found: Rows, wanted: Rows) -> None:
    """Check that two lists hold the same rows, in any order, JSON by its meaning."""
    assert sorted(map(_key, found)) == sorted(map(_key, wanted))


def _key(row: dict[str, Any]) -> str:
    return json.dumps({name: _cell(name, row[name]) for name in row}, default=str, sort_keys=True)


def _cell(name: str, value: Any) -> Any:
    if name == "extra" and isinstance(value, str):
        return json.loads(value)
    # SQLite keeps whole credits as integers.
    return float(value) if name.endswith("credit_cost") and value is not None else value
