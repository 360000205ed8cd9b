"""Erasing a person: rows, history, messages, rejected payloads; and knowing them again.

First, in one transaction that saves wait for: the person is remembered by a pseudonym, sessions
become nobody's. From then on no save brings anything back. Then their transcripts are deleted,
some sessions at a time. The tables show what is left to do, so repeating the command completes one
that was killed.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    cast,
    delete,
    func,
    null,
    or_,
    select,
    update,
)

from etl.models import Rejected
from etl.privacy import find_mentions, is_theirs, list_words, make_pseudonym, reduce_rejected
from etl.store.batched import batched
from etl.store.privacy.delete_messages import delete_transcripts_of
from etl.store.privacy.redaction import (
    ERASED,
    find_known_ids,
    insert_missing,
    lock_out_saves,
    mark_sessions,
)
from etl.store.privacy.rules_change import read_pages, replace_payload
from etl.store.schema import tables as t
from etl.store.schema.engine import MOST_PARAMETERS
from etl.store.store import Store

SESSIONS_AT_ONCE: Final = 100
"""Sessions whose messages are deleted in one transaction."""


class Person(NamedTuple):
    """What is stored of a person."""

    id: str
    is_known: bool
    was_forgotten: bool
    sessions: int
    messages: int
    namesakes: tuple[str, ...] = ()
    """Ids of stored creators that have this as their name: it is no id then."""


@dataclass(slots=True)
class ErasureReport:
    """What was erased: rows of creators, sessions made anonymous, messages, payloads."""

    creators: int = 0
    sessions: int = 0
    messages: int = 0
    payloads: int = 0


def find_person(store: Store, id: str) -> Person:
    """What is stored of a creator. Raises StoreError."""
    s, m = t.sessions.c, t.session_messages.c
    theirs = select(s.id).where(s.creator_id == id)
    with store.connect() as connection:
        salt = connection.scalar(select(t.privacy.c.salt))
        before = salt and find_known_ids(connection, t.forgotten, [make_pseudonym(salt, id)])
        messages = select(func.count()).where(or_(m.session_id.in_(theirs), m.creator_id == id))
        sessions = connection.scalar(select(func.count()).where(s.creator_id == id)) or 0
        written = connection.scalar(messages) or 0
        known = bool(find_known_ids(connection, t.creators, [id]) or sessions or written)
        namesakes = () if known else _find_namesakes(connection, id)
    return Person(id, known, bool(before), sessions, written, namesakes)


def _find_namesakes(connection: Connection, name: str) -> tuple[str, ...]:
    c = t.creators.c
    names = (c.first_name, c.last_name, c.first_name + " " + c.last_name)
    is_named = or_(*(one == name for one in names))
    return tuple(connection.scalars(select(c.id).where(is_named).order_by(c.id)))


def forget(store: Store, id: str) -> ErasureReport:
    """Erase a creator, and keep later saves from bringing them back. Raises StoreError.

    `compact` then takes the traces out of the database's files.
    """
    erased = ErasureReport()

    def work(connection: Connection) -> None:
        lock_out_saves(connection)
        _overwrite(connection)
        names = {id} | _read_address(connection, id)
        _remember(connection, names, store)
        mark_sessions(connection, _find_sessions(connection, id, names))
        erased.sessions = _make_anonymous(connection, store)
        is_them = t.creators.c.id == id
        erased.creators = connection.execute(delete(t.creators).where(is_them)).rowcount
        erased.payloads = _reduce_rejected(connection, names)
        erased.messages = _empty_messages(connection, names)
        for table, name in (
            (t.sync_runs, "error"),
            (t.transcripts, "error"),
            (t.rejected_records, "reason"),
        ):
            _erase_sentences(connection, table, name, names)

    store.transact(work)
    while batch := store.transact(_delete_some):
        erased.messages += batch[1]
    return erased


def _overwrite(connection: Connection) -> None:
    """SQLite fills what is deleted with zeros, if the compacting should fail."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON").close()


def _read_address(connection: Connection, id: str) -> set[str]:
    """What tells of the person beside the id: the address as it is stored, in small."""
    query = select(t.creators.c.email).where(t.creators.c.id == id)
    email = connection.scalar(query)
    return {email.strip().lower()} if email and email.strip() else set()


def _remember(connection: Connection, names: Iterable[str], store: Store) -> None:
    salt = connection.scalar(select(t.privacy.c.salt))
    if salt is None:
        salt = secrets.token_hex()
        connection.execute(update(t.privacy).values(salt=salt))
    at = store.now()
    rows = [{"pseudonym": make_pseudonym(salt, name), "forgotten_at": at} for name in names]
    insert_missing(connection, t.forgotten, rows)


