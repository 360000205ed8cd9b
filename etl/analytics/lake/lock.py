"""One run at a time for all lakes of a database, by a lock that belongs to the database."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from etl.errors import EtlError, StoreError
from etl.store.schema.url import find_sqlite_file

LOCK_ID: Final = 7_461_120_094
"""PostgreSQL's advisory lock, kept for the transaction that reads."""

BUSY_HINT: Final = "wait for it; what it misses, the next run updates"


class LakeBusy(EtlError):
    """Another process is carrying over from this database."""


@contextmanager
def lock_file(url: str) -> Iterator[None]:
    """Hold SQLite's lock: a file beside the database, which the kernel frees if we are killed."""
    file = find_sqlite_file(url)
    if file is None:
        yield
        return
    try:
        lock = os.open(f"{file}-lake.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        hint = "can the folder of the database be written?"
        raise StoreError(f"the lock beside the database can't be made: {error}", hint) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeBusy("another process is carrying over to a lake", BUSY_HINT) from None
        yield
    finally:
        os.close(lock)


def lock_server(connection: Connection) -> None:
    """Take PostgreSQL's lock until the end of the transaction. Raises LakeBusy."""
    if connection.dialect.name == "postgresql":
        query = f"SELECT pg_try_advisory_xact_lock({LOCK_ID})"
        if not connection.exec_driver_sql(query).scalar():
            raise LakeBusy("another process is carrying over to a lake", BUSY_HINT)
