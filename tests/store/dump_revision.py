"""Dump the current schema before a migration changes it.

The newest dumps, upgraded by this program: `python -m tests.store.dump_revision`.
"""

import re
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg

from etl.store.schema import migrate
from etl.store.schema.engine import open_engine
from tests.support.postgres import Server, cluster

DUMPS = Path(__file__).parent / "dumps"
OPTIONS = ("--inserts", "--no-owner", "--no-privileges", "--no-comments")
IS_INDEX = re.compile("(?!CREATE TRIGGER).*(message_search|writable_schema)", re.DOTALL)
FILL_SEARCH = (
    "INSERT INTO message_search (rowid, text)"
    " SELECT number, coalesce(search_text, content) FROM session_messages;"
)
NOISE = re.compile(r"^(--.*|\\.*|SET [a-z_]+ = .*;|)\n", re.MULTILINE)


def upgrade(url: str) -> None:
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()


def dump_sqlite(source: str, to: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "old.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(source)
        upgrade(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            to.write_text("\n".join(statements(connection)) + "\n", encoding="utf-8")


def statements(connection: sqlite3.Connection) -> list[str]:
    """The dump, in which the search index is made as the program makes it."""
    index = "SELECT sql || ';' FROM sqlite_master WHERE name = 'message_search'"
    search = [connection.execute(index).fetchone()[0], FILL_SEARCH]
    whole = [one for one in connection.iterdump() if not IS_INDEX.match(one)]
    first = next(n for n, one in enumerate(whole) if one.startswith("CREATE TRIGGER"))
    return [*whole[:first], *search, *whole[first:]]


def dump_postgres(source: bytes, to: Path) -> None:
    with cluster() as running:
        if not isinstance(running, Server):
            raise SystemExit("unset ETL_TEST_POSTGRES_URL: pg_dump must be as new as its server")
        url = running.fresh()
        with psycopg.connect(url) as connection:
            connection.execute(source)
        upgrade(url)
        command = [str(running.binaries / "pg_dump"), *OPTIONS, url]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        to.write_text(NOISE.sub("", text), encoding="utf-8")


def main() -> None:
    newest = max(path.stem.removeprefix("sqlite_") for path in DUMPS.glob("sqlite_*.sql"))
    if newest == migrate.HEAD:
        raise SystemExit(f"the dumps of {newest} are there")
    sqlite, postgres = DUMPS / f"sqlite_{newest}.sql", DUMPS / f"postgres_{newest}.sql"
    dump_postgres(postgres.read_bytes(), DUMPS / f"postgres_{migrate.HEAD}.sql")
    dump_sqlite(sqlite.read_text(encoding="utf-8"), DUMPS / f"sqlite_{migrate.HEAD}.sql")


if __name__ == "__main__":
    main()
