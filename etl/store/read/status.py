"""What `status`, `runs` and `sync --explain` read. Nothing here writes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Engine, Row, and_, case, false, func, or_, select

from etl.errors import SchemaMismatch, StoreError
from etl.invocation import program_name
from etl.planning.coverage import Coverage, Gap
from etl.planning.run_demand import AgentState
from etl.store.read.unread import Unread, load_unread
from etl.store.runs.lease import name_holder
from etl.store.runs.next_runs import find_next_run
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.schema.engine import open_temporary_engine, translate_errors
from etl.store.schema.url import find_sqlite_file, mask_password
from etl.store.store import Store

AGES: Final = (timedelta(minutes=15), timedelta(days=1), timedelta(days=7))
"""The classes of freshness: known to be right as of so long ago at most."""


class AgentStatus(NamedTuple):
    """One agent at a glance."""

    agent_id: str
    name: str | None
    state: AgentState
    sessions: int
    open_sessions: int
    missing: int
    unread: Unread
    oldest: datetime | None
    fresh: tuple[int, ...]
    last_run: Row[Any] | None
    last_error: str | None
    next_run_at: datetime | None = None


def require_schema(store: Store) -> None:
    """Raise SchemaMismatch unless the database is one that this program can read."""
    require_schema_of(store.engine, store.url)


def require_schema_of(engine: Engine, url: str) -> None:
    """Raise SchemaMismatch unless an engine's database is one that this program can read."""
    require_file(url)
    with translate_errors(url):
        found = migrate.read_revision(engine)
    if found is None:
        hint = f"a first `{program_name()} sync` or `{program_name()} db upgrade` makes it ready"
        raise SchemaMismatch(f"the database {mask_password(url)} has no tables yet", hint)
    if found != migrate.HEAD:
        raise migrate.make_mismatch(found)


def is_new(url: str) -> bool:
    """Whether a first sync would make this database's tables. Creates nothing.

    Raises SchemaMismatch if other tables have the names of ours, StoreError.
    """
    file = find_sqlite_file(url)
    if file is not None and not file.exists():
        return True
    with open_temporary_engine(url, only_reads=True) as engine:
        return migrate.read_revision(engine) is None


def require_file(url: str) -> None:
    """Raise StoreError if a SQLite file isn't there: reading must not make one."""
    file = find_sqlite_file(url)
    if file is not None and not file.exists():
        hint = f"a first `{program_name()} sync` makes it; or is database.url wrong?"
        raise StoreError(f"there is no database {file.absolute()} yet", hint)


def read_agent_names(store: Store) -> dict[str, str | None]:
    """The names of the agents that have rows, configured or not, by id."""
    c = t.agents.c
    with store.connect() as connection:
        rows = connection.execute(select(c.id, c.name).order_by(c.id))
        return {row.id: row.name for row in rows}


def list_known_agents(store: Store) -> list[str]:
    """The agents that have rows, configured or not."""
    return list(read_agent_names(store))


def read_agent_status(store: Store, agent_id: str, now: datetime) -> AgentStatus:
    """Read one agent's status."""
    state = store.load_state(agent_id)
    sessions, runs = t.sessions.c, t.sync_runs
    mine = sessions.agent_id == agent_id
    proven_since = [_count_proven(state.coverage, now - age) for age in AGES]
    newest = select(runs).where(runs.c.agent_id == agent_id).order_by(runs.c.id.desc()).limit(1)
    with store.connect() as connection:
        # All sessions of the agent are read, so once for all of these.
        counts = (func.count(), func.count(sessions.missing_since), *proven_since)
        stored, missing, *proven = connection.execute(select(*counts).where(mine)).one()
        present = (mine, sessions.missing_since.is_(None))
        opened = connection.execute(select(func.count()).where(*present, t.IS_OPEN)).scalar_one()
        oldest = connection.scalar(select(func.min(sessions.created_at)).where(mine))
        name = connection.scalar(select(t.agents.c.name).where(t.agents.c.id == agent_id))
        last = connection.execute(newest).first()
        failed = connection.execute(newest.where(runs.c.error.is_not(None))).first()
        return AgentStatus(
            agent_id,
            name,
            state,
            stored,
            opened,
            missing,
            load_unread(connection, agent_id),
            oldest,
            tuple(proven),
            last,
            failed.error if failed else None,
            find_next_run(connection, agent_id, name_holder(), now),
        )


def _count_proven(coverage: Coverage, at: datetime) -> ColumnElement[int]:
    """How many present sessions lie where everything has been proven since then."""
    c = t.sessions.c
    spans = [s for s in coverage if s.proven_at is not None and s.proven_at >= at]
    within = (and_(c.created_at >= span.oldest, c.created_at < span.newest) for span in spans)
    return func.count(case((and_(c.missing_since.is_(None), or_(false(), *within)), 1)))


def find_last_start(store: Store, agent_id: str, mode: str, now: datetime) -> datetime | None:
    """When the newest successful run of this mode began, ignoring times in the future."""
    c = t.sync_runs.c
    query = select(func.max(c.started_at)).where(
        c.agent_id == agent_id, c.mode == mode, c.status == "succeeded", c.started_at <= now
    )
    with store.connect() as connection:
        started: datetime | None = connection.scalar(query)
        return started


def list_recent_runs(
    store: Store, agent_ids: Sequence[str] | None, limit: int
) -> list[dict[str, Any]]:
    """The newest runs first."""
    query = select(t.sync_runs).order_by(t.sync_runs.c.id.desc()).limit(limit)
    if agent_ids:
        query = query.where(t.sync_runs.c.agent_id.in_(agent_ids))
    with store.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def count_rows_within(store: Store, agent_id: str, gap: Gap) -> int:
    """How many stored sessions lie in a gap."""
    c = t.sessions.c
    within = (c.created_at >= gap.oldest, c.created_at < gap.newest)
    query = select(func.count()).where(c.agent_id == agent_id, *within)
    with store.connect() as connection:
        return int(connection.execute(query).scalar_one())
