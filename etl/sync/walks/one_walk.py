"""Following one chain of cursors: fetch a page, ask the walk what it proves, hand both over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from etl.api.client import Client, Fetched
from etl.errors import CursorRefused, CutShort, OutOfPlace, Stopped, Transient
from etl.models import Counts, Order, Page
from etl.planning.walks.end_check import Verdict
from etl.planning.walks.walk import Step, Walk

MOST_EMPTY_PAGES: Final = 20
"""How far the other end is looked for where its pages show nothing but have a next cursor."""

PAGE_ATTEMPTS: Final = 3
"""How often a page that can't be the next one is requested before the list counts as cut short."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page that a walk brought, what it proves, and what it cost."""

    walk: Walk
    fetched: Fetched[Page] | None
    """None at a confirmed end of the list, and where a claim is withdrawn."""
    step: Step
    counts: Counts
    next_cursor: str | None
    is_head: bool = False
    """Whether this is the list's first page, newest first."""


@dataclass(slots=True)
class PageSource:
    """An agent's list, under filters or without, as one walk requests it."""

    client: Client
    agent_id: str
    filters: Mapping[str, str] = field(default_factory=dict)
    must_confirm_end: Callable[[], bool] = lambda: True
    """Whether the end of the list has to be confirmed: not where nothing is concluded from it. It
    may wait for a walk from the other end, which proves as much."""
    wait_for_head: Callable[[Walk, Page], None] = lambda *_: None
    """Waits until a walk's first page can be judged. Raises CursorRefused if it can't be."""
    get_tail_page: Callable[[], Page | None] = lambda: None
    """The list's first page oldest first, if it was requested together with the walk's."""
    may_be_empty: Callable[[Counts], bool] = lambda _: True
    """Whether nothing that is known contradicts an empty list."""
    _cost: Counts = field(default_factory=Counts)
    """What requests have cost since `take_cost`."""

    def take_cost(self) -> Counts:
        """What requests have cost since this was last asked, failed ones too."""
        cost, self._cost = self._cost, Counts()
        return cost

    def fetch(self, walk: Walk) -> Fetched[Page]:
        """The walk's next page. One that can't be it is requested again.

        A page of no record, or of none that can be read, is believed once it is repeated: at the
        second time if it has a next cursor, else at the last, and then the end check decides. It is
        believed as well if its cursor is refused, or fails, when it is requested again. Under a
        filter, or behind a stored cursor, an empty page is nothing unusual.
        """
        doubtful: Fetched[Page] | None = None
        may_begin_empty = not walk.chain.pages and (
            bool(self.filters) or walk.entry.cursor is not None
        )
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            last = attempt == PAGE_ATTEMPTS
            try:
                fetched = self._fetch_next(walk)
            except (CursorRefused, Transient):
                if doubtful is None:
                    raise
                return doubtful
            except CutShort:
                if last and doubtful is not None:
                    return doubtful
                if last:
                    raise
            else:
                listed = fetched.content.listed
                is_confirmed = fetched.content.next_cursor is not None and attempt > 1
                is_plain = any(row.id is not None for row in listed) if listed else may_begin_empty
                if last or is_confirmed or is_plain:
                    return fetched
                doubtful = fetched
            self.client.pause_after(attempt)
        raise Stopped("asked to stop")

    def confirm_end(self, walk: Walk) -> None:
        """Let the list's other end confirm that a walk newest first has seen the oldest session.

        Raises CutShort if it doesn't.
        """
        judge = self._judge_instant if walk.end.is_of_one_instant else self._judge_end
        is_one_page = walk.starts_without_cursor and walk.chain.pages == 1
        known = self.get_tail_page() if is_one_page else None
        if known is not None and judge(walk, known) == "holds":
            return
        # If it doesn't hold, the list may have changed since that page.
        if judge(walk) != "holds":
            hint = "the next run goes on from here; does the API ignore sort_order?"
            raise CutShort("the list ended before its oldest session", hint)

    def _judge_end(self, walk: Walk, known: Page | None = None) -> Verdict:
        row = known or self._fetch_oldest(page_size=1)
        verdict = walk.end.judge_row(row.listed)
        is_empty = verdict == "holds" and not row.listed
        if is_empty and not self.filters and not self.may_be_empty(self._cost):
            raise CutShort("the list is empty, but sessions of this agent are stored")
        if verdict == "unsure":
            # The last row has vanished, or the server ignores the order: a page tells.
            page = known or self._fetch_oldest()
            verdict = walk.end.judge_page(page.listed, page.next_cursor)
        return verdict

    def _judge_instant(self, walk: Walk, known: Page | None = None) -> Verdict:
        """The list has shown rows of one instant alone, which are the same in either order."""
        page = known or self._fetch_oldest()
        verdict = walk.end.judge_instant(page.listed, page.next_cursor)
        if verdict == "unsure" and walk.end.ends_empty:
            verdict = "holds" if self._has_seen_all(walk, page) else "cut short"
        if verdict == "unsure":
            try:
                page = self._request(walk.order, walk.chain.page_cursor).content
            except CursorRefused:
                # It was used up by the page, and nothing else contradicts that page.
                return "holds"
            verdict = walk.end.judge_last_page(page.listed, page.next_cursor)
        return verdict

    def _has_seen_all(self, walk: Walk, page: Page) -> bool:
        """Whether a walk has seen all of a list of one instant, which is walked from its other end.

        `page` is the first one there.
        """
        for _ in range(walk.chain.pages):
            if page.next_cursor is None or not walk.end.knows_all(page.listed):
                break
            try:
                page = self._request("oldest", page.next_cursor).content
            except CursorRefused:
                return False
        return page.next_cursor is None and walk.end.knows_all(page.listed)

    def _fetch_oldest(self, page_size: int | None = None) -> Page:
        """The list's first page, oldest first, that shows a row.

        A server may count rows for a page that the caller may not see.
        """
        page = self._request("oldest", page_size=page_size).content
        if page_size is not None and not page.listed and page.next_cursor is not None:
            # Its cursor may hold good for pages of this size alone.
            page = self._request("oldest").content
        for _ in range(MOST_EMPTY_PAGES):
            if page.listed or page.next_cursor is None:
                break
            page = self._request("oldest", page.next_cursor).content
        return page

    def is_plainly_empty(self, walk: Walk) -> bool:
        """Whether a filtered list is one empty page that nothing contradicts."""
        is_one_page = bool(self.filters) and walk.chain.pages == 1
        return is_one_page and not walk.chain.last_ids and self.may_be_empty(self._cost)

    def _fetch_next(self, walk: Walk) -> Fetched[Page]:
        """What the walk's cursor leads to. Raises CutShort if that can't be the next page."""
        is_hint = walk.entry.cursor is not None and not walk.chain.pages
        fetched = self._request(walk.order, walk.chain.cursor, is_hint=is_hint)
        if not walk.chain.pages:
            self.wait_for_head(walk, fetched.content)
        walk.chain.check(fetched.content.listed, fetched.content.next_cursor)
        return fetched

    def _request(
        self,
        order: Order,
        cursor: str | None = None,
        *,
        page_size: int | None = None,
        is_hint: bool = False,
    ) -> Fetched[Page]:
        return self.client.fetch_page(
            self.agent_id,
            self._cost,
            order=order,
            cursor=cursor,
            page_size=page_size,
            filters=self.filters,
            is_hint=is_hint,
        )


