"""What `status`, `runs` and `sync --explain` read. Nothing here writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, or_, select

from etl.errors import SchemaMismatch
from etl.models import SETTLED_STATES
from etl.planning.coverage import Gap
from etl.store import migrate
from etl.store import tables as t
from etl.store.engine import told
from etl.store.state import AgentState
from etl.store.store import Store

__all__ = [
    "AgentStatus",
    "agent_status",
    "known_agents",
    "recent_runs",
    "require_schema",
    "rows_within",
]


class AgentStatus(NamedTuple):
    """One agent at a glance."""

    agent_id: str
    name: str | None
    state: AgentState
    sessions: int
    open_sessions: int
    missing: int
    rejected: int
    last_run: Row[Any] | None
    last_error: str | None


def require_schema(store: Store) -> None:
    """Raise SchemaMismatch unless the database is one that this program can read."""
    with told(store.url):
        found = migrate.current(store.engine)
    if found != migrate.HEAD:
        what = f"has schema {found}" if found else "has no tables yet"
        hint = "a first `python -m etl sync` or `python -m etl db upgrade` makes it ready"
        raise SchemaMismatch(f"the database {store.shown_url} {what}", hint)


def known_agents(store: Store) -> list[str]:
    """The agents that have rows, configured or not."""
    with store.reading() as connection:
        return list(connection.execute(select(t.agents.c.id).order_by(t.agents.c.id)).scalars())


def agent_status(store: Store, agent_id: str) -> AgentStatus:
    """Read one agent's status."""
    state = store.state(agent_id)
    sessions, runs, rejected = t.sessions.c, t.sync_runs, t.rejected_records.c
    mine = sessions.agent_id == agent_id
    is_open = or_(sessions.state.is_(None), sessions.state.not_in(SETTLED_STATES))
    newest = select(runs).where(runs.c.agent_id == agent_id).order_by(runs.c.id.desc()).limit(1)
    with store.reading() as connection:

        def count(*conditions: Any) -> int:
            return int(connection.execute(select(func.count()).where(*conditions)).scalar_one())

        name = connection.execute(select(t.agents.c.name).where(t.agents.c.id == agent_id)).scalar()
        last = connection.execute(newest).first()
        failed = connection.execute(newest.where(runs.c.error.is_not(None))).first()
        return AgentStatus(
            agent_id,
            name,
            state,
            count(mine),
            count(mine, is_open, sessions.missing_since.is_(None)),
            count(mine, sessions.missing_since.is_not(None)),
            count(rejected.agent_id == agent_id, rejected.resolved_at.is_(None)),
            last,
            failed.error if failed else None,
        )


def recent_runs(store: Store, agent_ids: Sequence[str] | None, limit: int) -> list[dict[str, Any]]:
    """The newest runs first."""
    query = select(t.sync_runs).order_by(t.sync_runs.c.id.desc()).limit(limit)
    if agent_ids:
        query = query.where(t.sync_runs.c.agent_id.in_(agent_ids))
    with store.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def rows_within(store: Store, agent_id: str, gap: Gap) -> int:
    """How many stored sessions lie in a gap."""
    c = t.sessions.c
    bounds: tuple[datetime, datetime] = (gap.oldest, gap.newest)
    query = select(func.count()).where(
        c.agent_id == agent_id, c.created_at >= bounds[0], c.created_at < bounds[1]
    )
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())
