"""The tables of a lake: what identifies their rows, and which month they are filed under."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from etl.analytics import schema_docs
from etl.analytics.export.files import ARROW_TYPES, make_schema
from etl.analytics.schema_docs import Column

MONTH: Final = "month"
"""The partition column: the month of the session's `created_at` in UTC."""

UNDATED: Final = "undated"
"""The month of sessions without `created_at`. A null can't be named in a partition's filter."""

DIGEST: Final = "_digest"
"""The column that tells whether a row changed: 64 bits of a hash of it."""

LAKE_TYPES: Final = ARROW_TYPES | {"numeric": pa.decimal128(38, 9)}
"""Arrow's types; credits have what Spark, Snowflake, DuckDB and BigQuery's NUMERIC can all hold."""

KEYS: Final = {
    "creators": ("id",),
    "agents": ("id",),
    "sessions": ("id",),
    "session_states": ("session_id", "observed_at"),
    "session_messages": ("session_id", "position"),
    "session_freshness": ("session_id",),
}
"""In the order in which they are carried over: people first, so that sessions find theirs."""

UNPARTITIONED: Final = ("creators", "agents")
OPTIONAL: Final = "session_messages"


class LakeTable(NamedTuple):
    """One table: its public columns, its key, and whether it is partitioned by month."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    by_month: bool

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def file_schema(self) -> pa.Schema:
        """The columns of a data file; the month is told by its folder."""
        return make_schema(self.columns, LAKE_TYPES).append(pa.field(DIGEST, pa.int64()))

    @property
    def schema(self) -> pa.Schema:
        """The columns of the Delta table."""
        month = [pa.field(MONTH, pa.string())] if self.by_month else []
        return pa.schema([*self.file_schema, *month])

    @property
    def is_optional(self) -> bool:
        """Whether there need be no such table, while the database has no rows of it."""
        return self.name == OPTIONAL


def list_lake_tables() -> Sequence[LakeTable]:
    """The tables in the order in which they are carried over."""
    relations = schema_docs.read().relations
    return [
        LakeTable(
            name,
            tuple(column for column in relations[name].columns if column.public),
            key,
            name not in UNPARTITIONED,
        )
        for name, key in KEYS.items()
    ]
