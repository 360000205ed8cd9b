"""Opening the database: SQLite embedded, PostgreSQL as a server."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from etl.errors import ConfigError, StoreError
from etl.invocation import install_hint, program_name
from etl.store.schema.session_settings import (
    GUARDS,
    NEEDED,
    format_options,
    read_options,
    set_all,
)
from etl.store.schema.url import find_sqlite_file, mask_password, parse_url, split_pgbouncer

BUSY_TIMEOUT: Final = 30_000
"""Milliseconds that a SQLite writer waits for another one."""

ATTEMPTS: Final = 100

HINTS: Final = {
    "22P05": "the database's encoding can't hold it: move to one with ENCODING 'UTF8'",
    "25006": "a standby? or is default_transaction_read_only on for this database or role?",
    "25P04": "transaction_timeout of this database or role is too short",
    "3F000": "create the schema that search_path names, or let it name one that is there",
    "42501": "the role lacks a right: did the owner run db upgrade? docs/operations.md lists them",
    "55P03": "another session holds what this one needs: wait for it, or end it",
    "57014": "the server is slow, or statement_timeout of this database or role is too short",
}
"""By PostgreSQL's SQLSTATE: its words may be of any language. A refused connection has none."""

WRITING: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "journal_size_limit=67108864",
    "wal_autocheckpoint=8000",
)

MOST_PARAMETERS: Final = 500
"""Of a statement, for lists of ids: SQLite takes 32,766 at most, before 3.32 only 999."""


def open_engine(url: str, *, only_reads: bool = False) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql://...`. Raises ConfigError for other URLs.

    With `only_reads`, opening a SQLite file doesn't turn it into one with a write-ahead log.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, () if only_reads else WRITING)
    return _open_postgres(parsed)


@contextmanager
def open_temporary_engine(url: str, *, only_reads: bool = False) -> Iterator[Engine]:
    """An engine that is closed at the end. Raises as `open_engine` does, and StoreError."""
    engine = open_engine(url, only_reads=only_reads)
    try:
        with translate_errors(url):
            yield engine
    finally:
        engine.dispose()


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn the driver's errors into one StoreError with a hint."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(*_explain(error, url)) from error
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the database {mask_password(url)} can't be used: {error}") from error


def _open_sqlite(url: URL, more: tuple[str, ...]) -> Engine:
    # The connection used last is the next one's: the others' caches of pages are stale by then.
    engine = sqlalchemy.create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT / 1000, "check_same_thread": False},
        pool_use_lifo=True,
    )
    event.listen(engine, "connect", lambda connection, _: _configure_sqlite(connection, more))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _configure_sqlite(connection: Any, more: tuple[str, ...]) -> None:
    # The driver must not open transactions by itself: `_begin_immediate` does.
    connection.isolation_level = None
    try:
        for pragma in (f"busy_timeout={BUSY_TIMEOUT}", *more):
            _set(connection, pragma)
    except BaseException:
        # The pool doesn't know it yet, so nobody else would close it.
        connection.close()
        raise


def _set(connection: Any, pragma: str) -> None:
    """Set a pragma; again, where another process is just giving the file its write-ahead log.

    SQLite's busy handler doesn't wait for that one.
    """
    for _ in range(ATTEMPTS):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
        time.sleep(0.05)
    connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    """Writers wait for their turn at the start, where waiting works, not at an upgrade."""
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("reads") else "BEGIN IMMEDIATE")


def _open_postgres(url: URL) -> Engine:
    pooled, url = split_pgbouncer(url)
    try:
        from etl.store.schema.cursor_class import PlainCursor, list_arguments, read_default_options

        _check_arguments(url, list_arguments())
        given = " ".join(_list_values(url, "options")) or read_default_options()
        arguments = _make_arguments(url, given, pooled=pooled) | {"cursor_factory": PlainCursor}
        engine = sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=60,
            # Where it is stricter, a writer that meets another fails instead of taking its turn.
            isolation_level="READ COMMITTED",
            connect_args=arguments,
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        hint = install_hint("postgres")
        raise ConfigError(
            "PostgreSQL needs the driver psycopg, which isn't installed", hint
        ) from None
    # A list of rows is one statement, where that can be.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    if pooled:
        _set_in_transactions(engine, GUARDS | read_options(given) | NEEDED)
    else:
        event.listen(engine, "connect", _set_in_session)
    return engine


def _check_arguments(url: URL, known: set[str]) -> None:
    if not known.issuperset(url.query):
        hint = "check what follows the `?`; in a password there, & and % must be percent-encoded"
        raise ConfigError("database.url has an option that PostgreSQL doesn't know", hint)


def _make_arguments(url: URL, options: str, *, pooled: bool) -> dict[str, Any]:
    """What psycopg is told beside the URL."""
    arguments: dict[str, Any] = {"connect_timeout": 10, "client_encoding": "UTF8"}
    if "application_name" not in url.query:
        arguments["application_name"] = "gumloop-etl"
    if pooled:
        # Between transactions the server's connection is another client's.
        return arguments | {"prepare_threshold": None, "options": ""}
    return arguments | {"options": f"{format_options(GUARDS)} {options}"}


def _set_in_transactions(engine: Engine, settings: dict[str, str]) -> None:
    statement = set_all(settings, local=True).replace("%", "%%")
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))


def _set_in_session(connection: Any, _record: object) -> None:
    """Not by `options`: PGDATESTYLE and PGTZ would win over them."""
    connection.autocommit = True
    connection.execute(set_all(NEEDED, local=False))
    connection.autocommit = False


def _list_values(url: URL, name: str) -> tuple[str, ...]:
    found = url.query.get(name, ())
    return (found,) if isinstance(found, str) else tuple(found)


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT of the database's own dialect, which knows `ON CONFLICT`."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(table)


def _explain(error: SQLAlchemyError, url: str) -> tuple[str, str]:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(cause).split())[:300]
    message = f"the database {mask_password(url)} can't be used: {text}"
    state = str(getattr(cause, "sqlstate", None))
    return message, HINTS.get(state) or _make_hint(text, url)


def _make_hint(text: str, url: str) -> str:
    file = (find_sqlite_file(url) or Path()).absolute()
    closed = f"can the folder {file.parent} be written?"
    for words, hint in {
        "unable to open": "it is a folder: name a file in it" if file.is_dir() else closed,
        "readonly": "the file or its folder can't be written by this user",
        "disk is full": "make room; nothing stored is lost, the next run goes on",
        "disk I/O": "is the disk full or failing? nothing stored is lost",
        "No space left": "make room; nothing stored is lost, the next run goes on",
        "locked": "another program holds the file; wait or close it",
        "not a database": "database.url points at a file of another kind",
        "no such table": f"`{program_name()} db upgrade` makes the tables",
        "does not exist": f"create the database or role, then `{program_name()} db upgrade`",
        "no password supplied": "set PGPASSWORD or PGPASSFILE, or put it into database.url",
        "password authentication": "check the user and password in database.url",
        "startup parameter": "behind pgbouncer? write ?pgbouncer=true at the end of database.url",
        "refused": "is PostgreSQL running at that host and port?",
        "resolve": "check the host in database.url",
    }.items():
        if words in text:
            return hint
    return ""
