"""The database's rows for a lake, month by month in the order of their keys, in a stream.

They come as the driver gives them: most are only hashed, few are turned into columns.
"""

import contextlib
import re
from collections.abc import Generator, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from etl.analytics.lake.tables import UNDATED, LakeTable

FETCHED_ROWS: Final = 1000
"""Rows of SQLite that are held at once."""

MONTH_SQL: Final = {
    "sqlite": "coalesce(substr({0}.created_at, 1, 7), '{1}')",
    "postgresql": "coalesce(to_char({0}.created_at AT TIME ZONE 'UTC', 'YYYY-MM'), '{1}')",
}
SORTABLE_TIME: Final = "to_char(r.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
"""PostgreSQL's own text of a time leaves out a fraction of zero, so it doesn't sort."""

ESCAPE: Final = re.compile(r"\\(.)")
UNESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
COPY_NULL: Final = "\\N"
_encode: Final = msgspec.json.Encoder().encode


class SourceRow(NamedTuple):
    """A row: the month that it is filed under, its key, a digest, its size, and itself."""

    month: str
    key: Any
    digest: int
    size: int
    raw: Any


Rows = Generator[SourceRow, None, None]


def stream_rows(connection: Connection, table: LakeTable) -> Rows:
    """All rows of a table, month by month, each month in the order of the keys."""
    if connection.dialect.name == "postgresql":
        return _copy_rows(connection, table)
    return _select_rows(connection, table)


def split_cells(raw: Any) -> Sequence[Any]:
    """A row's cells: texts, numbers and None; of PostgreSQL all are texts."""
    if not isinstance(raw, bytes):
        cells: Sequence[Any] = raw
        return cells
    return [_unescape(cell) for cell in raw.decode().split("\t")]


def _build_query(table: LakeTable, dialect: str) -> str:
    """The month and the cells, in the order of the month and the key, byte by byte."""
    source, dated = f"{table.name} r", "r"
    if table.by_month and table.name != "sessions":
        source, dated = f"{source} JOIN sessions s ON s.id = r.session_id", "s"
    month = MONTH_SQL[dialect].format(dated, UNDATED) if table.by_month else "''"
    cells = {name: f"r.{name}" for name in table.names}
    order = {name: cells[name] for name in table.key}
    for column in table.columns:
        if dialect == "postgresql" and column.name in order:
            if column.type == "text":
                order[column.name] += ' COLLATE "C"'
            elif column.type == "timestamptz":
                cells[column.name] = SORTABLE_TIME.format(name=column.name)
    selected, ordered = ", ".join(cells.values()), ", ".join(order.values())
    return f"SELECT {month}, {selected} FROM {source} ORDER BY 1, {ordered}"


def _select_rows(connection: Connection, table: LakeTable) -> Rows:
    driver: Any = connection.connection.driver_connection
    pick_key = itemgetter(*(table.names.index(name) + 1 for name in table.key))
    with contextlib.closing(driver.execute(_build_query(table, "sqlite"))) as cursor:
        while rows := cursor.fetchmany(FETCHED_ROWS):
            for row in rows:
                cells = row[1:]
                text = _encode(cells)
                yield SourceRow(row[0], pick_key(row), _digest(text), len(text), cells)


def _copy_rows(connection: Connection, table: LakeTable) -> Rows:
    """By COPY: a line a row, which is hashed as it is; no cell is decoded but those of the key."""
    driver: Any = connection.connection.driver_connection
    places = [table.names.index(name) for name in table.key]
    is_number = table.key[-1] == "position"
    with driver.cursor() as cursor:
        # Else it is the server's encoding, or what the environment says.
        cursor.execute("SET LOCAL client_encoding TO 'UTF8'")
        with cursor.copy(f"COPY ({_build_query(table, 'postgresql')}) TO STDOUT") as copy:
            for block in copy:
                month, _, raw = bytes(block).rstrip(b"\n").partition(b"\t")
                cells = raw.split(b"\t", places[-1] + 1)
                key: Any = [_unescape(cells[place].decode()) for place in places]
                if is_number:
                    key[-1] = int(key[-1])
                whole = key[0] if len(key) == 1 else tuple(key)
                yield SourceRow(month.decode(), whole, _digest(raw), len(raw), raw)


def _digest(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little", signed=True)


def _unescape(cell: str) -> str | None:
    if cell == COPY_NULL:
        return None
    if "\\" not in cell:
        return cell
    return ESCAPE.sub(lambda found: UNESCAPED.get(found[1], found[1]), cell)
