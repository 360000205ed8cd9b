"""What the pages of one chain prove. The one place that decides it. Pure.

| what was seen | what it proves |
|---|---|
| rows of one instant | nothing: they show no order |
| a row | its instant, once the next page of the chain has passed it: more rows may share it |
| the first row behind a cursor | nothing: rows of its instant may lie before it |
| a first page without a cursor, newest first | all up to the second of its request |
| a first page without a cursor, oldest first | all below its first row |
| a row dated later than the request | nothing: the list may get more of them |
"""

from datetime import datetime

from etl.models import BEGINNING, TICK, Entry, Span, floor_second, just_after
from etl.planning.coverage import Gap


class Proof:
    """A span of instants that grows in the direction of its chain."""

    def __init__(self, entry: Entry) -> None:
        self.order = entry.order
        self.entry = entry
        """Where the chain began: at a cursor, or at the list's own end."""
        self.started_at: datetime | None = None
        """When the chain's first page was requested: the proof counts as of then."""
        self.bound: datetime | None = None
        """The edge at which the proof begins."""
        self.frontier: datetime | None = None
        """The edge that it has reached; the last row's own instant lies beyond it."""
        self._passed: datetime | None = None
        """The edge that it had reached before the last page."""
        self._reentry: Entry | None = None
        """Where a later walk goes on so that its proof touches this one."""

    def advance(
        self, first: datetime, last: datetime, cursor: str | None, issued_at: datetime | None
    ) -> None:
        """Take a page of rows in order, from `first` to `last`, that `cursor` has requested."""
        if self.bound is None:
            self.bound = self._bound_entry(first)
        self._passed = self.frontier
        self.frontier = just_after(last) if self.order == "newest" else last
        # A page of one instant is no place to go on at: behind its cursor that instant may have
        # begun already, and the next walk could not prove it.
        if first != last or (self._reentry is None and self.entry.cursor is None):
            at = first if cursor is not None else self._end_of_list(first)
            self._reentry = Entry(self.order, cursor, at, issued_at)

    def span(self) -> Span | None:
        """What is proven so far, never beyond the second of the first request."""
        if self.bound is None or self.frontier is None or self.started_at is None:
            return None
        limit = floor_second(self.started_at)
        if self.order == "newest":
            newest = min(self.bound, limit)
            span = Span(self.frontier, newest, self.started_at, below=self._reentry)
        else:
            # The head is proven by the list newest first alone: it shows what this second holds.
            newest = min(self.frontier, limit - TICK)
            span = Span(self.bound, newest, self.started_at, above=self._reentry)
        return span if span.oldest < span.newest else None

    def last_page(self) -> Gap | None:
        """What the last page has added."""
        span = self.span()
        if span is None:
            return None
        if self.order == "newest":
            return Gap(span.oldest, self._passed or span.newest)
        return Gap(self._passed or span.oldest, span.newest)

    def reach_end(self, *, whole: bool) -> Span | None:
        """The end of history was reached and confirmed, newest first.

        A chain of the `whole` list, from its head, proves everything, in any order of its rows.
        """
        assert self.started_at is not None
        limit = floor_second(self.started_at)
        self.bound = limit if whole else self.bound and min(self.bound, limit)
        self.frontier = BEGINNING
        return Span(BEGINNING, self.bound, self.started_at) if self.bound is not None else None

    def _bound_entry(self, first: datetime) -> datetime:
        if self.entry.cursor is None:
            return self._end_of_list(first)
        return first if self.order == "newest" else just_after(first)

    def _end_of_list(self, first: datetime) -> datetime:
        """The list's own end on the side of its first page."""
        return (self.started_at or first) if self.order == "newest" else BEGINNING
