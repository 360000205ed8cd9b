"""Rows to files: Parquet or CSV, through Arrow, in batches."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from etl.analytics.export.rules import RISKY_CELL
from etl.analytics.schema_docs import Column

Format = Literal["parquet", "csv"]

BATCH_ROWS: Final = 50_000
BATCH_BYTES: Final = 32 << 20
"""A batch is written at so many rows or bytes; of Parquet it is a row group."""

ARROW_TYPES: Final = {
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "numeric": pa.float64(),
    "double precision": pa.float64(),
    "bigint": pa.int64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}
"""Arrow's types for PostgreSQL's; everything else is text, JSON too."""


def make_schema(columns: Iterable[Column], types: dict[str, Any] = ARROW_TYPES) -> pa.Schema:
    """The columns of a file: the same from either database, all nullable."""
    return pa.schema([(column.name, types.get(column.type, pa.string())) for column in columns])


class TableFile:
    """A new file, written batch by batch and safe on disk once it is left without an error."""

    def __init__(self, path: Path, schema: pa.Schema, format: Format, *, raw: bool) -> None:
        self._schema = schema
        self._escapes = format == "csv" and not raw
        self._pending: list[pa.RecordBatch] = []
        self.rows = self._rows = self._bytes = 0
        self._file = path.open("xb")
        if format == "parquet":
            self._writer = pa.parquet.ParquetWriter(self._file, schema, compression="zstd")
        else:
            self._writer = pa.csv.CSVWriter(self._file, schema)

    def __enter__(self) -> Self:
        return self

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        columns = zip(*rows, strict=True)
        arrays = [_to_array(cells, f.type) for cells, f in zip(columns, self._schema, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._pending.append(batch)
        self.rows += batch.num_rows
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._write_pending()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._write_pending()
                self._writer.close()
                self._file.flush()
                os.fsync(self._file.fileno())
            elif isinstance(self._writer, pa.parquet.ParquetWriter):
                # Or pyarrow tries to write the end, as the object goes, into a file that is closed.
                self._writer.is_open = False

    def _write_pending(self) -> None:
        table = pa.Table.from_batches(self._pending, self._schema)
        self._writer.write_table(escape_formulas(table) if self._escapes else table, BATCH_ROWS)
        self._pending, self._rows, self._bytes = [], 0, 0


def _to_array(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    # SQLite gives whole credits as integers.
    numbers = kind == pa.float64()
    return pa.array([c if c is None else float(c) for c in cells] if numbers else cells, kind)


def escape_formulas(table: pa.Table) -> pa.Table:
    """Put a quote before text that a spreadsheet would run, and replace NUL."""
    for index, field in enumerate(table.schema):
        if field.type == pa.string():
            cells = pa.compute.replace_substring_regex(table.column(index), RISKY_CELL, r"'\1")
            cells = pa.compute.replace_substring(cells, "\0", "\N{REPLACEMENT CHARACTER}")
            table = table.set_column(index, field, cells)
    return table
