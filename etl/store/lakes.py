"""How far the lakes are that this database feeds: what `status` and the schedule go by."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from etl.store.schema import tables as t
from etl.store.schema.engine import insert_into
from etl.store.store import Store


class LakeStatus(NamedTuple):
    """A lake shows the database as of an instant; `error` if the last run failed."""

    target: str
    as_of: datetime | None = None
    finished_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None


def list_lakes(store: Store) -> list[LakeStatus]:
    """Every lake that was ever carried over to, by its address. Raises StoreError."""
    c = t.lakes.c
    columns = [c[name] for name in LakeStatus._fields]
    with store.connect() as connection:
        return [LakeStatus(*row) for row in connection.execute(select(*columns).order_by(c.target))]


def save_lake_success(store: Store, target: str, as_of: datetime) -> None:
    """The lake shows the database as it was then. Raises StoreError."""
    now = store.now()
    _save(store, target, {"as_of": as_of, "finished_at": now, "failed_at": None, "error": None})


def save_lake_failure(store: Store, target: str, error: str) -> None:
    """The last run failed; how far the lake is, stays. Raises StoreError."""
    _save(store, target, {"failed_at": store.now(), "error": error})


def _save(store: Store, target: str, values: dict[str, object]) -> None:
    def work(connection: Connection) -> None:
        statement = insert_into(connection, t.lakes).values({"target": target} | values)
        upsert = statement.on_conflict_do_update(index_elements=["target"], set_=values)
        connection.execute(upsert)

    store.transact(work)
