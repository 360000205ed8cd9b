"""Opening the database: SQLite embedded, PostgreSQL as a server."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from etl.errors import ConfigError, StoreError

__all__ = ["open_engine", "shown", "told"]

BUSY_TIMEOUT: Final = 30_000
"""Milliseconds that a SQLite writer waits for another one."""

CACHE_KIB: Final = 32_768
ATTEMPTS: Final = 100

WRITING: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "journal_size_limit=67108864",
    "wal_autocheckpoint=8000",
)


def open_engine(url: str, *, only_reads: bool = False) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql://...`. Raises ConfigError for other URLs.

    With `only_reads`, opening a SQLite file doesn't turn it into one with a write-ahead log.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, () if only_reads else WRITING)
    return _postgres(parsed)


def shown(url: str) -> str:
    """The URL as it may be shown: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(unreadable database.url)"


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn the driver's errors into one StoreError with a hint."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(*_explain(error, url)) from error
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the database {shown(url)} can't be used: {error}") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("database.url is not a database URL", _forms()) from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise ConfigError(
            f"database.url names {parsed.drivername!r}, which is not supported", _forms()
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("database.url needs a file for SQLite", _forms())
    return parsed


def _forms() -> str:
    return "use sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def _sqlite(url: URL, more: tuple[str, ...]) -> Engine:
    engine = sqlalchemy.create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT / 1000, "check_same_thread": False}
    )
    event.listen(engine, "connect", lambda connection, _: _configure_sqlite(connection, more))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _configure_sqlite(connection: Any, more: tuple[str, ...]) -> None:
    # The driver must not open transactions by itself: `_begin_immediate` does.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_TIMEOUT}", f"cache_size=-{CACHE_KIB}", *more):
        _set(connection, pragma)


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


def _postgres(url: URL) -> Engine:
    try:
        return sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=60,
            connect_args={"connect_timeout": 10}
            | ({} if "application_name" in url.query else {"application_name": "gumloop-etl"}),
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        hint = "pip install 'gumloop-etl[postgres]'"
        raise ConfigError(
            "PostgreSQL needs the driver psycopg, which isn't installed", hint
        ) from None


def _explain(error: SQLAlchemyError, url: str) -> tuple[str, str]:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(cause).split())[:300]
    message = f"the database {shown(url)} can't be used: {text}"
    return message, _hint(text, url)


def _hint(text: str, url: str) -> str:
    folder = Path(make_url(url).database or ".").absolute().parent
    for words, hint in {
        "unable to open": f"can the folder {folder} be written?",
        "readonly": "the file or its folder can't be written by this user",
        "disk is full": "make room; nothing stored is lost, the next run goes on",
        "disk I/O": "is the disk full or failing? nothing stored is lost",
        "No space left": "make room; nothing stored is lost, the next run goes on",
        "locked": "another program holds the file; wait or close it",
        "not a database": "database.url points at a file of another kind",
        "no such table": "`python -m etl db upgrade` makes the tables",
        "does not exist": "create the database or role, then `python -m etl db upgrade`",
        "no password supplied": "set PGPASSWORD or PGPASSFILE, or put it into database.url",
        "password authentication": "check the user and password in database.url",
        "refused": "is PostgreSQL running at that host and port?",
        "resolve": "check the host in database.url",
        "permission denied": "the role lacks a right; docs/operations.md lists those it needs",
    }.items():
        if words in text:
            return hint
    return ""
