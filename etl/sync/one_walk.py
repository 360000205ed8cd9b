"""Following one chain of cursors: fetch a page, ask the walk what it proves, hand both over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from etl.api.client import Client, Fetched
from etl.errors import CutShort, Stopped
from etl.models import Counts
from etl.planning.walk import BOOKMARK_EVERY, Step, Walk, end_holds

__all__ = ["Arrival", "follow_walk"]

PAGE_ATTEMPTS: Final = 3
"""How often a page that can't be the next one is asked for before the list counts as cut short."""

MOST_ASTRAY: Final = 2 * BOOKMARK_EVERY
"""Pages after which a walk that hasn't reached its gap gives its entry up."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page that a walk brought, what it proves, and what it cost."""

    walk: Walk
    fetched: Fetched | None
    step: Step
    counts: Counts
    next_cursor: str | None
    is_head: bool = False


def follow_walk(
    walk: Walk,
    client: Client,
    agent_id: str,
    hand_over: Callable[[Arrival], bool],
    may_be_empty: Callable[[], bool],
    wasted: Counts,
) -> None:
    """Walk until `hand_over` says to stop, the list ends, or something is wrong.

    What failed requests cost is added to `wasted`.

    Raises CutShort where the list breaks off, ApiError where the API does, Stopped on a signal.
    """
    while True:
        counts = Counts()
        with _counting(counts, wasted):
            fetched = _fetch(walk, client, agent_id, counts)
        page = fetched.page
        step = walk.advance(page.listed, page.next_cursor, fetched.requested_at)
        counts.pages += 1
        # Told here: by the time that the page is saved, the walk may be further on.
        is_head = walk.pages == 1 and walk.entry.cursor is None and walk.order == "newest"
        wanted = hand_over(Arrival(walk, fetched, step, counts, page.next_cursor, is_head))
        if not wanted:
            return
        if page.next_cursor is None:
            if walk.order == "newest":
                _end(walk, client, agent_id, hand_over, may_be_empty, wasted)
            return
        if _astray(walk):
            raise CutShort("an entry into the list led elsewhere")


def _fetch(walk: Walk, client: Client, agent_id: str, counts: Counts) -> Fetched:
    """The walk's next page. One that can't be it is asked for again.

    An empty page is believed when it stays so: with a cursor at the second time, without one at
    the last, and then the end check has the last word.
    """
    for attempt in range(1, PAGE_ATTEMPTS + 1):
        fetched = client.fetch_page(agent_id, counts, order=walk.order, cursor=walk.cursor)
        last = attempt == PAGE_ATTEMPTS
        try:
            walk.check(fetched.page.listed, fetched.page.next_cursor)
        except CutShort:
            if last:
                raise
        else:
            again = fetched.page.next_cursor is not None and attempt > 1
            if last or fetched.page.listed or again:
                return fetched
        client.pause_before(attempt + 1)
    raise Stopped("asked to stop")


def _end(
    walk: Walk,
    client: Client,
    agent_id: str,
    hand_over: Callable[[Arrival], bool],
    may_be_empty: Callable[[], bool],
    wasted: Counts,
) -> None:
    """Let the list's other end confirm that a newest-first walk has seen the oldest session."""
    counts = Counts()
    with _counting(counts, wasted):
        oldest = client.fetch_page(agent_id, counts, order="oldest", page_size=1)
        if not oldest.page.listed and not may_be_empty():
            raise CutShort("the list is empty, but sessions of this agent are stored")
        if not end_holds(walk, oldest.page.listed):
            hint = "the next run goes on from here"
            raise CutShort("the list ended before its oldest session", hint)
    hand_over(Arrival(walk, None, walk.confirm_end(), counts, None))


@contextmanager
def _counting(counts: Counts, wasted: Counts) -> Iterator[None]:
    """What a failure cost is counted as well."""
    try:
        yield
    except BaseException:
        wasted.add(counts)
        raise


def _astray(walk: Walk) -> bool:
    if walk.entry.cursor is None or walk.pages < MOST_ASTRAY or walk.frontier is None:
        return False
    if walk.order == "newest":
        return walk.frontier > walk.target.newest
    return walk.frontier < walk.target.oldest
