"""Who works on an agent now. One process at a time: a lease with a fencing number.

Every transaction that saves checks the number, so that a process that was frozen and wakes up
late can't write. Times are the database's own, so that hosts need not agree on theirs.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, Update, insert, select, update

from etl.errors import LeaseLost
from etl.store.schema import tables as t

LEASE: Final = timedelta(seconds=30)
RENEW_EVERY: Final = 8.0
"""Seconds without a save after which the lease is renewed."""

UNKNOWN_START: Final = "?"
END_FROZEN: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND application_name = current_setting('application_name')
    AND backend_xid IS NOT NULL AND wait_event_type = 'Client'
    AND state_change < clock_timestamp() - %s"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for an agent while its fencing number is the newest."""

    agent_id: str
    fence: int
    taken_over: bool = False
    """From a holder that had not given it back."""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Somebody else's lease, and the seconds until it ends unless renewed."""

    holder: str
    seconds: float

    def __str__(self) -> str:
        host, pid, _ = _split_holder(self.holder)
        return f"process {pid} on {host}"


def name_holder() -> str:
    """Name a holder in this process: a token, host, pid, its start (pids come round again)."""
    return f"{uuid4().hex[:8]}@{_name_host()}:{os.getpid()}:{_read_process_start(os.getpid())}"


def is_this_process(taken_by: str) -> bool:
    """Whether a holder of this process took the lease."""
    return _split_holder(taken_by) == _split_holder(name_holder())


def _split_holder(taken_by: str) -> tuple[str, str, str]:
    """A holder's host, pid and start."""
    host, pid, start = taken_by.rpartition("@")[2].rsplit(":", 2)
    return host, pid, start


def _name_host() -> str:
    """The host's name, and its space of pids: containers may share the one, not the other."""
    try:
        space = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        space = "0"
    return f"{socket.gethostname()}/{space}"


def claim(connection: Connection, agent_id: str, me: str) -> Lease | LeaseHolder:
    """Take the lease if it is free, run out, or its holder on this host is dead."""
    state = t.sync_state
    row = connection.execute(
        select(state.c.lease_holder, state.c.lease_expires_at, state.c.fence)
        .where(state.c.agent_id == agent_id)
        .with_for_update()
    ).one_or_none()
    now = read_database_time(connection)
    if row is None:
        connection.execute(insert(state).values(agent_id=agent_id, fence=0))
    elif row.lease_holder == me:
        # The reply to this very claim was lost; it was granted.
        return Lease(agent_id, row.fence)
    elif row.lease_holder and row.lease_expires_at > now and may_be_alive(row.lease_holder, me):
        expires_at = _shorten(connection, agent_id, row.lease_expires_at, now)
        return LeaseHolder(row.lease_holder, (expires_at - now).total_seconds())
    fence = 1 if row is None else row.fence + 1
    connection.execute(
        update(state)
        .where(state.c.agent_id == agent_id)
        .values(lease_holder=me, lease_expires_at=now + LEASE, fence=fence)
    )
    return Lease(agent_id, fence, row is not None and row.lease_holder is not None)


def _shorten(
    connection: Connection, agent_id: str, expires_at: datetime, now: datetime
) -> datetime:
    """When a lease ends. One that lasts too long was taken before the clock was set back: its
    holder gets as long as any other to renew it.
    """
    if expires_at <= now + LEASE:
        return expires_at
    state = t.sync_state
    shorter = update(state).where(state.c.agent_id == agent_id)
    connection.execute(shorter.values(lease_expires_at=now + LEASE))
    return now + LEASE


def renew(connection: Connection, lease: Lease, **values: Any) -> None:
    """Extend the lease, and set more columns of the agent's state. Raises LeaseLost."""
    update_state(
        connection, lease, lease_expires_at=read_database_time(connection) + LEASE, **values
    )


def update_state(connection: Connection, lease: Lease, **values: Any) -> None:
    """Set columns of the agent's state. Raises LeaseLost if another process has taken over."""
    if connection.execute(_update_mine(lease).values(**values)).rowcount != 1:
        raise make_lost_error(lease.agent_id)


def make_lost_error(agent_id: str) -> LeaseLost:
    """The error of a process that writes for an agent that another one has taken over."""
    return LeaseLost(f"another process has taken over agent {agent_id!r:.80}")


def release(connection: Connection, lease: Lease) -> None:
    """Give the lease back, if it is still ours."""
    connection.execute(_update_mine(lease).values(lease_holder=None, lease_expires_at=None))


def end_frozen(connection: Connection, silent: timedelta = LEASE) -> int:
    """End PostgreSQL's transactions of ours whose client has been silent, and return how many.

    They write, so they hold rows, and it is their process's turn. No guard of the server ends one
    that stopped amid a COPY or a batch; this does.
    """
    return len(connection.exec_driver_sql(END_FROZEN, (silent,)).all())


def read_database_time(connection: Connection) -> datetime:
    """The database server's time; for SQLite, this host's."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    now: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return now.astimezone(UTC)


def _update_mine(lease: Lease) -> Update:
    state = t.sync_state
    return update(state).where(state.c.agent_id == lease.agent_id, state.c.fence == lease.fence)


def may_be_alive(other: str, me: str) -> bool:
    """Whether a holder may still be at work; one of another host always may."""
    host, pid, start = _split_holder(other)
    if host != _split_holder(me)[0]:
        return True
    if not pid.isdigit():
        return False
    found = _read_process_start(int(pid))
    return found == start or UNKNOWN_START in (found, start)


def _read_process_start(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it is gone or /proc is missing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if _is_gone(pid) else UNKNOWN_START
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
