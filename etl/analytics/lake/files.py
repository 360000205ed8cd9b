"""Data files: written in constant memory, a month at a time, and read back as an index.

Rows come as a database gives them, and become the same columns from SQLite and PostgreSQL.
"""

import decimal
import json
import time
import uuid
from collections.abc import Container, Iterator, Sequence
from datetime import MAXYEAR, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction
from pyarrow.fs import PyFileSystem

from etl.analytics.lake.compare import LakeRow
from etl.analytics.lake.delta import DataFile
from etl.analytics.lake.source import SourceRow, split_cells
from etl.analytics.lake.tables import DIGEST, MONTH, LakeTable

BATCH_ROWS: Final = 10_000
GROUP_ROWS: Final = 100_000
GROUP_BYTES: Final = 32 << 20
"""A row group is written at so many rows or bytes: what is held in memory."""

FILE_ROWS: Final = 1_000_000
FILE_BYTES: Final = 1 << 30
"""A file ends at so many rows, or bytes before compression."""

FILE_COLUMN: Final = "_file"
ROW_COLUMN: Final = "_row"
TIME_TEXT: Final = "%Y-%m-%d %H:%M:%S"
DATED: Final = "created_at"

PRECISE: Final = decimal.Context(prec=38, rounding=decimal.ROUND_HALF_EVEN)
NANO: Final = Decimal("1e-9")
UTC_OFFSET: Final = "+00"


class MonthWriter:
    """Writes rows of one month into new files; `added` are those that are done."""

    def __init__(self, filesystem: PyFileSystem, table: LakeTable, month: str) -> None:
        self.added: list[AddAction] = []
        self.unfit = 0
        self._filesystem = filesystem
        self._table = table
        self._schema = table.file_schema
        self._month = month
        # Rows wait to become a batch, batches a row group, row groups are in the open file.
        self._rows: list[SourceRow] = []
        self._batches: list[pa.RecordBatch] = []
        self._rows_bytes = self._batches_bytes = self._file_rows = self._file_bytes = 0
        self._dates: list[tuple[datetime, datetime]] = []
        self._writer: pq.ParquetWriter | None = None
        self._file: Any = None
        self._path = ""

    def write_row(self, row: SourceRow) -> None:
        """Add a row of the database."""
        self._rows.append(row)
        self._rows_bytes += row.size
        if len(self._rows) >= BATCH_ROWS or self._rows_bytes >= GROUP_BYTES:
            self._turn_rows()

    @property
    def has_rows(self) -> bool:
        """Whether any row was added so far."""
        return bool(self.added or self._rows or self._batches or self._writer)

    def copy_file(self, file: DataFile, stale: Container[int]) -> None:
        """Add the rows of an older file, but not those with the numbers in `stale`."""
        number = 0
        with self._filesystem.open_input_file(file.path) as source:
            for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
                kept = [i for i in range(len(batch)) if number + i not in stale]
                number += len(batch)
                self._write_batch(batch.take(pa.array(kept, pa.int64())))

    def close(self) -> None:
        """Finish the last file."""
        self._turn_rows()
        self._write_group()
        self._finish_file()

    def _turn_rows(self) -> None:
        if self._rows:
            cells = [split_cells(row.raw) for row in self._rows]
            for place, field in enumerate(self._schema):
                if pa.types.is_decimal(field.type):
                    self.unfit += sum(_is_unfit(row[place]) for row in cells)
            digests = [row.digest for row in self._rows]
            self._write_batch(_make_batch(cells, digests, self._schema))
            self._rows, self._rows_bytes = [], 0

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._batches_bytes += batch.nbytes
        if sum(map(len, self._batches)) >= GROUP_ROWS or self._batches_bytes >= GROUP_BYTES:
            self._write_group()
        if self._file_rows >= FILE_ROWS or self._file_bytes >= FILE_BYTES:
            self._finish_file()

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._batches, self._schema)
        self._batches, self._batches_bytes = [], 0
        if not len(group):
            return
        if self._writer is None:
            folder = f"{MONTH}={self._month}/" if self._table.by_month else ""
            self._path = f"{folder}etl-{uuid.uuid4().hex}.parquet"
            self._file = self._filesystem.open_output_stream(self._path)
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._writer.write_table(group, GROUP_ROWS)
        self._file_rows += len(group)
        self._file_bytes += group.nbytes
        self._note_dates(group)

    def _note_dates(self, group: pa.Table) -> None:
        if DATED in group.schema.names and self._table.by_month:
            bounds = pc.min_max(group[DATED]).as_py()
            if bounds["min"] is not None:
                self._dates.append((bounds["min"], bounds["max"]))

    def _finish_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._file.close()
        size = self._filesystem.get_file_info(self._path).size
        month: dict[str, str | None] = {MONTH: self._month} if self._table.by_month else {}
        now = int(time.time() * 1000)
        self.added.append(AddAction(self._path, size, month, now, True, self._format_statistics()))
        self._writer, self._file_rows, self._file_bytes, self._dates = None, 0, 0, []

    def _format_statistics(self) -> str:
        """How many rows, and between which dates: no other column, since the log outlives rows."""
        statistics: dict[str, Any] = {"numRecords": self._file_rows}
        if self._dates:
            oldest, newest = min(a for a, _ in self._dates), max(b for _, b in self._dates)
            statistics["minValues"] = {DATED: _format_milliseconds(oldest)}
            statistics["maxValues"] = {DATED: _format_milliseconds(newest, up=True)}
        return json.dumps(statistics)


