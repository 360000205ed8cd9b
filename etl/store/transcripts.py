"""The messages of sessions: which are to be retrieved, and how an answer replaces what is stored.

The database itself keeps the search index in step: SQLite by triggers, PostgreSQL by a generated
column. So whoever deletes a message, by whatever statement, takes it out of the index, too.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, delete, func, inspect, or_, select, update
from sqlalchemy.exc import DBAPIError

from etl.errors import Malformed
from etl.models import Message
from etl.store import lease as leases
from etl.store import tables as t
from etl.store.engine import inserting
from etl.store.lease import Lease
from etl.store.postgres import insert_values
from etl.store.store import Store
from etl.store.tables import instant_text

__all__ = [
    "Due",
    "Tally",
    "choose",
    "compact_search",
    "forget_messages",
    "forget_transcripts",
    "keep",
    "note_failure",
    "tally",
]

MOST_PARAMETERS: Final = 500
FIELDS: Final = Message.__struct_fields__
UNSTORABLE: Final = ("22", "54")
"""PostgreSQL's classes of errors that a value is to blame for: bad data, and its own limits."""

NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Due(NamedTuple):
    """A session whose transcript is to be retrieved, and the `as_of` of its row now."""

    session_id: str
    as_of: datetime


class Tally(NamedTuple):
    """One agent's transcripts: stored, failed at their last retrieval, and due now."""

    stored: int
    failed: int
    left: int


def choose(
    connection: Connection, agent_id: str, most: int, now: datetime
) -> tuple[list[Due], int]:
    """The transcripts to retrieve, newest sessions first, and how many more are due.

    Those that failed come last: one that always fails must not keep the others waiting.
    """
    c, m = t.sessions.c, t.transcripts.c
    newest_first = (m.retry_at.is_not(None), c.created_at.desc().nulls_last(), c.id)
    query = _due(select(c.id, c.as_of), agent_id, now).order_by(*newest_first).limit(most)
    chosen = [Due(*row) for row in connection.execute(query)]
    if len(chosen) < most:
        return chosen, 0
    return chosen, _count_due(connection, agent_id, now) - len(chosen)


def tally(connection: Connection, agent_id: str, now: datetime) -> Tally:
    """Count one agent's transcripts."""
    m = t.transcripts.c
    counted = select(func.count(m.retrieved_at), func.count(m.error)).select_from(
        t.transcripts.join(t.sessions)
    )
    row = connection.execute(counted.where(t.sessions.c.agent_id == agent_id)).one()
    return Tally(row[0], row[1], _count_due(connection, agent_id, now))


def keep(
    store: Store, lease: Lease, due: Due, messages: Sequence[Message], requested_at: datetime
) -> bool:
    """Replace a session's messages, in one transaction. False if they were these already.

    Raises LeaseLost, StoreError, and Malformed if the database refuses what they hold.
    """
    digest = _digest(messages)
    marks: dict[str, Any] = {"as_of": due.as_of, "retrieved_at": requested_at, "digest": digest}
    marks |= {"messages": len(messages), "retry_at": None, "error": None}

    def work(connection: Connection) -> bool:
        leases.renew(connection, lease)
        changed = _stored_digest(connection, due.session_id) != digest
        if changed:
            _delete(connection, t.session_messages, [due.session_id])
            _insert(connection, due.session_id, messages)
        _mark(connection, due.session_id, marks)
        return changed

    return store.transact(work)


def note_failure(store: Store, lease: Lease, due: Due, error: str, retry_at: datetime) -> None:
    """Note that a transcript could not be retrieved; what is stored of it stays."""
    marks = {"as_of": due.as_of, "retry_at": retry_at, "error": error.replace("\0", "\ufffd")}

    def work(connection: Connection) -> None:
        leases.renew(connection, lease)
        _mark(connection, due.session_id, marks)

    store.transact(work)


