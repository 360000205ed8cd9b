"""Deleting what is past its retention age: transcripts, rejected payloads, runs.

In small transactions, so that nobody waits for it. No lease is needed: rows are locked, or looked
at again, as they are deleted.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update

from etl.config import Retention
from etl.models import Pruned
from etl.store.privacy.delete_messages import delete_messages_of
from etl.store.schema import tables as t
from etl.store.store import Store

ROWS_AT_ONCE: Final = 200


def prune(store: Store, retention: Retention, now: datetime) -> Pruned:
    """Delete what is past its age, and count it. Raises StoreError."""
    done = Pruned()
    if retention.transcripts is not None:
        done.transcripts = _repeat(store, _delete_transcripts, now - retention.transcripts)
    if retention.payloads is not None:
        done.payloads = _repeat(store, _delete_settled, now - retention.payloads)
        done.payloads += _repeat(store, _empty_unsettled, now - retention.payloads)
    if retention.runs is not None:
        done.runs = _repeat(store, _delete_runs, now - retention.runs)
    return done


def _repeat(store: Store, work: Callable[[Connection, datetime], int], before: datetime) -> int:
    total = 0
    while number := store.transact(lambda connection: work(connection, before)):
        total += number
    return total


def _delete_transcripts(connection: Connection, before: datetime) -> int:
    """By their last retrieval. They are not retrieved again unless their session changes."""
    c = t.transcripts.c
    query = select(c.session_id).where(c.retrieved_at < before).limit(ROWS_AT_ONCE)
    # Locked: a transcript that is being retrieved right now is no longer old.
    ids = list(connection.scalars(query.with_for_update()))
    delete_messages_of(connection, ids)
    return len(ids)


def _delete_settled(connection: Connection, before: datetime) -> int:
    """Records that came right."""
    c = t.rejected_records.c
    old = (c.received_at < before, c.resolved_at.is_not(None))
    some = select(c.id).where(*old).limit(ROWS_AT_ONCE)
    return connection.execute(delete(t.rejected_records).where(c.id.in_(some), *old)).rowcount


def _empty_unsettled(connection: Connection, before: datetime) -> int:
    """The payloads of records that are still set aside: that they are must stay known."""
    c = t.rejected_records.c
    old = (c.received_at < before, c.resolved_at.is_(None), c.payload != "")
    some = select(c.id).where(*old).limit(ROWS_AT_ONCE)
    blank = update(t.rejected_records).where(c.id.in_(some), *old).values(payload="")
    return connection.execute(blank).rowcount


def _delete_runs(connection: Connection, before: datetime) -> int:
    """Runs that have ended. The newest of each agent and mode stays: the schedule goes by it."""
    c = t.sync_runs.c
    newest = select(func.max(c.id)).group_by(c.agent_id, c.mode)
    old = (c.started_at < before, c.status != "running", c.id.not_in(newest))
    ids = list(connection.scalars(select(c.id).where(*old).limit(ROWS_AT_ONCE)))
    met: Any = t.rejected_records.c.run_id
    connection.execute(update(t.rejected_records).where(met.in_(ids)).values(run_id=None))
    return connection.execute(delete(t.sync_runs).where(c.id.in_(ids))).rowcount
