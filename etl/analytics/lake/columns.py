"""Rows as they come from a database, to Arrow: the same columns from SQLite and PostgreSQL."""

import decimal
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

PRECISE: Final = decimal.Context(prec=38, rounding=decimal.ROUND_HALF_EVEN)
NANO: Final = Decimal("1e-9")
UTC_OFFSET: Final = "+00"


def make_batch(
    rows: Sequence[Sequence[Any]], digests: Sequence[int], schema: pa.Schema
) -> pa.RecordBatch:
    """Rows and their digests as a batch of the schema, whose last column is the digest."""
    columns = zip(*rows, strict=True)
    arrays = [_to_array(cells, field.type) for cells, field in zip(columns, schema, strict=False)]
    return pa.record_batch([*arrays, pa.array(digests, pa.int64())], schema=schema)


def is_unfit(cell: Any) -> bool:
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
