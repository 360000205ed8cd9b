"""A process that is frozen in a transaction: the server's guard ends it, whatever it was at."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.process.project import until
from tests.support.postgres import Cluster

GUARD = "?options=-c%20idle_in_transaction_session_timeout%3D1s"
SET_UP = """
import time
from sqlalchemy import Column, Integer, MetaData, Table
from etl.store.engine import inserting, open_engine
from etl.store.postgres import PostgresRows
table = Table("things", MetaData(), Column("id", Integer), Column("as_of", Integer))
rows = [(1, 2), (2, 2), (3, 2)]
dicts = [dict(zip(("id", "as_of"), row)) for row in rows]
with open_engine({url!r}).begin() as connection:
    statement = inserting(connection, table)
    print("ready", flush=True)
    {work}
    time.sleep(100)
"""
UPSERT = "statement.on_conflict_do_update(index_elements=['id'], set_={set})"
WORKS = {
    "rows of the driver": "PostgresRows.upsert(connection, 'things', ('id', 'as_of'), rows)",
    "rows of Core": f"connection.execute({UPSERT}, dicts)".format(
        set="{'as_of': statement.excluded.as_of}"
    ),
    "rows that Core can't join": f"connection.execute({UPSERT}, dicts)".format(set="{'as_of': 2}"),
}


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    fresh = postgres.fresh()
    with psycopg.connect(fresh) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY, as_of int)")
        connection.execute("INSERT INTO things VALUES (1, 0)")
    yield fresh
    postgres.drop(fresh)


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_its_locks_are_freed_though_it_was_at_a_list_of_rows(url: str, work: str) -> None:
    """The rows wait for a lock at first, so that it is frozen amid them."""
    rival = psycopg.connect(url)
    rival.execute("UPDATE things SET as_of = 1")
    code = SET_UP.format(url=url + GUARD, work=work)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with psycopg.connect(url, autocommit=True) as watch:
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            [pid] = until(lambda: watch.execute(waiting).fetchone(), "it waits for the row")
            process.send_signal(signal.SIGSTOP)
            rival.rollback()
            there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"

            until(lambda: watch.execute(there, [pid]).fetchone() is None, "the server's guard", 20)

            watch.execute("UPDATE things SET as_of = 3")
    finally:
        process.kill()
        process.communicate()
        rival.close()
