"""The types of columns that the two databases store differently."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, DateTime, Integer, String, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

Whole = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number; SQLite counts ids up for `INTEGER` alone."""


def format_instant(instant: datetime) -> str:
    """An instant as SQLite stores it."""
    # A quarter of what `isoformat` takes; it leaves out a fraction of zero.
    text: str = msgspec.to_builtins(instant)
    fraction = text[19:26] if text[19:20] == "." else ".000000"
    return f"{text[:10]} {text[11:19]}{fraction}"


class Instant(TypeDecorator[datetime]):
    """A point in time, in UTC, to the microsecond."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`timestamptz` in PostgreSQL, text elsewhere."""
        is_postgres = dialect.name == "postgresql"
        return dialect.type_descriptor(DateTime(timezone=True) if is_postgres else String(26))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database's form."""
        return value if value is None or dialect.name == "postgresql" else format_instant(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """To an aware datetime in UTC."""
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        instant: datetime = value.astimezone(UTC)
        return instant


class Json(TypeDecorator[Any]):
    """A JSON document: `jsonb` in PostgreSQL, text elsewhere. None is the database's null."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))
