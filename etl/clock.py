"""The time now. Rules get it as a value; only what acts asks for it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
