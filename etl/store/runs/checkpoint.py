"""What every save does besides its rows: check the fence, count itself, move the watermark."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Text, bindparam, func, select, update

from etl.models import Counts
from etl.store.privacy.redaction import GUARD, Guard
from etl.store.runs import lease as leases
from etl.store.runs.agent_state import find_newest_below
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant
from etl.store.write.responses import Run

COUNTED: Final = ("requests", "pages", "seen", "inserted", "updated", "unchanged", "rejected")

# Statements of every save are built once: building them anew, and the key of SQLAlchemy's cache
# with them, took a third of a save's time.
STATE, RUNS = t.sync_state, t.sync_runs
CHECKPOINT: Final = (
    update(STATE)
    .where(STATE.c.agent_id == bindparam("agent"), STATE.c.fence == bindparam("held"))
    .values(
        saves=STATE.c.saves + 1,
        last_cursor=func.coalesce(bindparam("cursor", type_=Text), STATE.c.last_cursor),
        lease_expires_at=bindparam("expires", type_=Instant),
    )
    .returning(STATE.c.watermark, *GUARD)
)
# By the server's clock, without asking for it first.
SERVED_CHECKPOINT: Final = CHECKPOINT.values(lease_expires_at=func.clock_timestamp() + leases.LEASE)
MOVE_WATERMARK: Final = (
    update(STATE).where(STATE.c.agent_id == bindparam("agent")).values(watermark=bindparam("to"))
)
COUNT_SAVES: Final = (
    select(STATE.c.saves)
    .where(STATE.c.agent_id == bindparam("agent"), STATE.c.fence == bindparam("held"))
    .with_for_update()
)
TALLY: Final = (
    update(RUNS)
    .where(RUNS.c.id == bindparam("run"))
    .values(
        {name: RUNS.c[name] + bindparam(f"more_{name}") for name in COUNTED}
        | {"watermark_after": bindparam("watermark", type_=Instant)}
    )
)


def begin_save(
    connection: Connection, run: Run, cursor: str | None
) -> tuple[datetime | None, Guard]:
    """Extend the lease, count the save, keep the cursor.

    Returns the watermark so far, and the privacy rules in force. Raises LeaseLost.
    """
    values = {"agent": run.agent_id, "held": run.lease.fence, "cursor": cursor}
    if connection.dialect.name == "postgresql":
        kept = connection.execute(SERVED_CHECKPOINT, values).one_or_none()
    else:
        values |= {"expires": leases.read_database_time(connection) + leases.LEASE}
        kept = connection.execute(CHECKPOINT, values).one_or_none()
    if kept is None:
        raise leases.make_lost_error(run.agent_id)
    return kept.watermark, Guard(kept.rules, kept.salt)


def count_saves(connection: Connection, run: Run) -> int:
    """How many saves of the agent have been committed, once none is under way. Raises LeaseLost."""
    mine = {"agent": run.agent_id, "held": run.lease.fence}
    found = connection.execute(COUNT_SAVES, mine).scalar_one_or_none()
    if found is None:
        raise leases.make_lost_error(run.agent_id)
    return int(found)


def move_watermark(
    connection: Connection, run: Run, before: datetime | None, bound: datetime | None
) -> datetime | None:
    """Move the watermark to the newest session stored below the bound. Returns where it is."""
    newest = find_newest_below(connection, run.agent_id, bound) if bound else None
    if newest is None or (before is not None and newest <= before):
        return before
    connection.execute(MOVE_WATERMARK, {"agent": run.agent_id, "to": newest})
    return newest


def tally(connection: Connection, run: Run, counts: Counts, watermark: datetime | None) -> None:
    """Add to the counts of the run."""
    more = {f"more_{name}": getattr(counts, name) for name in COUNTED}
    connection.execute(TALLY, more | {"run": run.id, "watermark": watermark})
