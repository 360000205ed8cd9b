"""Finding messages by their words, by the index that each database keeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, TextClause, func, inspect, select, text

from etl.errors import StoreError
from etl.store.schema import tables as t

SIGNS: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What PostgreSQL's index takes for gaps, besides what its parser does (migration 0004)."""


class Hit(NamedTuple):
    """A message that holds the words, and the text in which they were looked for."""

    at: datetime | None
    agent_id: str
    agent_name: str | None
    session_id: str
    session_name: str | None
    position: int
    message_id: str | None
    role: str | None
    text: str


def search(
    connection: Connection,
    phrases: Sequence[str],
    limit: int,
    agent_ids: Sequence[str] | None = None,
    since: datetime | None = None,
) -> list[Hit]:
    """The newest messages that hold every phrase. A message without a date has its session's.

    Raises StoreError if the database was made by an SQLite that can't search.
    """
    m, s, a = t.session_messages.c, t.sessions.c, t.agents.c
    at = func.coalesce(m.created_at, s.created_at)
    what = func.coalesce(m.search_text, m.content)
    query = (
        select(at, a.id, a.name, s.id, s.name, m.position, m.id, m.role, what)
        .select_from(t.session_messages.join(t.sessions).join(t.agents))
        .where(_make_condition(connection, phrases))
        .order_by(at.desc().nulls_last(), m.session_id, m.position)
        .limit(limit)
    )
    if agent_ids:
        query = query.where(s.agent_id.in_(agent_ids))
    if since is not None:
        query = query.where(at >= since)
    return [Hit(*row) for row in connection.execute(query)]


def _make_condition(connection: Connection, phrases: Sequence[str]) -> TextClause:
    """Whether a message holds every phrase. What stands in a phrase is never taken for syntax."""
    if connection.dialect.name == "postgresql":
        names = [f"phrase_{number}" for number in range(len(phrases))]
        query = "words @@ phraseto_tsquery('pg_catalog.simple', translate(:{}, :signs, :gaps))"
        values: dict[str, Any] = dict(zip(names, phrases, strict=True))
        values |= {"signs": SIGNS, "gaps": " " * len(SIGNS)}
        return text(" AND ".join(map(query.format, names))).bindparams(**values)
    _require_index(connection)
    quoted = [f'"{phrase.replace(chr(34), chr(34) * 2)}"' for phrase in phrases]
    query = "number IN (SELECT rowid FROM message_search WHERE message_search MATCH :words)"
    return text(query).bindparams(words=" AND ".join(quoted))


def _require_index(connection: Connection) -> None:
    if not inspect(connection).has_table("message_search"):
        hint = "its tables were made by an SQLite without FTS5"
        raise StoreError("this database has no search index", hint)
