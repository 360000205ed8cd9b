"""How far the figures can be trusted: as of when they are, and what they lack."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from etl.analytics.figures.period import find_period_before
from etl.analytics.figures.words import format_count
from etl.analytics.report.formatting import Formatter
from etl.analytics.report.health_queries import Health
from etl.planning.drift import name_fields

STALE_AGE: Final = timedelta(days=1)
"""Data that is older than this is called old at the top of the page."""

MOST_WARNINGS: Final = 5
MOST_NAMES: Final = 3


def describe_freshness(viewer: Formatter) -> str:
    """Up to when the range is whole; the agent that lags most decides, of those ever synced."""
    options = viewer.figures.options
    as_of = min((one.as_of for one in viewer.figures.health if one.as_of), default=None)
    if as_of is None:
        return "never: nothing of this range was synced"
    if as_of == options.period.until < options.now:
        return "its end: the range is over and whole"
    return f"{viewer.format_minute(as_of)} ({viewer.format_ago(as_of)})"


def list_warnings(viewer: Formatter) -> list[str]:
    """What the figures lack, in sentences."""
    lacking: dict[str, list[str]] = {}
    for one in viewer.figures.health:
        lacking.setdefault(_describe_lack(viewer, one), []).append(viewer.labels[one.agent_id])
    texts = [f"{_join_names(names)}: {lack}." for lack, names in lacking.items() if lack]
    texts += [
        f"{viewer.labels[one.agent_id]}: {format_count(one.unread.partial)} sessions lack fields"
        f" that could not be read: {name_fields(one.unread.fields)}."
        for one in viewer.figures.health
        if one.unread.partial
    ]
    if len(texts) > MOST_WARNINGS:
        texts = [*texts[:MOST_WARNINGS], "More agents lack something, too: see Sync health."]
    if viewer.figures.undated:
        count = format_count(viewer.figures.undated)
        texts.append(f"Sessions without a date, which belong to no range: {count}.")
    return [*texts, *_warn_of_shorter_period(viewer)]


def _join_names(names: Sequence[str]) -> str:
    """The first names, and how many there are beyond."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _warn_of_shorter_period(viewer: Formatter) -> list[str]:
    """A warning if the range before is shorter than the one that is shown."""
    options, before = viewer.figures.options, viewer.figures.period_before
    wanted = find_period_before(options.period, options.zone)
    if before is None or wanted is None or before.since == wanted.since:
        return []
    first = viewer.format_minute(before.since)
    return [f"The range before has sessions from {first} on only: changes look greater for it."]


def _describe_lack(viewer: Formatter, one: Health) -> str:
    options = viewer.figures.options
    if one.as_of is None:
        return "nothing of this range was synced"
    if one.holes:
        return "parts of this range were never synced; its figures are too low"
    if one.as_of < min(options.now - STALE_AGE, options.period.until):
        return f"sessions that began after {viewer.format_minute(one.as_of)} are not here yet"
    return ""
