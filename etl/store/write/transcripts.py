"""The messages of sessions: which are to be retrieved; a response replaces what is stored."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, func, or_, select
from sqlalchemy.exc import DBAPIError

from etl.errors import Malformed
from etl.models import Message
from etl.store.batched import batched
from etl.store.privacy.delete_messages import delete_of
from etl.store.privacy.redaction import find_known_ids, redact_messages, redact_sentence
from etl.store.runs import lease as leases
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.schema.column_types import format_instant
from etl.store.schema.engine import MOST_PARAMETERS, insert_into
from etl.store.store import Store
from etl.store.write.postgres_copy import insert_values

FIELDS: Final = Message.__struct_fields__
UNSTORABLE: Final = ("22", "54")
"""PostgreSQL's classes of errors that a value is to blame for: bad data, and its own limits."""

NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Due(NamedTuple):
    """A session whose transcript is to be retrieved, and the `as_of` of its row now."""

    session_id: str
    as_of: datetime


class TranscriptCounts(NamedTuple):
    """One agent's transcripts: stored, failed at their last retrieval, and due now."""

    stored: int
    failed: int
    left: int


def select_due(
    connection: Connection, agent_id: str, most: int, now: datetime
) -> tuple[list[Due], int]:
    """The transcripts to retrieve, newest sessions first, and how many more are due.

    Those that failed come last: one that always fails must not keep the others waiting.
    """
    c, m = t.sessions.c, t.transcripts.c
    newest_first = (m.retry_at.is_not(None), c.created_at.desc().nulls_last(), c.id)
    query = _filter_due(select(c.id, c.as_of), agent_id, now).order_by(*newest_first).limit(most)
    chosen = [Due(*row) for row in connection.execute(query)]
    if len(chosen) < most:
        return chosen, 0
    return chosen, _count_due(connection, agent_id, now) - len(chosen)


def count_transcripts(connection: Connection, agent_id: str, now: datetime) -> TranscriptCounts:
    """Count one agent's transcripts."""
    m = t.transcripts.c
    counted = select(func.count(m.retrieved_at), func.count(m.error)).select_from(
        t.transcripts.join(t.sessions)
    )
    row = connection.execute(counted.where(t.sessions.c.agent_id == agent_id)).one()
    return TranscriptCounts(row[0], row[1], _count_due(connection, agent_id, now))


def save_transcript(
    store: Store, lease: Lease, due: Due, messages: Sequence[Message], requested_at: datetime
) -> bool:
    """Replace a session's messages, in one transaction. False if they were these already.

    Of a forgotten person's session nothing is kept.
    Raises LeaseLost, StoreError, and Malformed if the database refuses what they hold.
    """
    treated = [*map(store.rules.redact_message, messages)] if store.rules.on else messages
    digest = _digest(treated)
    marks: dict[str, Any] = {"as_of": due.as_of, "retrieved_at": requested_at, "digest": digest}
    marks |= {"messages": len(messages), "retry_at": None, "error": None}

    def work(connection: Connection) -> bool:
        leases.renew(connection, lease)
        admitted = redact_messages(connection, store.rules, due.session_id, treated)
        if admitted is None:
            return False
        if admitted is not treated:
            marks["digest"] = _digest(admitted)
        changed = bool(_read_digest(connection, due.session_id) != marks["digest"])
        if changed:
            delete_of(connection, t.session_messages, [due.session_id])
            _insert(connection, due.session_id, admitted)
        _mark(connection, due.session_id, marks)
        return changed

    return store.transact(work)


def note_failure(store: Store, lease: Lease, due: Due, error: str, retry_at: datetime) -> None:
    """Note that a transcript could not be retrieved; what is stored of it stays."""
    marks: dict[str, Any] = {"as_of": due.as_of, "retry_at": retry_at}

    def work(connection: Connection) -> None:
        leases.renew(connection, lease)
        said = redact_sentence(connection, store.rules, error)
        marks["error"] = said.replace("\0", "\ufffd")
        if not find_known_ids(connection, t.forgotten_sessions, [due.session_id]):
            _mark(connection, due.session_id, marks)

    store.transact(work)


def _filter_due(query: Select[Any], agent_id: str, now: datetime) -> Select[Any]:
    """Only the agent's due ones: never retrieved, changed since, or failed and to be tried again.

    Those of forgotten people never are.
    Compared by inequality, not by order: a clock that was set back hides no change.
    """
    c, m = t.sessions.c, t.transcripts.c
    is_due = or_(m.session_id.is_(None), m.as_of != c.as_of, m.retry_at <= now)
    joined = query.select_from(t.sessions.outerjoin(t.transcripts))
    allowed = c.id.not_in(select(t.forgotten_sessions.c.session_id))
    return joined.where(c.agent_id == agent_id, c.missing_since.is_(None), is_due, allowed)


def _count_due(connection: Connection, agent_id: str, now: datetime) -> int:
    return int(connection.execute(_filter_due(select(func.count()), agent_id, now)).scalar_one())


def _digest(messages: Sequence[Message]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        digest.update(msgspec.json.encode(message))
    return digest.hexdigest()


def _read_digest(connection: Connection, session_id: str) -> Any:
    m = t.transcripts.c
    return connection.scalar(select(m.digest).where(m.session_id == session_id))


def _mark(connection: Connection, session_id: str, marks: dict[str, Any]) -> None:
    statement = insert_into(connection, t.transcripts).values(session_id=session_id, **marks)
    connection.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=marks))


def _insert(connection: Connection, session_id: str, messages: Sequence[Message]) -> None:
    """Plain driver SQL: `parts` are JSON texts already."""
    is_postgres = connection.dialect.name == "postgresql"
    row = _make_postgres_row if is_postgres else _make_sqlite_row
    into = f"session_messages (session_id,{','.join(FIELDS)})"
    marks = ",".join("?" * (len(FIELDS) + 1))
    try:
        for some in batched(messages, MOST_PARAMETERS):
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


def _make_sqlite_row(message: Message) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(message)
    return tuple(format_instant(v) if isinstance(v, datetime) else v for v in values)


def _make_postgres_row(message: Message) -> tuple[Any, ...]:
    """Without NUL, which PostgreSQL refuses, in JSON as an escape as well."""
    values = msgspec.structs.asdict(message)
    for name in ("parts", "extra"):
        text = values[name]
        if text is not None and "\\u0000" in text:
            values[name] = NUL.sub(r"\1\\ufffd", text)
    return tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values.values())
