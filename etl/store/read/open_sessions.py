"""The open sessions of an agent, and where they lie in its list."""

from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select

from etl.models import BEGINNING, WATCHED_STATES
from etl.planning.coverage import Coverage
from etl.store.schema import tables as t


class OpenSession(NamedTuple):
    """A stored session that may have moved on since it was seen."""

    id: str
    state: str | None
    changed_at: datetime
    checked_at: datetime
    created_at: datetime | None


def list_open_sessions(
    connection: Connection, agent_id: str, coverage: Coverage, now: datetime, idle: timedelta
) -> list[OpenSession]:
    """The sessions whose last known state is open, but for those left idle for too long."""
    c, r = t.sessions.c, t.retrievals.c
    rows = connection.execute(
        select(c.id, c.state, c.updated_at, c.as_of, r.retrieved_at, c.created_at)
        .join_from(t.sessions, t.retrievals, isouter=True)
        .where(
            c.agent_id == agent_id,
            t.IS_OPEN,
            c.missing_since.is_(None),
            or_(c.state.in_(WATCHED_STATES), c.updated_at >= now - idle),
        )
    )
    return [_open_session(row, coverage) for row in rows]


def list_idle_instants(connection: Connection, agent_id: str, most: int) -> list[datetime]:
    """The instants of the stored sessions that are idle, newest first."""
    c = t.sessions.c
    idle = (c.agent_id == agent_id, t.IS_OPEN, c.state == "idle", c.missing_since.is_(None))
    instants = connection.scalars(select(c.created_at).where(*idle))
    # Put in order here: to read them in it, SQLite would go through all of the agent's sessions.
    return nlargest(most, (at for at in instants if at is not None))


def page_end(connection: Connection, agent_id: str, first: datetime, page_size: int) -> datetime:
    """The instant of the last row of a page that begins at an instant, as far as is stored."""
    c = t.sessions.c
    rows = select(c.created_at).where(c.agent_id == agent_id, c.created_at <= first)
    last = rows.order_by(c.created_at.desc()).offset(page_size - 1).limit(1)
    found: datetime | None = connection.scalar(last)
    return found or BEGINNING


def _open_session(row: Any, coverage: Coverage) -> OpenSession:
    times = [row.as_of, row.retrieved_at, _find_listed_at(coverage, row.created_at)]
    checked_at = max(time for time in times if time is not None)
    return OpenSession(row.id, row.state, row.updated_at, checked_at, row.created_at)


def _find_listed_at(coverage: Coverage, created_at: datetime | None) -> datetime | None:
    if created_at is None:
        return None
    spans = (span for span in coverage if span.oldest <= created_at < span.newest)
    return next((span.proven_at for span in spans), None)
