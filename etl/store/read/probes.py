"""What the probes of `run` read: a row per agent by its key, and the open sessions by their index.

Reads only, and briefly: PostgreSQL itself ends one that takes longer than `STATEMENT_TIMEOUT`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select, table
from sqlalchemy.sql import column

from etl.errors import SchemaMismatch
from etl.invocation import program_name
from etl.models import WATCHED_STATES
from etl.store.runs import lease as leases
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant
from etl.store.schema.engine import translate_errors
from etl.store.store import Store

STATEMENT_TIMEOUT: Final = timedelta(seconds=2)
Holder = Literal["us", "other", "free"]

freshness: Final = table(
    "session_freshness", column("session_id"), column("state_confirmed_at", Instant)
)


class AgentProbe(NamedTuple):
    """An agent's state in short. `proven_at`: as of when all its stored rows are known; None where
    some are not. `lease`: who works on it now.
    """

    watermark: datetime | None = None
    last_success_at: datetime | None = None
    last_reconciled_at: datetime | None = None
    proven_at: datetime | None = None
    lease: Holder = "free"


class OpenSessionsProbe(NamedTuple):
    """An agent's open sessions: how many, and the oldest last confirmation of those watched."""

    sessions: int = 0
    confirmed_at: datetime | None = None


def require_current(store: Store) -> None:
    """Raise SchemaMismatch unless the schema is this program's, StoreError if it can't be read."""
    with translate_errors(store.url):
        found = migrate.read_revision(store.engine)
    if found != migrate.HEAD:
        hint = f"`{program_name()} db upgrade`"
        raise SchemaMismatch(f"the database has schema {found}, not {migrate.HEAD}", hint)


def read_agents(store: Store, agent_ids: Sequence[str]) -> dict[str, AgentProbe]:
    """The state of these agents; one without a row was never run. Raises StoreError."""
    state, spans = t.sync_state.c, t.coverage.c
    oldest = func.min(spans.proven_at, type_=Instant)
    whole = func.count(spans.proven_at) == func.count()
    proven = (
        select(spans.agent_id, case((whole, oldest)).label("proven_at"))
        .group_by(spans.agent_id)
        .subquery()
    )
    query = (
        select(
            state.agent_id,
            state.watermark,
            state.last_success_at,
            state.last_reconciled_at,
            state.lease_holder,
            state.lease_expires_at,
            proven.c.proven_at,
        )
        .join_from(t.sync_state, proven, proven.c.agent_id == state.agent_id, isouter=True)
        .where(state.agent_id.in_(agent_ids))
    )
    with _connect_briefly(store) as connection:
        now = leases.read_database_time(connection)
        return {
            row.agent_id: AgentProbe(
                row.watermark,
                row.last_success_at,
                row.last_reconciled_at,
                row.proven_at,
                _name_holder(row.lease_holder, row.lease_expires_at, now),
            )
            for row in connection.execute(query)
        }


def read_open_sessions(
    store: Store, agent_ids: Sequence[str], now: datetime, idle_recheck: timedelta
) -> dict[str, OpenSessionsProbe]:
    """The open sessions of these agents that are not missing. Raises StoreError.

    Watched is one that is not settled, unless it was left idle for longer than `idle_recheck`.
    """
    c = t.sessions.c
    watched = or_(c.state.in_(WATCHED_STATES), c.updated_at >= now - idle_recheck)
    confirmed = func.min(case((watched, freshness.c.state_confirmed_at)), type_=Instant)
    query = (
        select(c.agent_id, func.count().label("sessions"), confirmed.label("confirmed_at"))
        .join_from(t.sessions, freshness, freshness.c.session_id == c.id)
        .where(and_(c.agent_id.in_(agent_ids), t.IS_OPEN, c.missing_since.is_(None)))
        .group_by(c.agent_id)
    )
    with _connect_briefly(store) as connection:
        found = connection.execute(query)
        return {row.agent_id: OpenSessionsProbe(row.sessions, row.confirmed_at) for row in found}


@contextmanager
def _connect_briefly(store: Store) -> Iterator[Connection]:
    with store.connect() as connection:
        if connection.dialect.name == "postgresql":
            limit = int(STATEMENT_TIMEOUT.total_seconds() * 1000)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit}")
        yield connection


def _name_holder(holder: str | None, expires_at: datetime | None, now: datetime) -> Holder:
    if holder is None or expires_at is None or expires_at <= now:
        return "free"
    return "us" if leases.is_this_process(holder) else "other"
