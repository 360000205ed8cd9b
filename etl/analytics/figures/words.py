"""Numbers and times in the words of the report."""

from datetime import datetime, timedelta
from typing import Final

from etl.analytics.figures.period import Step
from etl.wording import count

THIN: Final = "\N{NARROW NO-BREAK SPACE}"
MINUS: Final = "\N{MINUS SIGN}"
METRIC_PREFIXES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
DASH: Final = "\N{EN DASH}"
NO_VALUE: Final = DASH


def format_count(number: float) -> str:
    """A count: `12,345`."""
    return f"{number:,.0f}"


def format_compact(number: float) -> str:
    """A large count in three digits: `12.3 M`. Small ones whole."""
    for size, unit in METRIC_PREFIXES:
        if number >= size * 0.9995:
            value = number / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{THIN}{unit}"
    return format_count(number)


def format_credits(number: float | None) -> str:
    """Credits, to the hundredth; large sums whole."""
    if number is None:
        return NO_VALUE
    return f"{number:,.2f}" if abs(number) < 100 else f"{number:,.0f}"


def format_percent(share: float | None) -> str:
    """A share of one: `8.4 %`; small ones are not said to be none, nor nearly all to be all."""
    if share is None:
        return NO_VALUE
    if 0 < share < 0.001:
        return f"under 0.1{THIN}%"
    return f"over 99.9{THIN}%" if 0.999 < share < 1 else f"{share * 100:.1f}{THIN}%"


def format_change(now: float, before: float) -> str:
    """How a quantity moved against the one before: `+12 %`; ``new`` from nothing."""
    if now == before:
        return "no change"
    if before == 0:
        return "new"
    moved = (now - before) / before * 100
    if abs(moved) >= 1000:
        return f"{format_count(now / before)} times"
    digits = 0 if abs(moved) >= 10 else 1
    text = f"{abs(moved):.{digits}f}"
    return f"{_choose_sign(moved)}{text}{THIN}%" if float(text) else "no change"


def format_points(now: float | None, before: float | None) -> str:
    """How a share moved, in percentage points; nothing where one of the two is not known."""
    if now is None or before is None:
        return ""
    moved = (now - before) * 100
    text = f"{abs(moved):.1f}"
    return f"{_choose_sign(moved)}{text}{THIN}points" if float(text) else "no change"


def _choose_sign(moved: float) -> str:
    return "+" if moved > 0 else MINUS


def format_seconds(seconds: float | None) -> str:
    """A span of time in its two largest units: `2 h 5 min`; seconds to the tenth: `3.2 s`."""
    if seconds is None:
        return NO_VALUE
    if 0 < seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    left = round(max(seconds, 0))
    if left < 60:
        return f"{left}{THIN}s"
    sizes = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    first = next(index for index, (size, _) in enumerate(sizes) if left >= size)
    parts = []
    for size, unit in sizes[first : first + 2]:
        number, left = divmod(left, size)
        parts += [f"{number}{THIN}{unit}"] if number else []
    return " ".join(parts)


def format_elapsed(span: timedelta) -> str:
    """How long ago, in one unit: `3 hours`."""
    seconds = max(span.total_seconds(), 0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size * (2 if unit == "day" else 1):
            return count(int(seconds // size), unit)
    return "under a minute"


def format_minute(clock: datetime | None, this_year: int | None = None) -> str:
    """A wall time to the minute: `23 Nov 2026, 18:39`; this year's without the year."""
    if clock is None:
        return NO_VALUE
    year = "" if clock.year == this_year else f" {clock.year}"
    return f"{_to_day(clock)}{year}, {clock:%H:%M}"


def format_span(since: datetime, until: datetime) -> str:
    """A range of wall times, its end exclusive; whole days without times of day."""
    if since.time() == until.time() == datetime.min.time() and until > since:
        last = until - timedelta(days=1)
        if since.date() == last.date():
            return f"{_to_day(since)} {since.year}"
        first = _to_day(since) if since.year == last.year else f"{_to_day(since)} {since.year}"
        return f"{first} {DASH} {_to_day(last)} {last.year}"
    first = _to_day(since) if since.year == until.year else f"{_to_day(since)} {since.year}"
    begins = "" if since.time() == datetime.min.time() else f", {since:%H:%M}"
    return f"{first}{begins} {DASH} {format_minute(until)}"


def format_bin(clock: datetime, step: Step) -> str:
    """A bin by its beginning, as a table has it."""
    if step == "hour":
        return f"{clock:%a} {_to_day(clock)}, {clock:%H:%M}"
    if step == "month":
        return f"{clock:%b} {clock.year}"
    return f"{clock:%a} {_to_day(clock)} {clock.year}"


def _to_day(clock: datetime) -> str:
    return f"{clock.day} {clock:%b}"
