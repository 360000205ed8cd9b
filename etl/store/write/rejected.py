"""Records that can't be read, or not whole: noted, and settled once they come right.

Of a session that was stored all the same, a note names the fields that it lacks.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from etl.models import ABSENT, Rejected, Session, list_unread_fields
from etl.store.batched import batched
from etl.store.schema import tables as t
from etl.store.schema.engine import MOST_PARAMETERS, insert_into

FEW_RECORDS: Final = 200
"""Up to so many unsettled records of an agent are loaded whole; of more, those concerned."""

LIST_ONLY: Final = ("name", "type")
"""Fields that a retrieve doesn't show: a response without them says nothing of them."""

_C: Final = t.rejected_records.c
UNRESOLVED: Final = select(_C.id, _C.session_id, _C.received_at, _C.reason).where(
    _C.agent_id == bindparam("agent"), _C.resolved_at.is_(None)
)
SOME_UNRESOLVED: Final = UNRESOLVED.limit(FEW_RECORDS + 1)
"""Built once, as every save needs it."""


def note_rejected(
    connection: Connection,
    agent_id: str,
    run_id: int,
    rejected: list[tuple[Rejected, datetime]],
    text: Callable[[str], str],
) -> None:
    """Keep records, each with the time of its request, one row per payload.

    `text` makes a text storable.
    """
    rows: dict[str, dict[str, Any]] = {}
    for record, received_at in rejected:
        payload = text(record.payload)
        digest = hashlib.sha256(payload.encode()).hexdigest()
        values = {"agent_id": agent_id, "run_id": run_id, "received_at": received_at}
        values |= {"payload": payload, "payload_sha256": digest, "reason": text(record.reason)}
        rows[digest] = values | {"session_id": record.id and text(record.id)}
    if not rows:
        return
    statement = insert_into(connection, t.rejected_records)
    renewed = ("run_id", "received_at", "payload", "reason")
    again = {name: statement.excluded[name] for name in renewed}
    statement = statement.on_conflict_do_update(
        index_elements=["agent_id", "payload_sha256"], set_=again | {"resolved_at": None}
    )
    connection.execute(statement, list(rows.values()))


def resolve_rejected(
    connection: Connection,
    agent_id: str,
    stored: Mapping[str, tuple[Session, datetime]],
    anew: Mapping[str | None, str],
    now: datetime,
) -> None:
    """What was noted of these sessions before their requests is right now, or noted anew.

    `stored` has each session as shown last and the time of that request; `anew` the reasons of
    what was just noted, by the session's id.
    """
    resolved = [
        row.id
        for row in _list_unresolved(connection, agent_id, stored)
        if row.session_id in stored
        and _resolves(*stored[row.session_id], row, anew.get(row.session_id, ""))
    ]
    for ids in batched(resolved, MOST_PARAMETERS):
        some = _C.id.in_(ids)
        connection.execute(update(t.rejected_records).where(some).values(resolved_at=now))


def _resolves(session: Session, requested_at: datetime, row: Any, anew: str) -> bool:
    lacking = set(list_unread_fields(row.reason)).intersection(LIST_ONLY) - set(
        list_unread_fields(anew)
    )
    shown = all(getattr(session, name) is not ABSENT for name in lacking)
    return bool(shown and row.received_at < requested_at)


def _list_unresolved(
    connection: Connection, agent_id: str, stored: Mapping[str, Any]
) -> Iterator[Any]:
    mine = {"agent": agent_id}
    found = connection.execute(SOME_UNRESOLVED, mine).all()
    if len(found) <= FEW_RECORDS:
        yield from found
        return
    for ids in batched(stored, MOST_PARAMETERS):
        some = UNRESOLVED.where(_C.session_id.in_(ids))
        yield from connection.execute(some, mine).all()
