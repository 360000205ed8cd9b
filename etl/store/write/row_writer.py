"""What the two databases do each in their own SQL: the statements whose speed matters."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from etl.models import Rejected, Session
from etl.store.write.diff import Row


def make_conflict_clause(table: str, columns: Sequence[str]) -> str:
    """The end of an upsert by id: a row replaces an older one, by the rule of `is_outdated`.

    It guards against another process that has written the row since it was loaded.
    """
    sets = ",".join(f"{name}=excluded.{name}" for name in columns[1:])
    older = f"excluded.as_of >= {table}.as_of OR {table}.as_of > excluded.updated_at"
    return f"ON CONFLICT (id) DO UPDATE SET {sets} WHERE {older}"


class RowWriter(Protocol):
    """Reads and writes rows; see `SqliteRows` and `PostgresRows`."""

    def convert_instant(self, instant: datetime, /) -> Any:
        """An instant as a row holds it."""

    def convert_text(self, value: str, /) -> str:
        """A text as the database can hold it."""

    def convert_sessions(self, sessions: Sequence[Session], /) -> Sequence[Session | Rejected]:
        """The sessions, each as it can be stored, or rejected with the reason."""

    def make_rows(self, sessions: Sequence[Session], /) -> list[Row]:
        """The fields of sessions as the database gives them back."""

    def join_extra(self, old: Any, new: Any, /) -> Any:
        """The stored `extra`, with the keys that the response sent."""

    def load(
        self, connection: Connection, table: str, columns: Sequence[str], ids: Collection[str], /
    ) -> dict[str, Row]:
        """The stored rows of these ids."""

    def insert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Collection[Row], /
    ) -> None:
        """Insert rows that are known to be new."""

    def upsert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Collection[Row], /
    ) -> int:
        """Insert rows, or overwrite those with the same id, unless they hold a newer response.

        Returns how many were written.
        """
