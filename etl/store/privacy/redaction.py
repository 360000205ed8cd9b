"""What must not be stored is taken out here, within the transaction that saves.

So there is no window: a save that begins after a person was forgotten, or after other rules were
adopted, knows it. One that is under way then is waited for, see `lock_out_saves`.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, select

from etl.errors import StoreError
from etl.models import Creator, Message, Rejected, Session
from etl.privacy import (
    Rules,
    drop_extra,
    empty_message,
    find_mentions,
    is_theirs,
    list_mentions,
    list_words,
    make_anonymous,
    make_pseudonym,
    reduce_rejected,
)
from etl.store.batched import batched
from etl.store.privacy.delete_messages import delete_transcripts_of
from etl.store.schema import tables as t
from etl.store.schema.engine import MOST_PARAMETERS, insert_into
from etl.store.write.responses import Response

ERASED: Final = "(erased: it named a person who was forgotten)"


class Guard(NamedTuple):
    """The rules that the database's rows follow; a salt once somebody was forgotten."""

    rules: str
    salt: str | None


GUARD: Final = (
    select(t.privacy.c.rules).scalar_subquery().label("rules"),
    select(t.privacy.c.salt).scalar_subquery().label("salt"),
)
"""Columns that any statement can return beside its own."""


def load_guard(connection: Connection) -> Guard:
    """What a save has to heed."""
    return Guard(*connection.execute(select(t.privacy.c.rules, t.privacy.c.salt)).one())


def lock_out_saves(connection: Connection) -> None:
    """Let saves under way end, and others wait for the end of this transaction.

    Each begins with an update of `sync_state`. SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("LOCK TABLE sync_state IN EXCLUSIVE MODE")


def wait_for_lock(connection: Connection) -> None:
    """Let a transaction with `lock_out_saves` end, and the next one wait for this."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE sync_state IN ROW EXCLUSIVE MODE")


def redact_responses(
    connection: Connection, guard: Guard, rules: Rules, responses: list[Response]
) -> list[Response]:
    """The responses as they may be stored. Raises StoreError if other rules are in force."""
    check_rules(guard, rules)
    if rules.on:
        responses = [_redact(response, rules) for response in responses]
    if guard.salt is not None:
        responses = _remove_forgotten(connection, guard.salt, responses)
    return responses


def redact_messages(
    connection: Connection, rules: Rules, session_id: str, messages: Sequence[Message]
) -> Sequence[Message] | None:
    """Messages, treated already, as they may be stored; None for a forgotten person's session.

    Raises StoreError if other rules are in force.
    """
    guard = load_guard(connection)
    check_rules(guard, rules)
    if guard.salt is None:
        return messages
    if find_known_ids(connection, t.forgotten_sessions, [session_id]):
        return None
    told = [_find_names(message) for message in messages]
    gone = _find_forgotten(connection, guard.salt, told)

    def kept(message: Message, names: set[str]) -> Message:
        if gone.isdisjoint(names):
            return message
        return (
            empty_message(message) if is_theirs(message.creator_id, gone) else drop_extra(message)
        )

    return [kept(*one) for one in zip(messages, told, strict=True)]


def redact_sentence(connection: Connection, rules: Rules, text: str) -> str:
    """An error message as it may be stored. Call under `wait_for_lock`."""
    salt = load_guard(connection).salt
    names = _find_forgotten(connection, salt, [list_words(text)]) if salt is not None else ()
    return ERASED if names else rules.redact_text(text)


def check_rules(guard: Guard, rules: Rules) -> None:
    """Raise StoreError unless the rows follow these rules."""
    if guard.rules != rules.mark:
        hint = "give every process the same [privacy] and salt, and restart this one"
        raise StoreError("another process has changed [privacy] of this database", hint)


def find_known_ids(connection: Connection, table: Table, ids: Collection[str]) -> set[str]:
    """Those that a table has in its first column. Plain driver SQL: saves ask for hundreds."""
    [key, *_] = table.c.keys()
    sql = f"SELECT {key} FROM {table.name} WHERE {key}"
    found: set[str] = set()
    if connection.dialect.name == "postgresql":
        ids = _select_storable(connection, ids)
        found.update(row[0] for row in connection.exec_driver_sql(f"{sql} = ANY(%s)", (ids,)))
        return found
    for some in batched(ids, MOST_PARAMETERS):
        marks = ",".join("?" * len(some))
        found.update(
            row[0] for row in connection.exec_driver_sql(f"{sql} IN ({marks})", tuple(some))
        )
    return found


