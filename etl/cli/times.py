"""Times as commands print them."""

from datetime import datetime
from typing import Final

AGE_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def to_iso(instant: datetime | None) -> str | None:
    """An instant as JSON has it."""
    return instant.isoformat().replace("+00:00", "Z") if instant else None


def to_second(instant: datetime | None) -> str:
    """An instant as a person reads it: UTC, to the second."""
    return instant.strftime("%Y-%m-%d %H:%M:%S") if instant else "-"


def to_minute(instant: datetime | None) -> str:
    """An instant as a table has room for it: UTC, to the minute."""
    return instant.strftime("%Y-%m-%d %H:%M") if instant else "-"


def format_age(instant: datetime | None, now: datetime) -> str:
    """How far an instant is from now, in the greatest unit that it fills: `5 min ago`, `in 2 h`."""
    if instant is None:
        return "-"
    seconds = (now - instant).total_seconds()
    if abs(seconds) < 1:
        return "now"
    unit, length = next((u for u in AGE_UNITS if abs(seconds) >= u[1]), ("s", 1))
    text = f"{abs(seconds) // length:.0f} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"
