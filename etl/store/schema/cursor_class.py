"""psycopg's cursor without pipelines. Imported only where PostgreSQL is used."""

from collections.abc import Iterable
from typing import Any

import psycopg

__all__ = ["PlainCursor"]


class PlainCursor(psycopg.Cursor[Any]):
    """Sends one statement after the other where psycopg would send a pipeline of them.

    A process that is frozen amid a pipeline escapes `idle_in_transaction_session_timeout`: its
    transaction would hold its locks for ever (psycopg 3.3, PostgreSQL 18).
    """

    def executemany(
        self, query: Any, params_seq: Iterable[Any], *, returning: bool = False
    ) -> None:
        """Execute the statement with each of the parameters; results are not kept."""
        assert not returning
        for params in params_seq:
            self.execute(query, params)