def mark_sessions(connection: Connection, ids: Iterable[str]) -> None:
    """Remember sessions as those of forgotten people."""
    insert_missing(connection, t.forgotten_sessions, [{"session_id": id} for id in sorted(ids)])


def _select_storable(connection: Connection, ids: Iterable[str]) -> list[str]:
    """Those that can be in a table: PostgreSQL refuses NUL."""
    is_postgres = connection.dialect.name == "postgresql"
    return [id for id in ids if not (is_postgres and "\0" in id)]


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, but for those that are there."""
    if rows:
        connection.execute(insert_into(connection, table).on_conflict_do_nothing(), list(rows))


def _redact(response: Response, rules: Rules) -> Response:
    return response._replace(
        sessions=[rules.redact_session(one) for one in response.sessions],
        creators=[rules.redact_creator(one) for one in response.creators],
        rejected=[rules.redact_rejected(one) for one in response.rejected],
    )


def _remove_forgotten(
    connection: Connection, salt: str, responses: list[Response]
) -> list[Response]:
    """Without forgotten people: whatever tells of them, by their id or their address."""
    told = {id(one): _find_names(one) for one in _list_records(responses)}
    _add_notes(told, responses)
    gone = _find_forgotten(connection, salt, told.values())
    ids = {s.id for response in responses for s in response.sessions}
    ids |= {bad.id for response in responses for bad in response.rejected if bad.id is not None}
    marked = find_known_ids(connection, t.forgotten_sessions, ids)

    def names(one: Session | Rejected) -> bool:
        return not gone.isdisjoint(told[id(one)])

    sessions = [one for response in responses for one in response.sessions]
    theirs = {one.id for one in sessions if names(one) and is_theirs(one.creator_id, gone)}
    _mark_new(connection, theirs - marked)
    hidden = marked | theirs

    def kept(one: Session) -> Session:
        if one.id in hidden:
            return make_anonymous(one)
        return drop_extra(one) if names(one) else one

    return [
        response._replace(
            sessions=[kept(one) for one in response.sessions],
            creators=[one for one in response.creators if one.id not in gone],
            rejected=[
                reduce_rejected(bad) if bad.id in hidden or names(bad) else bad
                for bad in response.rejected
            ],
        )
        for response in responses
    ]


def _add_notes(told: dict[int, set[str]], responses: list[Response]) -> None:
    """What can't be read of a session may tell whose it is, too."""
    for response in responses:
        notes = {bad.id: told[id(bad)] for bad in response.rejected if bad.is_partial}
        for one in response.sessions if notes else ():
            told[id(one)] |= notes.get(one.id, set())


def _mark_new(connection: Connection, ids: Iterable[str]) -> None:
    """Sessions that turn out to be theirs; one may have been stored as nobody's before."""
    stored = _select_storable(connection, ids)
    mark_sessions(connection, stored)
    delete_transcripts_of(connection, stored)


def _list_records(responses: list[Response]) -> Iterable[Session | Creator | Rejected]:
    for response in responses:
        yield from response.sessions
        yield from response.creators
        yield from response.rejected


def _find_names(one: Session | Creator | Rejected | Message) -> set[str]:
    """What may be a person's id or address in a record."""
    if isinstance(one, Creator):
        return {one.id}
    if isinstance(one, Rejected):
        return find_mentions(one.payload)
    found = {one.creator_id} if isinstance(one.creator_id, str) else set()
    if isinstance(one, Message):
        return found | (find_mentions(one.extra) if one.extra else set())
    return found | (list_mentions(one.extra) if one.extra else set())


def _find_forgotten(connection: Connection, salt: str, told: Iterable[set[str]]) -> set[str]:
    """Which of these strings identify a forgotten person."""
    by_pseudonym = {make_pseudonym(salt, word): word for word in set[str]().union(*told)}
    known = find_known_ids(connection, t.forgotten, by_pseudonym.keys())
    return {by_pseudonym[one] for one in known}
