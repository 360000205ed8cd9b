"""Deleting messages, and what is left of them in the search index.

The database itself keeps the index in step: SQLite by triggers, PostgreSQL by a generated column.
So whoever deletes a message, by whatever statement, takes it out of the index, too.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, inspect, update

from etl.store.batched import batched
from etl.store.schema import tables as t
from etl.store.schema.engine import MOST_PARAMETERS


def delete_messages_of(connection: Connection, session_ids: Iterable[str]) -> int:
    """Delete the messages of sessions, and return how many. They aren't retrieved again, unless
    their session changes. `compact_search` then takes the words out of SQLite's file as well.
    """
    ids = list(session_ids)
    blank = {"digest": None, "messages": None, "retrieved_at": None}
    for some in batched(ids, MOST_PARAMETERS):
        mine = t.transcripts.c.session_id.in_(some)
        connection.execute(update(t.transcripts).where(mine).values(blank))
    return delete_of(connection, t.session_messages, ids)


def delete_transcripts_of(connection: Connection, session_ids: Iterable[str]) -> int:
    """Delete the messages of forgotten people's sessions, and the note that they were retrieved."""
    ids = list(session_ids)
    delete_of(connection, t.transcripts, ids)
    return delete_of(connection, t.session_messages, ids)


def compact_search(connection: Connection) -> None:
    """Rewrite SQLite's search index without the words of deleted messages.

    Until then they lie in the file unused. PostgreSQL's VACUUM does it in time.
    """
    if inspect(connection).has_table("message_search"):
        connection.exec_driver_sql(
            "INSERT INTO message_search (message_search) VALUES ('optimize')"
        )


def delete_of(connection: Connection, table: Any, session_ids: Iterable[str]) -> int:
    """Delete a table's rows of these sessions, and return how many."""
    deleted = 0
    for some in batched(session_ids, MOST_PARAMETERS):
        statement = delete(table).where(table.c.session_id.in_(some))
        deleted += connection.execute(statement).rowcount
    return deleted
