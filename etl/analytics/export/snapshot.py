"""One consistent look at the whole database, read in a stream: what `export` reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from etl.analytics.schema_docs import Column, Relation
from etl.errors import ConfigError
from etl.invocation import program_name
from etl.store.read.status import require_schema_of
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant
from etl.store.schema.engine import open_temporary_engine, translate_errors

FETCHED_ROWS: Final = 256
"""Rows held at once as they come from the database; a row may hold a long text."""

NEWEST_RUNS: Final = 100
"""How many of the newest runs are searched for missing numbers."""

SETTINGS: Final = ("statement_timeout = 0", "idle_in_transaction_session_timeout = '10min'")
"""A snapshot locks no row, so the guards of PostgreSQL's other transactions are not for it."""

NUMBERS_OF_RUNS: Final = ("id", "run_id")

SQL_TYPES: Final[dict[str, TypeEngine[Any]]] = {
    "text": sa.Text(),
    "timestamptz": Instant(),
    "date": sa.Date(),
    "numeric": sa.Numeric(asdecimal=False),
    "double precision": sa.Numeric(asdecimal=False),
    "bigint": sa.BigInteger(),
    "integer": sa.BigInteger(),
    "boolean": sa.Boolean(),
}
"""How a column of this type is read; others (JSON, varchar) are read as text."""


class Since(NamedTuple):
    """A run, and the earliest time at which it or a later one can have changed a row."""

    run_id: int
    at: datetime


class RunsSeen(NamedTuple):
    """The runs as the snapshot shows them."""

    unfinished: int | None
    newest: list[int]


@contextmanager
def open_snapshot(url: str) -> Iterator[sa.Connection]:
    """A read-only transaction that shows the database as it is now, whatever others write.

    Raises StoreError, and SchemaMismatch if the database is not this program's.
    """
    with open_temporary_engine(url, only_reads=True) as engine:
        require_schema_of(engine, url)
        with translate_errors(url), engine.connect() as connection:
            _begin_snapshot(connection)
            yield connection


def _begin_snapshot(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for setting in SETTINGS:
            connection.exec_driver_sql(f"SET LOCAL {setting}")
    else:
        connection.execution_options(reads=True)
    # It is the first read that fixes what a transaction sees.
    connection.execute(sa.select(sa.func.max(t.sync_runs.c.id)))


def read_runs(connection: sa.Connection) -> RunsSeen:
    """What `choose_since` needs to know."""
    c = t.sync_runs.c
    running = sa.select(sa.func.min(c.id)).where(c.status == "running")
    unfinished = connection.execute(running).scalar()
    # SQLite's writers take turns: there, no run is missing that later ones have overtaken.
    most = NEWEST_RUNS if connection.dialect.name == "postgresql" else 1
    newest = connection.execute(sa.select(c.id).order_by(c.id.desc()).limit(most)).scalars()
    return RunsSeen(unfinished, list(newest))


def find_since(connection: sa.Connection, run_id: int) -> Since:
    """Find a run. Raises ConfigError if there is none of that number."""
    c = t.sync_runs.c
    hint = f"`{program_name()} runs` shows them; without --since-run everything is exported"
    if connection.execute(sa.select(c.id).where(c.id == run_id)).first() is None:
        raise ConfigError(f"there is no run {run_id}", hint)
    # Hosts' clocks differ: a later run may have begun earlier.
    at = connection.execute(sa.select(sa.func.min(c.started_at)).where(c.id >= run_id)).scalar_one()
    return Since(run_id, at)


def read_rows(
    connection: sa.Connection,
    relation: Relation,
    order: Sequence[str] = (),
    changed: Sequence[str] = (),
    since: Since | None = None,
) -> Iterator[Sequence[Any]]:
    """Rows of a table or view, some hundred at a time, in constant memory.

    With `since`, those alone that one of the columns `changed` puts at or after it.
    """
    query = sa.select(*map(_select_column, relation.columns)).select_from(sa.table(relation.name))
    query = query.order_by(*map(sa.column, order))
    if since is not None and changed:
        query = _filter_newer(query, changed, since)
    result = connection.execute(query, execution_options={"yield_per": FETCHED_ROWS})
    return result.partitions()


def _select_column(one: Column) -> Any:
    kind = SQL_TYPES.get(one.type)
    if kind is None:
        return sa.cast(sa.column(one.name), sa.Text).label(one.name)
    return sa.column(one.name, kind)


def _filter_newer(query: sa.Select[Any], changed: Sequence[str], since: Since) -> sa.Select[Any]:
    conditions = [
        sa.column(name) >= since.run_id
        if name in NUMBERS_OF_RUNS
        else sa.column(name, Instant()) >= since.at
        for name in changed
    ]
    return query.where(sa.or_(*conditions))