def _find_sessions(connection: Connection, id: str, names: set[str]) -> set[str]:
    """The sessions that are theirs. Those of others lose an `extra` that tells of them."""
    c = t.sessions.c
    found = set(connection.scalars(select(c.id).where(c.creator_id == id)))
    told = _may_name(connection, c.extra, names)
    for some in read_pages(connection, c.id, [c.creator_id, cast(c.extra, Text)], told):
        named = [row for row in some if find_mentions(row[2]) & names]
        found |= {row[0] for row in named if is_theirs(row[1], names)}
        others = [row[0] for row in named if not is_theirs(row[1], names)]
        connection.execute(update(t.sessions).where(c.id.in_(others)).values(extra=null()))
    return found


def _make_anonymous(connection: Connection, store: Store) -> int:
    c = t.sessions.c
    is_marked = c.id.in_(select(t.forgotten_sessions.c.session_id))
    tells = or_(c.creator_id.is_not(None), c.name.is_not(None), c.extra.is_not(None))
    nobody = {"creator_id": None, "name": None, "extra": null(), "updated_at": store.now()}
    return connection.execute(update(t.sessions).where(is_marked, tells).values(nobody)).rowcount


def _reduce_rejected(connection: Connection, names: set[str]) -> int:
    """Of rejected records that tell of them, or are of their sessions, leave the id alone."""
    c, number = t.rejected_records.c, 0
    for some in read_pages(connection, c.id, [c.agent_id, c.payload, c.reason, c.session_id]):
        ids = {row.session_id for row in some if row.session_id is not None}
        marked = find_known_ids(connection, t.forgotten_sessions, ids)
        for id, agent_id, payload, reason, session_id in some:
            left = reduce_rejected(Rejected(payload, reason, session_id)).payload
            if left != payload and (session_id in marked or find_mentions(payload) & names):
                replace_payload(connection, id, agent_id, left)
                number += 1
    return number


def _erase_sentences(connection: Connection, table: Any, name: str, names: set[str]) -> None:
    """Sentences that name them."""
    [key, *_] = table.primary_key.columns
    for some in read_pages(connection, key, [table.c[name]], table.c[name].is_not(None)):
        ids = [id for id, said in some if list_words(said) & names]
        for part in batched(ids, MOST_PARAMETERS):
            named = update(table).where(key.in_(part))
            connection.execute(named.values({name: ERASED}))


def _delete_some(connection: Connection) -> tuple[int, int] | None:
    """Delete the transcripts of some forgotten sessions: how many, and their messages."""
    _overwrite(connection)
    marked = select(t.forgotten_sessions.c.session_id)
    c = t.transcripts.c
    query = select(c.session_id).where(c.session_id.in_(marked)).limit(SESSIONS_AT_ONCE)
    ids = list(connection.scalars(query))
    return (len(ids), delete_transcripts_of(connection, ids)) if ids else None


def _empty_messages(connection: Connection, names: set[str]) -> int:
    """Empty their messages in other people's sessions; the transcript keeps its length."""
    c, emptied = t.session_messages.c, 0
    others = c.session_id.not_in(select(t.forgotten_sessions.c.session_id))
    theirs = or_(c.creator_id.in_(names), _may_name(connection, c.extra, names))
    columns = [c.session_id, c.creator_id, cast(c.extra, Text)]
    for some in read_pages(connection, c.number, columns, others, theirs):
        named = [
            row
            for row in some
            if row[2] in names or (row[3] is not None and find_mentions(row[3]) & names)
        ]
        rows = [row for row in named if is_theirs(row[2], names)]
        bare = c.number.in_([row[0] for row in named])
        connection.execute(update(t.session_messages).where(bare).values(extra=null()))
        nothing = {c[name]: null() for name in ("id", "content", "creator_id", "search_text")}
        nothing |= {c.parts: null()}
        numbers = [row[0] for row in rows]
        emptied += len(rows)
        connection.execute(update(t.session_messages).where(c.number.in_(numbers)).values(nothing))
        touched = t.transcripts.c.session_id.in_({row[1] for row in named})
        connection.execute(update(t.transcripts).where(touched).values(digest=None))
    return emptied


def _may_name(connection: Connection, column: Any, names: Iterable[str]) -> ColumnElement[bool]:
    """Whether a JSON text may hold one of them; what is found has to be looked at."""
    text = func.lower(cast(column, Text))
    find = func.strpos if connection.dialect.name == "postgresql" else func.instr
    forms = {json.dumps(name, ensure_ascii=one)[1:-1] for name in names for one in (True, False)}
    return or_(*(find(text, func.lower(form)) > 0 for form in forms))
