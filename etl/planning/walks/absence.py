"""Which stored sessions a chain's pages should have shown. Pure; needs memory for one page.

Several rows may share an instant, also across pages. So what a page has shown at its last instant
is carried to the next one. An instant is judged once the chain has passed it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.models import BEGINNING, Listed, Order

MOST_CARRIED: Final = 100_000
"""Ids carried for one instant; more ties than that are not judged."""


@dataclass(frozen=True, slots=True)
class AbsenceCheck:
    """Stored sessions within `[oldest, newest)`, confirmed before `requested_at` and not in
    `held`, are suspected missing: the chain walked these instants whole and didn't show them.

    Not `certain`: a record without a readable id was shown there, which may be any of them. Then
    each suspect is retrieved by its id before it counts as missing.
    """

    oldest: datetime
    newest: datetime
    held: frozenset[str]
    requested_at: datetime
    certain: bool = True


class AbsenceJudge:
    """Turns pages into checks that join without a gap."""

    def __init__(self, order: Order) -> None:
        self.order = order
        """The order of the chain."""
        self._edge: datetime | None = None
        """Up to where instants have been judged; None before the proof begins."""
        self._carried: list[Listed] = []
        """Rows that pages have shown and that may lie beyond the edge, in their order."""
        self._carried_since: datetime | None = None
        """When the first page of those that are carried was requested."""
        self._skips = False
        """Whether so many ids were shown beyond the edge that the next instant is not judged."""

    def judge_page(
        self,
        listed: Sequence[Listed],
        requested_at: datetime,
        bound: datetime | None,
        frontier: datetime | None,
    ) -> AbsenceCheck | None:
        """Take a page. `bound` and `frontier` are the proof's edges; None: nothing is proven."""
        rows = [*self._carried, *listed]
        since = min(self._carried_since or requested_at, requested_at)
        edge = self._edge if self._edge is not None else bound
        oldest, newest = self._order_bounds(edge, frontier)
        if oldest is None or newest is None or oldest >= newest:
            self._carry(rows, since)
            return None
        check = _check(oldest, newest, rows, since)
        skips, self._skips, self._edge = self._skips, False, frontier
        left = self._select_beyond(rows)
        # Where no more are left than this page had, all of them are from it.
        self._carry(left, requested_at if len(left) <= len(listed) else since)
        return None if skips else check

    def reach_end(self, bound: datetime | None) -> AbsenceCheck | None:
        """The check of what is left below, once the end of history is confirmed."""
        newest = self._edge if self._edge is not None else bound
        if newest is None or self._carried_since is None or self._skips:
            return None
        return _check(BEGINNING, newest, self._carried, self._carried_since)

    def _order_bounds(
        self, edge: datetime | None, frontier: datetime | None
    ) -> tuple[datetime | None, datetime | None]:
        return (frontier, edge) if self.order == "newest" else (edge, frontier)

    def _select_beyond(self, rows: list[Listed]) -> list[Listed]:
        """The rows behind the last one that surely lies on this side of the edge.

        A row without an instant lies anywhere between its neighbours, also over a page's edge.
        """
        judged = (n for n in range(len(rows), 0, -1) if self._is_judged(rows[n - 1].created_at))
        return rows[next(judged, 0) :]

    def _is_judged(self, instant: datetime | None) -> bool:
        assert self._edge is not None
        if instant is None:
            return False
        return instant >= self._edge if self.order == "newest" else instant < self._edge

    def _carry(self, rows: list[Listed], since: datetime) -> None:
        self._skips = self._skips or len(rows) > MOST_CARRIED
        self._carried = [] if self._skips else rows
        self._carried_since = since


def _check(
    oldest: datetime, newest: datetime, rows: Sequence[Listed], since: datetime
) -> AbsenceCheck:
    held = frozenset(row.id for row in rows if row.id is not None)
    return AbsenceCheck(oldest, newest, held, since, all(row.id is not None for row in rows))
