"""Single values in any form that leaves no doubt: numbers in strings, instants as numbers. Pure."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS: Final = (1e9, 1e10)
"""A number in this range is an instant in seconds since 1970: September 2001 to November 2286."""

MILLISECONDS: Final = (1e12, 1e13)
"""One in this range is in milliseconds: the same years. All other numbers are no instants."""

LARGEST_COUNT: Final = 2**63 - 1
NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def parse_instant(text: str) -> datetime:
    """An instant in UTC from any form the platform emits; without an offset it is UTC.

    Raises ValueError for anything else, a bare date included.
    """
    if len(text) < 16 or text[4] != "-":
        raise ValueError(f"not a timestamp: {text!r:.60} - at `$.created_at`")
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is UTC:
            return instant
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not a timestamp: {text!r:.60} - at `$.created_at`") from None


def read_instant(value: Any) -> datetime:
    """An instant from a text, or from seconds or milliseconds since 1970. Raises ValueError."""
    if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
        return parse_instant(value.strip())
    number = read_number(value)
    for (least, most), unit in ((SECONDS, 1), (MILLISECONDS, 1000)):
        if least <= number < most:
            # A float would lose microseconds.
            exact = Decimal(str(value).strip()) * 1_000_000 / unit
            return EPOCH + timedelta(microseconds=round(exact))
    raise ValueError("neither seconds nor milliseconds since 1970")


def read_number(value: Any) -> float:
    """A finite number, which may stand in a string. Raises ValueError."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError("not a number")
    return float(value)


def read_count(value: Any) -> int:
    """A whole number of 64 bits, which may stand in a string. Raises ValueError."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not -LARGEST_COUNT <= value <= LARGEST_COUNT:
        raise ValueError("not a whole number")
    return int(value)
