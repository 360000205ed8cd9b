"""How open sessions are looked at for the fewest requests: by lists, or one by one. Pure."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil

__all__ = ["list_idle_down_to"]


def list_idle_down_to(
    due: Sequence[datetime], idle: Sequence[datetime], page_size: int
) -> datetime | None:
    """Down to which instant the list of idle sessions, newest first, is worth its pages.

    `due` are the instants of the idle sessions that are due, `idle` those of all that are stored
    as idle, as far down as the list could be worth it; both newest first. A session that the list
    reaches costs its share of a page, one below costs a request of its own.
    None: retrieving each is as cheap.
    """
    best, cheapest = None, len(due)
    listed = 0
    for number, instant in enumerate(due, start=1):
        while listed < len(idle) and idle[listed] >= instant:
            listed += 1
        cost = ceil(max(listed, number) / page_size) + len(due) - number
        if cost < cheapest:
            best, cheapest = instant, cost
    return best
