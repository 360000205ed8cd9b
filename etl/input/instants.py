"""Points in time that a person types: a date, an ISO time, or how long ago."""

from datetime import UTC, datetime, tzinfo

from etl.clock import utc_now
from etl.config import Settings, parse_duration
from etl.errors import ConfigError


def parse_instant(text: str, now: datetime | None = None, zone: tzinfo = UTC) -> datetime:
    """A date, an ISO time (in the zone unless it says otherwise), or an age like `30d`.

    Raises ConfigError for anything else.
    """
    try:
        return (now or utc_now()) - parse_duration(text)
    except OverflowError:
        raise ConfigError(f"{text!r} is before the calendar begins") from None
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
        aware = instant.replace(tzinfo=zone) if instant.tzinfo is None else instant
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        hint = 'use a date like "2026-05-01", an ISO time, or how long ago, like "30d"'
        raise ConfigError(f"{text!r} is not a point in time", hint) from None


def require_past(instant: datetime) -> datetime:
    """The instant. Raises ConfigError if it is yet to come."""
    if instant > utc_now():
        raise ConfigError(f"{instant:%Y-%m-%d %H:%M} UTC is in the future", "is the year right?")
    return instant


def read_history_from(settings: Settings) -> datetime | None:
    """Where `sync.since` lets history begin. Raises ConfigError."""
    if not settings.sync.since:
        return None
    try:
        return require_past(parse_instant(settings.sync.since))
    except ConfigError as error:
        raise ConfigError(f"sync.since: {error.message}", error.hint) from None
