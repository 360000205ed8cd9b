"""Taking what was deleted out of the database's files."""

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.errors import StoreError
from etl.invocation import program_name
from etl.store.privacy.delete_messages import compact_search
from etl.store.schema.engine import translate_errors
from etl.store.schema.url import parse_url, split_pgbouncer
from etl.store.store import Store

HOLDING: Final = (
    "creators",
    "sessions",
    "session_messages",
    "transcripts",
    "rejected_records",
    "sync_runs",
    # Last: the statistics of the others, which hold samples of values. They were just renewed.
    "pg_catalog.pg_statistic",
)
"""PostgreSQL's tables that tell of people."""

LOCK_TIMEOUT: Final = "60s"
"""How long PostgreSQL waits for others who read a table; meanwhile all who come later wait, too."""

HINT: Final = "end what reads it: explore, export, a query"


def compact(store: Store) -> None:
    """Write the database anew without what was deleted. Raises StoreError if others are in the way.

    SQLite: the search index, the file, and an empty journal. PostgreSQL: VACUUM FULL of the tables
    that tell of people, with new statistics, which hold samples of values.
    """
    if store.engine.dialect.name == "sqlite":
        store.transact(compact_search)
        _compact_sqlite(store)
    else:
        _compact_postgres(store)


def _compact_sqlite(store: Store) -> None:
    with translate_errors(store.url), store.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM").close()
        # Waits for others as long as any statement does.
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        what = "what was erased is still in the file's journal (-wal): another process reads it"
        raise StoreError(what, HINT)


def _compact_postgres(store: Store) -> None:
    options = {"isolation_level": "AUTOCOMMIT"}
    with translate_errors(store.url), store.engine.connect() as opened:
        connection = opened.execution_options(**options)
        warnings: list[str] = []
        driver: Any = connection.connection.driver_connection
        driver.add_notice_handler(partial(_keep_warning, warnings))
        _set_time_limits(connection, store.url)
        try:
            for table in HOLDING:
                renew = "" if table.startswith("pg_") else ", ANALYZE"
                connection.exec_driver_sql(f"VACUUM (FULL{renew}) {table}")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":
                raise
            what = f"what was erased is still in the server's files: another session uses {table}"
            raise StoreError(what, HINT) from error
        finally:
            connection.invalidate()
    if warnings:
        what = f"what was erased is still in the server's files: {warnings[0]}"
        raise StoreError(what, f"let the database's owner run `{program_name()} db compact`")


def _keep_warning(warnings: list[str], notice: Any) -> None:
    """A table is skipped with a warning; its words may be of any language."""
    if notice.severity_nonlocalized == "WARNING":
        warnings.append(notice.message_primary or "")


def _set_time_limits(connection: Connection, url: str) -> None:
    """For this connection alone; behind pgbouncer no limit outlives a transaction."""
    pooled, _ = split_pgbouncer(parse_url(url))
    if not pooled:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