def follow_walk(walk: Walk, source: PageSource, hand_over: Callable[[Arrival], bool]) -> None:
    """Walk until `hand_over` says to stop, the list ends, or something is wrong.

    Raises CutShort where the list breaks off, CursorRefused where a cursor is of no use, another
    ApiError where the API fails, Stopped on a signal.
    """
    try:
        while hand_over(arrival := fetch_step(walk, source)):
            if arrival.next_cursor is None:
                _end_walk(walk, source, hand_over)
                return
    except OutOfPlace:
        hand_over(Arrival(walk, None, walk.withdraw_page(), source.take_cost(), None))
        raise


def fetch_step(walk: Walk, source: PageSource) -> Arrival:
    """Fetch a walk's next page. Raises as `follow_walk` does."""
    fetched = source.fetch(walk)
    page = fetched.content
    step = walk.advance(page.listed, page.next_cursor, fetched.requested_at)
    counts = source.take_cost()
    counts.pages += 1
    # Decided here: by the time that the page is saved, the walk may be further on.
    is_head = walk.chain.pages == 1 and walk.starts_without_cursor and walk.order == "newest"
    return Arrival(walk, fetched, step, counts, page.next_cursor, is_head)


def _end_walk(walk: Walk, source: PageSource, hand_over: Callable[[Arrival], bool]) -> None:
    """Confirm the end of a walk. One newest first that saw rows or began at the head proves it."""
    behind_the_end = not walk.starts_without_cursor and walk.end.lowest is None
    if walk.order == "oldest" or behind_the_end:
        return
    if source.is_plainly_empty(walk) or not source.must_confirm_end():
        return
    source.confirm_end(walk)
    hand_over(Arrival(walk, None, walk.confirm_end(), source.take_cost(), None))
