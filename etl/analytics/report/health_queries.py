"""How far, how true and how whole the rows of a range are: what the report says of the sync."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from etl.analytics.figures.period import Period
from etl.planning.coverage import clip_to_now, list_gaps
from etl.planning.run_demand import AgentState
from etl.store.read.unread import Unread, load_unread
from etl.store.runs.agent_state import load_state
from etl.store.schema import tables as t


class Health(NamedTuple):
    """One agent's part of a range.

    Nothing that began before `as_of` is lacking, but for what lies in a number of `holes`; None:
    none of it was ever walked. `stalest` is as of when the row with the oldest proof is known.
    """

    agent_id: str
    as_of: datetime | None
    holes: int
    stalest: datetime | None
    watermark: datetime | None
    last_success_at: datetime | None
    last_reconciled_at: datetime | None
    open_sessions: int
    missing: int
    unread: Unread
    last_run: Row[Any] | None


def load_health(connection: Connection, agent_id: str, period: Period, now: datetime) -> Health:
    """Read the health of an agent's rows by a few look-ups, whatever the history's size."""
    state = load_state(connection, agent_id)
    as_of, holes = _find_whole(state, period, now)
    runs = t.sync_runs
    newest = select(runs).where(runs.c.agent_id == agent_id).order_by(runs.c.id.desc()).limit(1)
    return Health(
        agent_id,
        as_of,
        holes,
        _find_stalest(state, period),
        state.watermark,
        state.last_success_at,
        state.last_reconciled_at,
        *_count_sessions(connection, agent_id, period),
        load_unread(connection, agent_id),
        connection.execute(newest).first(),
    )


def _find_whole(state: AgentState, period: Period, now: datetime) -> tuple[datetime | None, int]:
    """Up to where the range was walked, and how many holes lie before that."""
    begin = min(max(period.since, state.floor), period.until)
    lacking = list_gaps(clip_to_now(state.coverage, now), begin, period.until, None)
    if not lacking or lacking[-1].newest < period.until:
        return period.until, len(lacking)
    as_of = lacking[-1].oldest
    return (as_of if as_of > begin else None), len(lacking) - 1


def _find_stalest(state: AgentState, period: Period) -> datetime | None:
    since, until = period
    proofs = [s.proven_at for s in state.coverage if s.newest > since and s.oldest < until]
    return None if None in proofs else min((at for at in proofs if at), default=None)


def _count_sessions(connection: Connection, agent_id: str, period: Period) -> tuple[int, int]:
    """Open sessions of any age; missing ones of the range."""
    c = t.sessions.c
    within = (c.created_at >= period.since, c.created_at < period.until)
    sessions = select(func.count()).where(c.agent_id == agent_id)
    still_open = sessions.where(t.IS_OPEN, c.missing_since.is_(None))
    missing = sessions.where(c.missing_since.is_not(None), *within)
    return connection.execute(still_open).scalar_one(), connection.execute(missing).scalar_one()
