"""The time now. Rules take it as an argument; only code with side effects calls this."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
