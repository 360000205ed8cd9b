"""How open sessions are looked at for the fewest requests: by lists, or one by one. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from math import ceil

from etl.models import just_after


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


def enter_above_several(
    due: Sequence[datetime], page_reaches: Callable[[datetime], datetime]
) -> list[datetime]:
    """The instants below which a page of the list shows two or more of the sessions that are due.

    `due` are their instants, newest first. `page_reaches` tells down to which instant a page goes
    whose first row lies at an instant. No page shows what another one does.
    """
    entries, left = [], list(due)
    while len(left) > 1:
        oldest = page_reaches(left[0])
        shown = sum(instant >= oldest for instant in left)
        if shown > 1:
            entries.append(just_after(left[0]))
        left = left[max(shown, 1) :]
    return entries
