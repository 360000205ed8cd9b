"""The databases of the torture tests, read and changed by their drivers alone.

Nothing here is shared with `etl/store` but the database itself.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row

from etl.clock import utc_now
from etl.store.schema import migrate
from etl.store.store import Store
from tests.support.postgres import Cluster
from tests.support.waiting import PATIENCE

Rows = list[dict[str, Any]]
TABLES = ("sessions", "creators", "session_states", "sync_state", "coverage", "sync_runs")
TABLES += ("session_freshness", "rejected_records", "suspects")
KINDS = ("sqlite", "postgres")


class Database(Protocol):
    """One database, until it is dropped."""

    url: str

    def snapshot(self) -> dict[str, Rows]:
        """Every table and the view, all as of one moment."""

    def broken(self) -> list[Any]:
        """What its own check of integrity finds."""

    def execute(self, statement: str, *values: object) -> None:
        """Change it behind the program's back; `?` stands for a value."""

    def drop(self) -> None:
        """Remove it."""


class SqliteFile:
    """A file; a copy of `template`, if that is given."""

    def __init__(self, file: Path, template: Path | None = None) -> None:
        self.file = file
        self.url = f"sqlite:///{file}"
        if template:
            shutil.copy(template, file)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file, timeout=PATIENCE)

    def snapshot(self) -> dict[str, Rows]:
        with closing(self._connect()) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            return {name: [dict(row) for row in connection.execute(query(name))] for name in TABLES}

    def broken(self) -> list[Any]:
        with closing(self._connect()) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
        return [one for one in found if one != ("ok",)] + foreign

    def execute(self, statement: str, *values: object) -> None:
        with closing(self._connect()) as connection, connection:
            connection.execute(statement, values)

    def drop(self) -> None:
        for end in ("", "-wal", "-shm"):
            self.file.with_name(self.file.name + end).unlink(missing_ok=True)


class PostgresDatabase:
    """A new database of a server; a copy of `template`, if that is given."""

    def __init__(self, cluster: Cluster, template: str | None = None) -> None:
        self.cluster = cluster
        self.url = cluster.fresh(template)
        # One for all reading: a server needs longer to begin a session than to answer.
        self._connection = psycopg.connect(
            self.url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC"
        )

    def snapshot(self) -> dict[str, Rows]:
        connection = self._connection
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return {
                name: [plain(row) for row in connection.execute(query(name))] for name in TABLES
            }

    def broken(self) -> list[Any]:
        return []

    def execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement.replace("?", "%s"), values)

    def drop(self) -> None:
        self._connection.close()
        self.cluster.drop(self.url)


def query(table: str) -> str:
    """All of a table, always in the same order."""
    return f"SELECT * FROM {table} ORDER BY 1, 2, 3"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of PostgreSQL with the numbers that SQLite gives, too."""
    return {name: float(it) if isinstance(it, Decimal) else it for name, it in row.items()}


class Databases:
    """Makes databases with the newest schema, each a copy of one that was made once."""

    def __init__(self, cluster: Cluster | None, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self._template: str | Path | None = None
        self._count = 0

    def make(self) -> Database:
        """A new one."""
        self._count += 1
        if self.cluster:
            self._template = self._template or self._fill(self.cluster.fresh()).rsplit("/", 1)[1]
            return PostgresDatabase(self.cluster, str(self._template))
        if not self._template:
            self._template = self.folder / "template.db"
            self._fill(f"sqlite:///{self._template}")
        return SqliteFile(self.folder / f"{self._count}.db", Path(self._template))

    def _fill(self, url: str) -> str:
        store = Store(url, utc_now)
        migrate.upgrade(store.engine)
        # Closing the last connection moves everything into a file itself.
        store.close()
        return url


@contextmanager
def temporary_databases(cluster: Cluster | None) -> Iterator[Databases]:
    """Of a server, or files in a folder that goes away at the end."""
    with tempfile.TemporaryDirectory(prefix="etl-torture-") as folder:
        yield Databases(cluster, Path(folder))
