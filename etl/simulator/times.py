"""Instants: whole microseconds since 1970 in UTC, and the texts that stand for them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
HOUR = 3600 * SECOND

# Earlier than any date: a session without created_at sorts as the oldest of all.
NO_INSTANT = -(2**62)


def to_instant(moment: datetime) -> int:
    """Return the instant of *moment*; a naive one counts as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND


def to_datetime(instant: int) -> datetime:
    """Return *instant* as an aware UTC datetime."""
    return EPOCH + instant * MICROSECOND


def parse_instant(text: str) -> int | None:
    """Return the instant that an ISO *text* names, or None if it names none."""
    try:
        return to_instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def format_instant(instant: int) -> str:
    """Write *instant* as the API's samples do; a fraction appears only if there is one."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def format_variant(instant: int, variant: int) -> str:
    """Write *instant* in one of the five forms that the platform is known to emit."""
    plain = format_instant(instant).removesuffix("Z")
    full = to_datetime(instant).isoformat(timespec="microseconds").removesuffix("+00:00")
    forms = (plain + "Z", plain + "+00:00", full + "Z", full.replace("T", " "), plain)
    return forms[variant % len(forms)]
