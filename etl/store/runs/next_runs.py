"""When a scheduler syncs an agent next, for `status`. It is named as lease holders are."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from etl.store.runs.lease import may_be_alive
from etl.store.schema import tables as t


def save_next_run(
    connection: Connection, agent_id: str, at: datetime, me: str, now: datetime
) -> None:
    """Note when this process syncs an agent next, unless another one does so sooner."""
    c = t.sync_state.c
    row = connection.execute(
        select(c.scheduled_by, c.next_run_at).where(c.agent_id == agent_id)
    ).first()
    if row is None or (row.scheduled_by != me and _is_to_come(row, me, now, at)):
        return
    values = {"scheduled_by": me, "next_run_at": at}
    connection.execute(update(t.sync_state).where(c.agent_id == agent_id).values(values))


def clear_next_runs(connection: Connection, me: str, agent_id: str | None = None) -> None:
    """Forget what this process noted, of one agent or of all: it syncs them no more."""
    c = t.sync_state.c
    mine = (c.scheduled_by == me, *([c.agent_id == agent_id] if agent_id else []))
    connection.execute(
        update(t.sync_state).where(*mine).values(scheduled_by=None, next_run_at=None)
    )


def find_next_run(connection: Connection, agent_id: str, me: str, now: datetime) -> datetime | None:
    """When an agent is synced next, if a scheduler is at work that will do so.

    One of another host counts as at work until it is late.
    """
    c = t.sync_state.c
    row = connection.execute(
        select(c.scheduled_by, c.next_run_at).where(c.agent_id == agent_id)
    ).first()
    if row is None or not _is_to_come(row, me, now):
        return None
    found: datetime = row.next_run_at
    return found


def _is_to_come(row, me: str, now: datetime, before: datetime | None = None) -> bool:  # type: ignore[no-untyped-def]
    """Whether a live scheduler syncs the agent after now, and before the other time."""
    if row.scheduled_by is None or row.next_run_at is None or row.next_run_at <= now:
        return False
    if before is not None and row.next_run_at >= before:
        return False
    return may_be_alive(row.scheduled_by, me)
