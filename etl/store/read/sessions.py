"""What a run reads about the stored sessions before it walks."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from etl.models import BEGINNING
from etl.store.runs.agent_state import find_newest_below
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.suspects import count_present


def count_sessions(store: Store, agent_id: str, most: int) -> int:
    """How many sessions of an agent are stored; counting stops at `most`."""
    some = select(t.sessions.c.id).where(t.sessions.c.agent_id == agent_id).limit(most)
    query = select(func.count()).select_from(some.subquery())
    with store.connect() as connection:
        return int(connection.execute(query).scalar_one())


def find_newest_session(store: Store, agent_id: str, before: datetime) -> datetime | None:
    """The newest `created_at` stored of an agent, before an instant."""
    with store.connect() as connection:
        return find_newest_below(connection, agent_id, before)


def read_instants(
    store: Store, agent_id: str, most: int, since: datetime = BEGINNING
) -> tuple[list[datetime], int]:
    """About `most` of the stored instants since then, evenly spread over the rows, oldest first.

    Returns them and the number of rows from one to the next.
    """
    c = t.sessions.c
    mine = (c.agent_id == agent_id, c.created_at >= since)
    number = func.row_number().over(order_by=c.created_at)
    with store.connect() as connection:
        stored = connection.execute(select(func.count()).where(*mine)).scalar_one()
        step = max(1, stored // most)
        rows = select(c.created_at, number.label("number")).where(*mine).subquery()
        every = select(rows.c.created_at).where(rows.c.number % step == 0)
        return list(connection.scalars(every.order_by(rows.c.created_at))), step


def has_undated(store: Store, agent_id: str) -> bool:
    """Whether sessions without `created_at` are stored of an agent."""
    c = t.sessions.c
    query = select(c.id).where(c.agent_id == agent_id, c.created_at.is_(None)).limit(1)
    with store.connect() as connection:
        return connection.execute(query).first() is not None


def sample_ids(connection: Connection, agent_id: str, size: int) -> tuple[int, list[str]]:
    """How many sessions are stored and not missing, and some of them drawn at random."""
    c = t.sessions.c
    present = select(c.id).where(c.agent_id == agent_id, c.missing_since.is_(None))
    drawn = connection.scalars(present.order_by(func.random()).limit(size))
    return count_present(connection, agent_id), list(drawn)
