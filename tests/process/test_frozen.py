"""A process that is frozen in a transaction is ended: by the server's guard, or by who waits."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from etl.clock import utc_now
from etl.errors import StoreError
from etl.store.runs import lease as leases
from etl.store.schema.engine import translate_errors
from etl.store.store import Store
from tests.support.postgres import Cluster
from tests.support.waiting import until

GUARD = "?options=-c%20idle_in_transaction_session_timeout%3D1s"
SET_UP = """
import time
from sqlalchemy import Column, Integer, MetaData, Table
from etl.store.schema.engine import insert_into, open_engine
from etl.store.write.postgres_copy import PostgresRows
table = Table("things", MetaData(), Column("id", Integer), Column("as_of", Integer))
rows = [(1, 2), (2, 2), (3, 2)]
dicts = [dict(zip(("id", "as_of"), row)) for row in rows]
with open_engine({url!r}).begin() as connection:
    statement = insert_into(connection, table)
    print("ready", flush=True)
    {work}
    time.sleep(1000)
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
        connection.execute("CREATE TABLE things (id int PRIMARY KEY, as_of int, updated_at int)")
        connection.execute("INSERT INTO things VALUES (1, 0, 0)")
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

            until(lambda: watch.execute(there, [pid]).fetchone() is None, "the server's guard")

            watch.execute("UPDATE things SET as_of = 3")
    finally:
        process.kill()
        process.communicate()
        rival.close()


AMID_A_COPY = """
import time
from etl.store.schema.engine import open_engine
with open_engine({url!r}).begin() as connection:
    connection.exec_driver_sql("UPDATE things SET as_of = 2")
    driver = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy("COPY things (id) FROM STDIN") as copy:
        copy.write_row((7,))
        print("ready", flush=True)
        time.sleep(1000)
"""


@pytest.mark.long
def test_who_waits_for_one_that_is_frozen_amid_a_copy_ends_it(url: str) -> None:
    """No guard of the server does: it reads the rows of a COPY and heeds no timeout meanwhile."""
    code = AMID_A_COPY.format(url=url)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    store = Store(url, utc_now)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)

        store.transact(lambda rival: rival.exec_driver_sql("UPDATE things SET as_of = 3"))

        with psycopg.connect(url) as watch:
            assert watch.execute("SELECT id, as_of FROM things").fetchall() == [(1, 3)]
    finally:
        store.close()
        process.kill()
        process.communicate()


def test_who_waits_leaves_readers_and_strangers_alone(url: str) -> None:
    """What only reads holds no row, and another program's transactions are its own affair."""
    with (
        closing(Store(url, utc_now)) as store,
        closing(Store(url, utc_now)) as other,
        other.engine.connect() as reader,
        psycopg.connect(url, application_name="psql") as stranger,
        other.engine.begin() as young,
    ):
        reader.exec_driver_sql("SELECT * FROM things")
        stranger.execute("UPDATE things SET as_of = 5")
        young.exec_driver_sql("INSERT INTO things VALUES (9, 9)")
        with store.engine.begin() as connection:
            assert leases.end_frozen(connection, timedelta(0)) == 1
        with pytest.raises(OperationalError):
            young.exec_driver_sql("SELECT 1")
        reader.exec_driver_sql("SELECT 1")
        stranger.execute("SELECT 1")
        young.rollback()


def test_who_waited_in_vain_is_told_what_to_do(url: str) -> None:
    with (
        closing(Store(url + "?options=-c%20lock_timeout%3D50ms", utc_now)) as store,
        psycopg.connect(url, application_name="psql") as stranger,
        store.connect() as connection,
    ):
        stranger.execute("UPDATE things SET as_of = 5")
        with pytest.raises(StoreError, match="lock timeout") as error, translate_errors(url):
            connection.exec_driver_sql("UPDATE things SET as_of = 6")
    assert "another session" in error.value.hint