def _format_milliseconds(instant: datetime, *, up: bool = False) -> str:
    """An instant as Delta's statistics have it, no later (`up`: no earlier) than it is."""
    rest = timedelta(microseconds=instant.microsecond % 1000)
    down = instant - rest
    if up and rest and down.year < MAXYEAR:
        down += timedelta(milliseconds=1)
    text = down.strftime("%H:%M:%S")
    return f"{down:%Y-%m-%d}".zfill(10) + f"T{text}.{down.microsecond // 1000:03}Z"


def read_index(
    filesystem: PyFileSystem, files: Sequence[DataFile], table: LakeTable
) -> tuple[pa.Table, set[int]]:
    """Keys and digests of the rows of some files with their places, sorted by key.

    Also the numbers of files that aren't there any more: their rows are lost.
    """
    parts, lost = [], set()
    for number, file in enumerate(files):
        try:
            with filesystem.open_input_file(file.path) as source:
                part = pq.ParquetFile(source, pre_buffer=True).read([*table.key, DIGEST])
        except FileNotFoundError:
            lost.add(number)
            continue
        places = {FILE_COLUMN: pa.array([number] * len(part), pa.int32())}
        places[ROW_COLUMN] = pa.array(range(len(part)), pa.int64())
        for name, cells in places.items():
            part = part.append_column(name, cells)
        parts.append(part)
    if not parts:
        return pa.table({}), lost
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in table.key]), lost


def index_rows(index: pa.Table, table: LakeTable) -> Iterator[LakeRow]:
    """The rows of an index, as `compare` takes them; times are SQLite's text."""
    for batch in index.to_batches(BATCH_ROWS):
        keys = [_list_cells(batch[name]) for name in table.key]
        joined = keys[0] if len(keys) == 1 else zip(*keys, strict=True)
        others = (batch[name].to_pylist() for name in (DIGEST, FILE_COLUMN, ROW_COLUMN))
        yield from zip(joined, *others, strict=True)


def _list_cells(cells: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(cells.type):
        cells = pc.strftime(cells.cast(pa.timestamp("us")), format=TIME_TEXT)
    found: list[Any] = cells.to_pylist()
    return found


def _make_batch(
    rows: Sequence[Sequence[Any]], digests: Sequence[int], schema: pa.Schema
) -> pa.RecordBatch:
    """Rows and their digests as a batch of the schema, whose last column is the digest."""
    columns = zip(*rows, strict=True)
    arrays = [_to_array(cells, field.type) for cells, field in zip(columns, schema, strict=False)]
    return pa.record_batch([*arrays, pa.array(digests, pa.int64())], schema=schema)


def _is_unfit(cell: Any) -> bool:
    """Whether a number of credits doesn't fit into 29 digits before the point: null in a lake."""
    return cell is not None and _parse_decimal(cell) is None


def _to_array(cells: Sequence[Any], type: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(type):
        return pa.array([None if cell is None else _parse_decimal(cell) for cell in cells], type)
    if pa.types.is_timestamp(type):
        # PostgreSQL writes its offset, which the snapshot sets to UTC.
        texts = [cell and cell.removesuffix(UTC_OFFSET) for cell in cells]
        return pa.array(texts, pa.string()).cast(pa.timestamp("us")).cast(type)
    if pa.types.is_integer(type):
        return pa.array([None if cell is None else int(cell) for cell in cells], type)
    return pa.array(cells, type)


def _parse_decimal(cell: Any) -> Decimal | None:
    """A number, rounded to nine digits after the point. The text of a float is its shortest."""
    try:
        found = Decimal(str(cell)).quantize(NANO, context=PRECISE)
    except decimal.InvalidOperation:
        return None
    return found if found.is_finite() else None
