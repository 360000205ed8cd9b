"""Rules of `[privacy]` that have changed are applied to what is stored, before anything else."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Table, Text, bindparam, cast, or_, select, update
from sqlalchemy import delete as delete_from

from etl.models import Creator
from etl.privacy import Rules, change
from etl.store.privacy.redaction import load_guard, lock_out_saves
from etl.store.schema import tables as t
from etl.store.store import Store

ROWS_AT_ONCE: Final = 500
RULES_CHANGED: Final = "[privacy] has changed: what is stored follows it now"
_json = msgspec.json.Encoder(order="sorted")


def apply_rules_change(store: Store) -> bool:
    """Bring what is stored under the store's rules. False if it follows them already.

    All in one transaction, for which saves wait. What the API has to bring again, since a hash
    can't be undone, is null until then. Raises StoreError.
    """
    with store.connect() as connection:
        if load_guard(connection).rules == store.rules.mark:
            return False

    def work(connection: Connection) -> None:
        lock_out_saves(connection)
        rules = change(load_guard(connection).rules, store.rules)
        if rules.on:
            _reduce_creators(connection, rules, store)
            _reduce_sessions(connection, rules, store)
            _reduce_messages(connection, rules)
            _reduce_rejected(connection, rules)
            for table in (t.sync_runs, t.transcripts):
                _reduce_sentences(connection, rules, table)
        connection.execute(update(t.privacy).values(rules=store.rules.mark))

    store.transact(work)
    return True


def read_pages(
    connection: Connection, key: Column[Any], columns: Sequence[Any], *conditions: Any
) -> Iterator[Sequence[Any]]:
    """Rows some hundred at a time, in the order of a key, which comes first in each."""
    query = select(key, *columns).where(*conditions).order_by(key).limit(ROWS_AT_ONCE)
    found = connection.execute(query).all()
    while found:
        yield found
        found = connection.execute(query.where(key > found[-1][0])).all()


def replace_payload(connection: Connection, id: int, agent_id: str, payload: str) -> None:
    """Put another payload in a rejected record's place; one with the same is there but once."""
    table, digest = t.rejected_records, hashlib.sha256(payload.encode()).hexdigest()
    twin = (table.c.agent_id == agent_id, table.c.payload_sha256 == digest, table.c.id != id)
    this = table.c.id == id
    if connection.execute(select(table.c.id).where(*twin)).first() is None:
        values = {"payload": payload, "payload_sha256": digest}
        connection.execute(update(table).where(this).values(values))
    else:
        connection.execute(delete_from(table).where(this))


def _reduce_creators(connection: Connection, rules: Rules, store: Store) -> None:
    c = t.creators.c
    names = Creator.__struct_fields__
    for some in read_pages(connection, c.id, [c[name] for name in names[1:]]):
        old = [Creator(*row) for row in some]
        new = [msgspec.structs.asdict(rules.redact_creator(one)) for one in old]
        changed = [n for n, o in zip(new, old, strict=True) if Creator(**n) != o]
        _write(connection, t.creators, changed, store)


def _reduce_sessions(connection: Connection, rules: Rules, store: Store) -> None:
    c = t.sessions.c
    extra = cast(c.extra, Text).label("extra")
    wanted = or_(c.name.contains("@"), c.extra.is_not(None))
    for some in read_pages(connection, c.id, [c.name, extra], wanted):
        changed = []
        for id, name, text in some:
            value = None if text is None else msgspec.json.decode(text)
            new = {
                "name": name and rules.redact_text(name),
                "extra": value and rules.redact_value(value),
            }
            if new != {"name": name, "extra": value}:
                left = None if new["extra"] is None else _json.encode(new["extra"]).decode()
                changed.append({"id": id, "name": new["name"], "extra": left})
        _write(connection, t.sessions, changed, store)


def _reduce_messages(connection: Connection, rules: Rules) -> None:
    c = t.session_messages.c
    extra = cast(c.extra, Text).label("extra")
    for some in read_pages(connection, c.number, [extra], c.extra.is_not(None)):
        changed = [
            {"number": number, "extra": rules.redact_json(text)}
            for number, text in some
            if rules.redact_json(text) != text
        ]
        _write(connection, t.session_messages, changed)


def _reduce_rejected(connection: Connection, rules: Rules) -> None:
    c = t.rejected_records.c
    for some in read_pages(connection, c.id, [c.agent_id, c.payload]):
        for id, agent_id, payload in some:
            # One that was deleted for its age is empty.
            treated = payload and rules.redact_json(payload)
            if treated != payload:
                replace_payload(connection, id, agent_id, treated)
    _reduce_sentences(connection, rules, t.rejected_records, "reason")


def _reduce_sentences(
    connection: Connection, rules: Rules, table: Table, name: str = "error"
) -> None:
    [key, *_] = table.primary_key.columns
    for some in read_pages(connection, key, [table.c[name]], table.c[name].contains("@")):
        rows = [{key.name: id, name: rules.redact_text(text)} for id, text in some]
        _write(connection, table, rows)


def _write(
    connection: Connection, table: Table, rows: list[dict[str, Any]], store: Store | None = None
) -> None:
    """Update rows by their key, the first of their values."""
    if not rows:
        return
    key, *names = rows[0]
    values = {name: _make_value(connection, name) for name in names}
    if store is not None:
        values["updated_at"] = store.now()
    statement = update(table).where(table.c[key] == bindparam("its_key")).values(values)
    connection.execute(
        statement, [{"its_key": row[key]} | {f"its_{n}": row[n] for n in names} for row in rows]
    )


def _make_value(connection: Connection, name: str) -> Any:
    """A parameter; JSON goes as text, as it is written where the speed matters."""
    given = bindparam(f"its_{name}", type_=Text)
    if name != "extra" or connection.dialect.name != "postgresql":
        return given
    from sqlalchemy.dialects.postgresql import JSONB

    return cast(given, JSONB)