def forget_messages(connection: Connection, session_ids: Iterable[str]) -> int:
    """Delete the messages of sessions, and return how many. They aren't retrieved again, unless
    their session changes. `compact_search` then takes the words out of SQLite's file as well.
    """
    ids = list(session_ids)
    blank = {"digest": None, "messages": None}
    for some in _slices(ids):
        mine = t.transcripts.c.session_id.in_(some)
        connection.execute(update(t.transcripts).where(mine).values(blank))
    return _delete(connection, t.session_messages, ids)


def forget_transcripts(connection: Connection, session_ids: Iterable[str]) -> int:
    """The same, and forget that they were ever retrieved: for sessions that are to be deleted."""
    ids = list(session_ids)
    _delete(connection, t.transcripts, ids)
    return _delete(connection, t.session_messages, ids)


def compact_search(connection: Connection) -> None:
    """Rewrite SQLite's search index without the words of deleted messages.

    Until then they lie in the file unused. PostgreSQL's VACUUM does it in time.
    """
    if inspect(connection).has_table("message_search"):
        connection.exec_driver_sql(
            "INSERT INTO message_search (message_search) VALUES ('optimize')"
        )


def _due(query: Select[Any], agent_id: str, now: datetime) -> Select[Any]:
    """Only the agent's due ones: never asked for, changed since, or failed and to be tried again.

    Told by inequality, not by order: a clock that was set back hides no change.
    """
    c, m = t.sessions.c, t.transcripts.c
    is_due = or_(m.session_id.is_(None), m.as_of != c.as_of, m.retry_at <= now)
    joined = query.select_from(t.sessions.outerjoin(t.transcripts))
    return joined.where(c.agent_id == agent_id, c.missing_since.is_(None), is_due)


def _count_due(connection: Connection, agent_id: str, now: datetime) -> int:
    return int(connection.execute(_due(select(func.count()), agent_id, now)).scalar_one())


def _digest(messages: Sequence[Message]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        digest.update(msgspec.json.encode(message))
    return digest.hexdigest()


def _stored_digest(connection: Connection, session_id: str) -> str | None:
    m = t.transcripts.c
    return connection.execute(select(m.digest).where(m.session_id == session_id)).scalar()


def _mark(connection: Connection, session_id: str, marks: dict[str, Any]) -> None:
    statement = inserting(connection, t.transcripts).values(session_id=session_id, **marks)
    connection.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=marks))


def _insert(connection: Connection, session_id: str, messages: Sequence[Message]) -> None:
    """Plain driver SQL: `parts` are JSON texts already."""
    is_postgres = connection.dialect.name == "postgresql"
    row = _postgres_row if is_postgres else _sqlite_row
    into = f"session_messages (session_id,{','.join(FIELDS)})"
    marks = ",".join("?" * (len(FIELDS) + 1))
    try:
        for some in _slices(messages):
            rows = [(session_id, *row(message)) for message in some]
            if is_postgres:
                insert_values(connection, into, rows)
            else:
                connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({marks})", rows)
    except DBAPIError as error:
        if not str(getattr(error.orig, "sqlstate", "")).startswith(UNSTORABLE):
            raise
        # Its own words may quote the message.
        reason = type(error.orig).__name__
        raise Malformed(f"the database can't hold the transcript ({reason})") from None


def _sqlite_row(message: Message) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(message)
    return tuple(instant_text(v) if isinstance(v, datetime) else v for v in values)


def _postgres_row(message: Message) -> tuple[Any, ...]:
    """Without NUL, which PostgreSQL refuses, in JSON as an escape as well."""
    values = msgspec.structs.asdict(message)
    for name in ("parts", "extra"):
        text = values[name]
        if text is not None and "\\u0000" in text:
            values[name] = NUL.sub(r"\1\\ufffd", text)
    return tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values.values())


def _delete(connection: Connection, table: Any, session_ids: Sequence[str]) -> int:
    deleted = 0
    for some in _slices(session_ids):
        statement = delete(table).where(table.c.session_id.in_(some))
        deleted += connection.execute(statement).rowcount
    return deleted


def _slices(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    starts = range(0, len(items), MOST_PARAMETERS)
    return (items[start : start + MOST_PARAMETERS] for start in starts)
