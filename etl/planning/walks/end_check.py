"""Whether a newest-first chain that has no next cursor has really reached the oldest session. Pure.

The list is requested in the other order, for its first row. A server that ignores `sort_order`
sends the newest one, so a row proves the end only if the chain has ended with it.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal

from etl.models import Listed
from etl.planning.walks.chain import list_instants

Verdict = Literal["holds", "unsure", "cut short"]


class EndCheck:
    """Remembers what a chain has shown at its lowest instant."""

    def __init__(self) -> None:
        self.lowest: datetime | None = None
        """The oldest instant shown."""
        self._highest: datetime | None = None
        """The newest instant shown."""
        self._lowest_ids: set[str] = set()
        """The ids at that instant, and those without one on the last page."""
        self._last_id: str | None = None
        """The id of the last row of all, if it can be read."""
        self._page_ids: set[str] = set()
        """The ids on the last page."""
        self._shown_any = False
        """Whether the chain has shown any row."""
        self._ends_unreadable = False
        """Whether its last page had a record with neither id nor instant: it may be the oldest."""

    def add_page(self, listed: Sequence[Listed]) -> None:
        """Take a page of the chain."""
        self._page_ids = {row.id for row in listed if row.id}
        if not listed:
            return
        self._shown_any = True
        self._last_id = listed[-1].id
        self._ends_unreadable = any(row.id is None and row.created_at is None for row in listed)
        instants = list_instants(listed)
        lowest = min([*instants, self.lowest] if self.lowest else instants, default=None)
        self._highest = max([*instants, self._highest] if self._highest else instants, default=None)
        kept = self._lowest_ids if lowest == self.lowest else set()
        new = {row.id for row in listed if row.id and row.created_at in (lowest, None)}
        self.lowest, self._lowest_ids = lowest, kept | new

    @property
    def is_of_one_instant(self) -> bool:
        """Whether the rows can't show the order: then the newest row is one of the lowest too."""
        return self.lowest is not None and self.lowest == self._highest

    @property
    def ends_empty(self) -> bool:
        """Whether the last page has shown no row. A server may also answer an expired cursor so."""
        return not self._page_ids

    def judge_row(self, oldest: Sequence[Listed]) -> Verdict:
        """Judge the first row of the list, oldest first; `unsure` calls for a whole page."""
        if not oldest:
            return "cut short" if self._shown_any else "holds"
        row = oldest[0]
        # Where the list is slightly out of order, its last row isn't the oldest.
        if row.id is not None and row.id in {*self._lowest_ids, self._last_id}:
            return "holds"
        if row.created_at is None:
            is_all_there_is = self.lowest is None and self._ends_unreadable
            return "holds" if row.id is None and is_all_there_is else "unsure"
        if self.lowest is None or row.created_at < self.lowest:
            return "cut short"
        if row.created_at == self.lowest:
            return "holds" if row.id is None else "cut short"
        return "unsure"

    def judge_instant(self, listed: Sequence[Listed], next_cursor: str | None) -> Verdict:
        """Judge the first page of the list, oldest first, where all that was shown is one instant.

        A list of one page is whole if it comes out alike in either order. Of a longer one, the
        chain's last page has to end the list again (`unsure`).
        """
        if not self.knows_all(listed):
            return "cut short"
        if next_cursor is None:
            return "holds" if listed else "cut short"
        return "unsure"

    def knows_all(self, listed: Sequence[Listed]) -> bool:
        """Whether none of these is older than what was shown, or new at its lowest instant."""
        assert self.lowest is not None
        ids = {row.id for row in listed if row.created_at == self.lowest} - {None}
        return (
            ids <= self._lowest_ids
            and min(list_instants(listed), default=self.lowest) >= self.lowest
        )

    def judge_last_page(self, listed: Sequence[Listed], next_cursor: str | None) -> Verdict:
        """Judge the chain's last page, requested again, where all that was shown is one instant.

        Where its cursor is used up, a server may answer with an earlier page, which tells nothing.
        """
        if {row.id for row in listed if row.created_at == self.lowest} - self._lowest_ids - {None}:
            return "cut short"
        same = bool(listed) == bool(self._page_ids) and self._page_ids <= {r.id for r in listed}
        return "cut short" if same and next_cursor is not None else "holds"

    def judge_page(self, listed: Sequence[Listed], next_cursor: str | None) -> Verdict:
        """Judge the first page of the list, oldest first, where a row alone doesn't decide.

        The last row may have vanished, or can't be read. The page must begin with a row of the
        lowest instant, as far as it can be read, or show its order, or be the whole list.
        """
        instants = list_instants(listed)
        if not instants:
            may_be_it = listed and listed[0].id in {None, *self._lowest_ids}
            return "holds" if may_be_it and self._ends_unreadable else "cut short"
        if self.lowest is None or min(instants) < self.lowest:
            return "cut short"
        first = next(row.id for row in listed if row.created_at is not None)
        if first in self._lowest_ids and not self.is_of_one_instant:
            return "holds"
        ascends = instants[0] < instants[-1] and all(a <= b for a, b in pairwise(instants))
        return "holds" if ascends or next_cursor is None else "cut short"
