"""What is special of psycopg: a cursor without pipelines, and what libpq knows by itself.

Imported only where PostgreSQL is used.
"""

from collections.abc import Iterable
from typing import Any

import psycopg


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


def list_arguments() -> set[str]:
    """The names that libpq takes after the `?` of a URL."""
    return {one.keyword.decode() for one in psycopg.pq.Conninfo.get_defaults()}


def read_default_options() -> str:
    """`options` of the environment or of its service: ours would take its place."""
    defaults = psycopg.pq.Conninfo.get_defaults()
    return next((one.val or b"" for one in defaults if one.keyword == b"options"), b"").decode()
