"""Following one chain of cursors: fetch a page, ask the walk what it proves, hand both over."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from etl.api.client import Client, Fetched
from etl.errors import CursorRefused, CutShort, Stopped
from etl.models import Counts, Page
from etl.planning.walks.walk import Step, Walk

__all__ = ["Arrival", "PageSource", "follow_walk"]

PAGE_ATTEMPTS: Final = 3
"""How often a page that can't be the next one is requested before the list counts as cut short."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page that a walk brought, what it proves, and what it cost."""

    walk: Walk
    fetched: Fetched | None
    """None at a confirmed end of the list: that step has no page."""
    step: Step
    counts: Counts
    next_cursor: str | None
    is_head: bool = False
    """Whether this is the list's first page, newest first."""


@dataclass(frozen=True, slots=True)
class PageSource:
    """An agent's list, under filters or without."""

    client: Client
    agent_id: str
    filters: Mapping[str, str] = field(default_factory=dict)
    checks_end: Callable[[], bool] = lambda: True
    """Whether the end of the list has to be confirmed: not if nothing is concluded from it, or if
    another walk comes from there."""
    may_be_empty: Callable[[], bool] = lambda: True
    """Whether nothing is known that contradicts an empty list: then it needs no second look."""

    def fetch(self, walk: Walk, counts: Counts) -> Fetched:
        """The walk's next page. One that can't be it is requested again.

        An empty page is believed when it stays so: with a cursor at the second time, without one
        at the last, and then the end check has the last word. Under a filter, or behind a cursor
        that was kept, an empty page is nothing unusual. It is believed as well if its cursor
        doesn't live until the next look: whoever requests it the first time gets the same.
        """
        empty: Fetched | None = None
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            last = attempt == PAGE_ATTEMPTS
            try:
                fetched = self._fetch_next(walk, counts)
            except (CutShort, CursorRefused) as error:
                if empty is not None and (last or isinstance(error, CursorRefused)):
                    return empty
                if last or isinstance(error, CursorRefused):
                    raise
            else:
                again = fetched.page.next_cursor is not None and attempt > 1
                if last or fetched.page.listed or again or self._may_begin_empty(walk):
                    return fetched
                empty = fetched
            self.client.pause_before(attempt + 1)
        raise Stopped("asked to stop")

    def confirm_end(self, walk: Walk, counts: Counts) -> None:
        """Let the list's other end confirm that a walk newest first has seen the oldest session.

        Raises CutShort if it doesn't.
        """
        if walk.end.is_of_one_instant:
            self._confirm_instant(walk, counts)
            return
        oldest = self._fetch_oldest(counts, page_size=1)
        if not oldest.listed and not self.filters and not self.may_be_empty():
            raise CutShort("the list is empty, but sessions of this agent are stored")
        verdict = walk.end.judge_row(oldest.listed)
        if verdict == "unsure":
            # The last row has vanished, or the server ignores the order: a page tells.
            whole = self._fetch_oldest(counts, page_size=None)
            verdict = walk.end.judge_page(whole.listed, whole.next_cursor)
        _require_end(verdict == "holds")

    def _confirm_instant(self, walk: Walk, counts: Counts) -> None:
        """Confirm the end of a list that has shown rows of one instant alone."""
        whole = self._fetch_oldest(counts, page_size=None)
        verdict = walk.end.judge_instant(whole.listed, whole.next_cursor)
        if verdict == "unsure":
            again = self.client.fetch_page(
                self.agent_id,
                counts,
                order=walk.order,
                cursor=walk.chain.page_cursor,
                filters=self.filters,
            )
            verdict = "holds" if again.page.next_cursor is None else "cut short"
        _require_end(verdict == "holds")

    def is_plainly_empty(self, walk: Walk) -> bool:
        """Whether a filtered list is one empty page that nothing contradicts."""
        is_one_page = bool(self.filters) and walk.chain.pages == 1
        return is_one_page and not walk.chain.last_ids and self.may_be_empty()

    def _fetch_next(self, walk: Walk, counts: Counts) -> Fetched:
        """What the walk's cursor leads to. Raises CutShort if that can't be the next page."""
        fetched = self.client.fetch_page(
            self.agent_id,
            counts,
            order=walk.order,
            cursor=walk.chain.cursor,
            filters=self.filters,
        )
        walk.check(fetched.page.listed, fetched.page.next_cursor)
        return fetched

    def _fetch_oldest(self, counts: Counts, page_size: int | None) -> Page:
        return self.client.fetch_page(
            self.agent_id, counts, order="oldest", page_size=page_size, filters=self.filters
        ).page

    def _may_begin_empty(self, walk: Walk) -> bool:
        return not walk.chain.pages and (bool(self.filters) or not walk.is_unbroken)


def follow_walk(
    walk: Walk, source: PageSource, hand_over: Callable[[Arrival], bool], wasted: Counts
) -> None:
    """Walk until `hand_over` says to stop, the list ends, or something is wrong.

    What failed requests cost is added to `wasted`.

    Raises CutShort where the list breaks off, CursorRefused where a cursor is of no use, another
    ApiError where the API fails, Stopped on a signal.
    """
    while True:
        counts = Counts()
        with _count_failure(counts, wasted):
            fetched = source.fetch(walk, counts)
        page = fetched.page
        step = walk.advance(page.listed, page.next_cursor, fetched.requested_at)
        counts.pages += 1
        # Decided here: by the time that the page is saved, the walk may be further on.
        is_head = walk.chain.pages == 1 and walk.is_unbroken and walk.order == "newest"
        if not hand_over(Arrival(walk, fetched, step, counts, page.next_cursor, is_head)):
            return
        if page.next_cursor is None:
            _end_walk(walk, source, hand_over, wasted)
            return


def _end_walk(
    walk: Walk, source: PageSource, hand_over: Callable[[Arrival], bool], wasted: Counts
) -> None:
    """A walk has no next cursor. Only newest first, and with rows or from the head, it proves."""
    behind_the_end = not walk.is_unbroken and walk.end.lowest is None
    if walk.order == "oldest" or behind_the_end:
        return
    if source.is_plainly_empty(walk) or not source.checks_end():
        return
    counts = Counts()
    with _count_failure(counts, wasted):
        source.confirm_end(walk, counts)
    hand_over(Arrival(walk, None, walk.confirm_end(), counts, None))


def _require_end(confirmed: bool) -> None:
    if not confirmed:
        hint = "the next run goes on from here"
        raise CutShort("the list ended before its oldest session", hint)


@contextmanager
def _count_failure(counts: Counts, wasted: Counts) -> Iterator[None]:
    """What a failure cost is counted as well."""
    try:
        yield
    except BaseException:
        wasted.add(counts)
        raise
