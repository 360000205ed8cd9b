"""One walk: a chain of cursors, what its pages prove, what they should have shown. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.models import TICK, Entry, Listed, Order, Span
from etl.planning.coverage import Gap
from etl.planning.walks.absence import AbsenceCheck, AbsenceJudge
from etl.planning.walks.chain import Chain, list_instants
from etl.planning.walks.end_check import EndCheck
from etl.planning.walks.proof import Proof

BOOKMARK_EVERY: Final = 5
"""Pages between two bookmarks."""

MOST_UNDATED: Final = 10_000
"""Sessions without `created_at` that one walk keeps in mind; of more, none is judged."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one page of a walk yields besides its rows."""

    proven: Span | None
    """All that the walk has proven so far."""
    absence: AbsenceCheck | None = None
    """Between which instants stored sessions must have been shown."""
    bookmark: Entry | None = None
    """An entry for later walks, every few pages."""
    out_of_order: bool = False
    """Whether the rows of this page came out of order."""
    undated: tuple[frozenset[str], datetime] | None = None
    """At the end of a walk of the whole list: ids without `created_at`, and when it began."""
    withdrawn: Gap | None = None
    """What an earlier step has claimed and this one contradicts."""


class Walk:
    """Follows one chain of cursors towards a gap."""

    def __init__(self, entry: Entry, target: Gap, ceiling: datetime | None = None) -> None:
        self.entry = entry
        """Where the walk enters the list."""
        self.target = target
        """The gap that the walk was started for."""
        self.order: Order = entry.order
        self.chain = Chain(entry, ceiling)
        """Which page can be the next one."""
        self.proof = Proof(entry)
        """What the pages prove."""
        self.end = EndCheck()
        """What the walk has shown at its lowest instant, for the end of the list."""
        self._judge = AbsenceJudge(entry.order)
        """Which stored sessions the pages should have shown."""
        self._undated: set[str] | None = set()
        """Ids without `created_at`; None once there are too many, or one has no id."""

    @property
    def frontier(self) -> datetime | None:
        """The edge that the walk has reached in its direction."""
        return self.proof.frontier

    @property
    def starts_without_cursor(self) -> bool:
        """Whether it entered at the list's first page, in its order."""
        return self.entry.cursor is None

    def advance(
        self, listed: Sequence[Listed], next_cursor: str | None, requested_at: datetime
    ) -> Step:
        """Take the next page, which has passed `check`, and say what it proves."""
        cursor, issued_at = self.chain.cursor, self.chain.issued_at
        self.proof.started_at = self.proof.started_at or requested_at
        ordered = self.chain.add_page(listed, next_cursor, requested_at)
        self.end.add_page(listed)
        self._note_undated(listed)
        instants, bookmark, frontier = list_instants(listed), None, None
        if instants and self.chain.in_order:
            self.proof.advance(instants[0], instants[-1], cursor, issued_at)
            if cursor is not None and self.chain.pages % BOOKMARK_EVERY == 0:
                bookmark = Entry(self.order, cursor, instants[0], issued_at)
            # Rows of one instant prove nothing yet, so nobody can be missing among them.
            frontier = self.frontier if self.chain.shows_order else None
        bound = self._bound_proof()
        absence = None
        if self.chain.in_order:
            absence = self._judge.judge_page(listed, requested_at, bound, frontier)
        return Step(self.proven(), absence, bookmark, not ordered)

    def withdraw_page(self) -> Step:
        """The next page has rows only above the last one's: either may have a row out of place."""
        return Step(None, withdrawn=self.proof.last_page() if self.proven() else None)

    def proven(self) -> Span | None:
        """The span that this walk has proven so far: none before its rows show their order."""
        return self.proof.span() if self.chain.shows_order else None

    @property
    def entrance(self) -> datetime:
        """Where the walk enters its gap: amid it, or at the edge at which it will arrive."""
        if self.target.oldest < self.entry.at < self.target.newest:
            return self.entry.at
        return self.target.newest if self.order == "newest" else self.target.oldest

    def position(self) -> datetime:
        """Where in its gap the walk stands; short of it, the edge at which it will arrive."""
        if self.frontier is None:
            return self.entrance
        if self.order == "newest":
            return min(self.target.newest, self.frontier)
        return max(self.target.oldest, self.frontier)

    def confirm_end(self) -> Step:
        """A newest-first walk has reached the end of history, and the end check agreed."""
        if not self.chain.in_order and not self.starts_without_cursor:
            return Step(self.proven())
        proven = self.proof.reach_end(whole=self.starts_without_cursor)
        absence = self._judge_end(proven)
        since, undated = self.proof.started_at, None
        # A session without a date has no place: only a walk of all tells that it is gone.
        if self.starts_without_cursor and self._undated is not None and since is not None:
            undated = (frozenset(self._undated), since)
        return Step(proven, absence, undated=undated)

    def _judge_end(self, proven: Span | None) -> AbsenceCheck | None:
        """Which sessions the list should have shown. Out of order, only all pages together say so.

        Sessions that none of them has shown are in doubt: they may have moved behind the walk.
        """
        if self.chain.in_order:
            return self._judge.reach_end(self.proof.bound)
        if proven is None or self.proof.started_at is None:
            return None
        since = self.proof.started_at - TICK
        return AbsenceCheck(proven.oldest, proven.newest, frozenset(), since, certain=False)

    def _bound_proof(self) -> datetime | None:
        """Where the proof begins, within what may be proven at all."""
        span = self.proven()
        if span is None:
            return None
        return span.newest if self.order == "newest" else span.oldest

    def _note_undated(self, listed: Sequence[Listed]) -> None:
        undated = [row.id for row in listed if row.created_at is None]
        if self._undated is None or not undated:
            return
        self._undated.update(id for id in undated if id is not None)
        if None in undated or len(self._undated) > MOST_UNDATED:
            self._undated = None
