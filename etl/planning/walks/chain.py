"""One chain of cursors: which page can be its next one, and in which order its rows come. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from etl.errors import CursorRefused, CutShort, OutOfPlace
from etl.models import Entry, Listed, Order

MOST_EMPTY: Final = 100
"""Empty pages in a row that are followed before the list counts as broken."""


class Chain:
    """The pages behind an entry. Holds the ids of the last page and instant, a hash per cursor."""

    def __init__(self, entry: Entry, ceiling: datetime | None = None) -> None:
        self.entry = entry
        """Where the chain began."""
        self.order: Order = entry.order
        """The order in which rows must come."""
        self.cursor = entry.cursor
        """Requests the next page; None at the beginning, and again after the last page."""
        self.page_cursor = entry.cursor
        """Requested the last page."""
        self.issued_at = entry.issued_at
        """When the page that held `cursor` was requested."""
        self.ceiling = ceiling
        """The oldest instant that the list has shown: its tail must begin below.

        At that instant it would bring nothing, and may be the head of a list in one order only.
        """
        self.pages = 0
        """How many pages have been taken."""
        self.first: datetime | None = None
        """The instant of the first dated row of all."""
        self.last: datetime | None = None
        """The instant of the last dated row so far."""
        self.last_ids: frozenset[str] = frozenset()
        """The ids of the last page that had rows."""
        self._tied_ids: set[str | None] = set()
        """The ids that were shown at the instant `last`."""
        self.in_order = True
        """Whether all rows so far came in the requested order. False is for good."""
        self.shows_order = False
        """Whether two instants came one after the other, as requested.

        Rows of a single instant look the same in every order. Only two of them show whether the
        server ignores `sort_order`.
        """
        self._unordered_ids: set[str] = set()
        """The ids that were shown since the rows came out of order."""
        self._cursors = {hash(entry.cursor)}
        """Hashes of all cursors so far: a list that repeats one never ends."""
        self._empty = 0
        """Empty pages in a row, up to now."""

    def check(self, listed: Sequence[Listed], next_cursor: str | None) -> None:
        """Raise CutShort if the page can't be the next one, CursorRefused if the entry misleads."""
        if next_cursor is not None and hash(next_cursor) in self._cursors:
            raise CutShort("the list repeats a cursor", "it has no end; try again later")
        if not listed and self._empty >= MOST_EMPTY:
            raise CutShort(f"the list sent {MOST_EMPTY} empty pages in a row")
        ids = {row.id for row in listed if row.id is not None}
        if ids and ids <= self.last_ids:
            raise CutShort("the list sent the same page again")
        instants = list_instants(listed)
        if instants and self.first is None:
            self._check_entry(instants[0])
        if (ids & self._unordered_ids) - self.last_ids:
            raise CutShort("the list, which is out of order, shows a session twice")
        if self.last is None or not self.in_order or not instants:
            return
        # One row before the last one is a list out of order; a page of nothing else but what was
        # shown at the last instant is another page.
        if not any(self._goes_on(row) for row in listed):
            raise OutOfPlace("the list sent a page that doesn't go on from the one before")

    def add_page(
        self, listed: Sequence[Listed], next_cursor: str | None, requested_at: datetime
    ) -> bool:
        """Take a page that has passed `check`. Returns whether its rows are in order."""
        instants = list_instants(listed)
        in_order = self._are_in_order(instants)
        self.in_order = self.in_order and in_order
        self.pages += 1
        self._empty = 0 if listed else self._empty + 1
        if instants:
            self._note_tied(listed, instants[-1])
            self.first = instants[0] if self.first is None else self.first
            self.shows_order |= self.in_order and self.first != instants[-1]
            self.last = instants[-1]
        if listed:
            self.last_ids = frozenset(row.id for row in listed if row.id is not None)
        if not self.in_order:
            self._unordered_ids |= self.last_ids
        self.page_cursor, self.cursor = self.cursor, next_cursor
        self.issued_at = requested_at
        self._cursors.add(hash(next_cursor))
        return in_order

    def is_before(self, one: datetime, other: datetime) -> bool:
        """Whether `one` belongs strictly before `other` in this chain's order."""
        return one > other if self.order == "newest" else one < other

    def _check_entry(self, first: datetime) -> None:
        if self.entry.cursor is not None and self.is_before(first, self.entry.at):
            raise CursorRefused("a stored cursor leads elsewhere in the list")
        is_tail = self.order == "oldest" and self.entry.cursor is None
        if is_tail and self.ceiling is not None and first >= self.ceiling:
            raise CursorRefused("the list oldest first doesn't begin with the oldest session")

    def _goes_on(self, row: Listed) -> bool:
        """Whether a row belongs behind the last one. Needs a dated row before it."""
        assert self.last is not None
        if row.created_at is None or self.is_before(row.created_at, self.last):
            return False
        return row.created_at != self.last or row.id is None or row.id not in self._tied_ids

    def _note_tied(self, listed: Sequence[Listed], last: datetime) -> None:
        if last != self.last:
            self._tied_ids = set()
        self._tied_ids.update(row.id for row in listed if row.created_at == last)

    def _are_in_order(self, instants: Sequence[datetime]) -> bool:
        rows = [self.last, *instants] if self.last is not None else list(instants)
        return rows == sorted(rows, reverse=self.order == "newest")


def list_instants(listed: Sequence[Listed]) -> list[datetime]:
    """The instants that can be read, in the order of their rows."""
    return [row.created_at for row in listed if row.created_at is not None]


def contradict(one: Sequence[Listed], other: Sequence[Listed]) -> bool:
    """Whether two pages of a list disagree: one lacks a row of the other, amid its own."""
    return _lacks(one, other) or _lacks(other, one)


def _lacks(page: Sequence[Listed], rows: Sequence[Listed]) -> bool:
    instants, ids = list_instants(page), {row.id for row in page}
    return any(
        row.id is not None
        and row.id not in ids
        and row.created_at is not None
        and min(instants) < row.created_at < max(instants)
        for row in (rows if instants else ())
    )
