"""What a clock that was ahead has left: times in the future, taken back before they do harm.

A response counts as of its request, and a newer one is never overwritten: until the clock has
caught up, every response would be too old, every retry too early, every demand never met.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select, update

from etl.models import CLOCKS_DIFFER
from etl.planning.run_demand import AgentState
from etl.store.runs import lease as leases
from etl.store.runs.agent_state import find_newest_below, save_coverage
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.store import Store

UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that nobody knows: whatever is fetched from now on is newer."""

LONGEST_PAUSE: Final = timedelta(days=8)
"""No failed transcript waits longer, see `etl.planning.transcripts`."""


WARNING: Final = "this machine's clock was ahead in an earlier run; times in the future were reset"


def load_repaired_state(store: Store, lease: Lease, now: datetime) -> tuple[AgentState, set[str]]:
    """What is remembered of an agent; what claims to be of the future is taken back first.

    Returns a warning with it where that was so. Raises LeaseLost, StoreError.
    """
    state = store.load_state(lease.agent_id)
    if not _has_times_after(state, now + CLOCKS_DIFFER):
        return state, set()

    def work(connection: Connection) -> None:
        leases.renew(connection, lease)
        save_coverage(connection, lease.agent_id, state.coverage, now)
        _clear_future_times(connection, lease.agent_id, now)

    store.transact(work)
    return store.load_state(lease.agent_id), {WARNING}


def _has_times_after(state: AgentState, horizon: datetime) -> bool:
    times = [state.watermark, state.last_success_at, state.last_reconciled_at]
    times += [state.demand.started_at] if state.demand else []
    times += [at for span in state.coverage for at in (span.newest, span.proven_at)]
    return any(at is not None and at > horizon for at in times)


def _clear_future_times(connection: Connection, agent_id: str, now: datetime) -> None:
    """Correct every time of the future that a rule is made by, of one agent and of all creators."""
    state, sessions, texts = t.sync_state, t.sessions, t.transcripts
    future = now + CLOCKS_DIFFER
    ours = sessions.c.agent_id == agent_id
    mine = select(sessions.c.id).where(ours)
    of_agent = state.c.agent_id == agent_id
    for name in ("last_success_at", "last_reconciled_at"):
        _set(connection, state, {name: None}, of_agent, state.c[name] > future)
    newest = find_newest_below(connection, agent_id, now)
    _set(connection, state, {"watermark": newest}, of_agent, state.c.watermark > now)
    demand = {"demand_mode": None, "demand_started_at": None}
    _set(connection, state, demand, of_agent, state.c.demand_started_at > future)
    # A transcript is retrieved again if its session's time differs: one that agrees goes along.
    agrees = select(sessions.c.id).where(ours, sessions.c.as_of == texts.c.as_of)
    agreed = texts.c.session_id.in_(agrees)
    _set(connection, texts, {"as_of": UNKNOWN_TIME}, texts.c.as_of > future, agreed)
    _set(connection, sessions, {"as_of": UNKNOWN_TIME}, ours, sessions.c.as_of > future)
    for name in ("updated_at", "first_seen_at"):
        _set(connection, sessions, {name: now}, ours, sessions.c[name] > future)
    of_mine = texts.c.session_id.in_(mine)
    _set(connection, texts, {"retrieved_at": now}, of_mine, texts.c.retrieved_at > future)
    too_long = texts.c.retry_at > future + LONGEST_PAUSE
    _set(connection, texts, {"retry_at": now}, of_mine, too_long)
    _set(connection, t.creators, {"as_of": UNKNOWN_TIME}, t.creators.c.as_of > future)
    retrieved, suspects = t.retrievals.c, t.suspects.c
    confirmed = (retrieved.session_id.in_(mine), retrieved.retrieved_at > future)
    connection.execute(delete(t.retrievals).where(*confirmed))
    absent = (suspects.agent_id == agent_id, suspects.suspected_at > future)
    connection.execute(delete(t.suspects).where(*absent))


def _set(connection: Connection, table: Table, values: dict[str, Any], *where: Any) -> None:
    connection.execute(update(table).where(*where).values(values))
