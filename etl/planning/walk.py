"""One walk: what each page of a chain of cursors proves, and what is wrong with a page.

Several rows may share an instant, also across a page edge. So a page proves its last row's
instant only once the next page has passed it, and a walk that entered at a cursor proves only
strictly beyond its first row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.errors import CutShort
from etl.models import BEGINNING, Entry, Listed, Order, Span, just_after
from etl.planning.coverage import Gap

__all__ = ["AbsenceCheck", "Step", "Walk", "end_holds"]

MOST_CARRIED: Final = 10_000
"""Ids carried over a page edge for one instant; more ties than that are not judged."""

MOST_EMPTY: Final = 100
"""Empty pages in a row that are followed before the list counts as broken."""

BOOKMARK_EVERY: Final = 5
"""Pages between two bookmarks."""


@dataclass(frozen=True, slots=True)
class AbsenceCheck:
    """Stored sessions within `[oldest, newest)`, confirmed before `requested_at` and not in
    `held`, are suspected missing: the chain walked these instants whole and didn't show them.
    """

    oldest: datetime
    newest: datetime
    held: frozenset[str]
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What one page of a walk yields besides its rows.

    `undated`, at the end of a walk of the whole list: the ids without `created_at` that it showed,
    and when it began.
    """

    proven: Span | None
    absence: AbsenceCheck | None
    bookmark: Entry | None = None
    out_of_order: bool = False
    undated: tuple[frozenset[str], datetime] | None = None


class Walk:
    """Follows one chain of cursors. Holds no more than a page's ids, and a hash per cursor."""

    def __init__(self, entry: Entry, target: Gap) -> None:
        self.entry = entry
        self.target = target
        self.order: Order = entry.order
        self.cursor = entry.cursor
        self.frontier: datetime | None = None
        self.started_at: datetime | None = None
        self.disordered = False
        self.pages = 0
        self.last: datetime | None = None
        self.lowest: datetime | None = None
        self.last_ids: frozenset[str] = frozenset()
        self.ends_unreadable = False
        self._bound: datetime | None = None
        self._requested_at: datetime | None = None
        self._before_at: datetime | None = None
        self._at_entry = entry.cursor is not None
        self._reentry: Entry | None = None
        self._carried: frozenset[str] | None = frozenset()
        self._cursors = {hash(entry.cursor)}
        self._empty = 0
        self._undated: set[str] | None = set()

    def check(self, listed: Sequence[Listed], next_cursor: str | None) -> None:
        """Raise CutShort if the page can't be the next of this chain."""
        if next_cursor is not None and hash(next_cursor) in self._cursors:
            raise CutShort("the list repeats a cursor", "its end was never reached")
        if not listed and self._empty >= MOST_EMPTY:
            raise CutShort(f"the list sent {MOST_EMPTY} empty pages in a row")
        ids = {row.id for row in listed if row.id is not None}
        if ids and ids <= self.last_ids:
            raise CutShort("the list sent the same page again")
        instants = _instants(listed)
        if self.last is None or self.disordered or not instants:
            return
        if all(self._before(instant, self.last) for instant in instants):
            raise CutShort("the list sent a page that doesn't go on from the one before")

    def advance(
        self, listed: Sequence[Listed], next_cursor: str | None, requested_at: datetime
    ) -> Step:
        """Take the next page, which has passed `check`, and tell what it proves."""
        self.started_at = self.started_at or requested_at
        self._before_at, self._requested_at = self._requested_at, requested_at
        self.pages += 1
        self._empty = 0 if listed else self._empty + 1
        instants = _instants(listed)
        ordered = self._in_order(instants)
        self.disordered = self.disordered or not ordered
        absence = bookmark = None
        if instants and not self.disordered:
            bookmark = self._bookmark(instants[0])
            absence = self._prove(listed, instants)
        elif not self.disordered:
            self._carry_undated(listed)
        self._remember(listed, instants, next_cursor)
        return Step(self.proven(), absence, bookmark, not ordered)

    def proven(self) -> Span | None:
        """The span that this walk has proven so far."""
        if self._bound is None or self.frontier is None or self.started_at is None:
            return None
        if self.order == "newest":
            span = Span(self.frontier, self._bound, self.started_at, below=self._reentry)
        else:
            newest = min(self.frontier, self.started_at)
            span = Span(self._bound, newest, self.started_at, above=self._reentry)
        return span if span.oldest < span.newest else None

    @property
    def starts_above_its_entry(self) -> bool:
        """Whether the first page began before the entry: then the cursor wasn't followed."""
        return self._bound is not None and self._before(self._bound, self.entry.at)

    def position(self) -> datetime:
        """Where in its gap the walk stands; short of it, the edge at which it will arrive."""
        edge = self.target.newest if self.order == "newest" else self.target.oldest
        if self.frontier is None:
            inside = self.target.oldest < self.entry.at < self.target.newest
            return self.entry.at if inside else edge
        arrived = min if self.order == "newest" else max
        return arrived(edge, self.frontier)

    def confirm_end(self) -> Step:
        """A newest-first walk has reached the end of history, and the end check agreed."""
        assert self.started_at is not None and self._requested_at is not None
        started_at = self.started_at
        unbroken = self.entry.cursor is None
        if self.disordered and not unbroken:
            return Step(self.proven(), None)
        bound = started_at if unbroken else self._bound
        absence = None
        if self._carried is not None and not self.disordered and bound is not None:
            newest = self.frontier if self.frontier is not None else bound
            absence = AbsenceCheck(BEGINNING, newest, self._carried, self._requested_at)
        self.frontier, self._bound = BEGINNING, bound
        proven = Span(BEGINNING, bound, started_at) if bound is not None else None
        undated = None
        if unbroken and self._undated is not None:
            undated = (frozenset(self._undated), started_at)
        return Step(proven, absence, undated=undated)

    def _prove(self, listed: Sequence[Listed], instants: Sequence[datetime]) -> AbsenceCheck | None:
        """Move the frontier to the last row; what lies between is judged by this page."""
        first, last = instants[0], instants[-1]
        if self._bound is None:
            self._bound = self._entry_bound(first)
        before = self.frontier if self.frontier is not None else self._bound
        self.frontier = just_after(last) if self.order == "newest" else last
        if first != last:
            self._reentry = Entry(self.order, self.cursor, self._at(first))
        if self._reentry is None and self.entry.cursor is None:
            self._reentry = Entry(self.order, None, self._at(first))
        readable = all(row.id is not None for row in listed)
        absence = self._judge(before, first, listed) if readable else None
        self._carry(listed, last, readable, whole=first == last)
        return absence

    def _judge(
        self, before: datetime, first: datetime, listed: Sequence[Listed]
    ) -> AbsenceCheck | None:
        """What this page and the ties before it showed, as of the earlier of their requests.

        Where the ids before it are not known, only what lies strictly beyond its first row.
        """
        assert self.frontier is not None and self._requested_at is not None
        held = {row.id for row in listed if row.id is not None} | (self._carried or set())
        if self.order == "newest":
            oldest, newest = self.frontier, before if self._carried is not None else first
        else:
            oldest = before if self._carried is not None else just_after(first)
            newest = self.frontier
        if oldest >= newest:
            return None
        return AbsenceCheck(oldest, newest, frozenset(held), self._before_at or self._requested_at)

    def _carry(
        self, listed: Sequence[Listed], last: datetime, readable: bool, *, whole: bool
    ) -> None:
        """Keep the ids that share the last instant, or whose instant can't be read.

        Of a page that is one instant whole, what came before it counts too: unknown after an entry
        at a cursor.
        """
        ids = {row.id for row in listed if row.id and row.created_at in (last, None)}
        self._at_entry = self._at_entry and whole
        before = None if self._at_entry else self._carried
        if whole and before is not None:
            ids |= before
        unknown = not readable or (whole and before is None) or len(ids) > MOST_CARRIED
        self._carried = None if unknown else frozenset(ids)

    def _carry_undated(self, listed: Sequence[Listed]) -> None:
        """Keep the ids of a page that has no readable instant."""
        if self._carried is None or any(row.id is None for row in listed):
            self._carried = None
            return
        self._carried |= {row.id for row in listed if row.id is not None}
        if len(self._carried) > MOST_CARRIED:
            self._carried = None

    def _remember(
        self, listed: Sequence[Listed], instants: Sequence[datetime], next_cursor: str | None
    ) -> None:
        if instants:
            self.last = instants[-1]
            lowest = min(instants)
            self.lowest = lowest if self.lowest is None else min(lowest, self.lowest)
        self._note_undated(listed)
        if listed:
            self.ends_unreadable = any(r.id is None and r.created_at is None for r in listed)
            self.last_ids = frozenset(row.id for row in listed if row.id is not None)
        self.cursor = next_cursor
        self._cursors.add(hash(next_cursor))

    def _note_undated(self, listed: Sequence[Listed]) -> None:
        undated = [row.id for row in listed if row.created_at is None]
        if self._undated is None or not undated:
            return
        self._undated.update(id for id in undated if id is not None)
        if None in undated or len(self._undated) > MOST_CARRIED:
            self._undated = None

    def _entry_bound(self, first: datetime) -> datetime:
        if self.order == "newest":
            return (self.started_at or first) if self.entry.cursor is None else first
        return BEGINNING if self.entry.cursor is None else just_after(first)

    def _at(self, first: datetime) -> datetime:
        """Where a walk that enters at this page's cursor is sure to prove from."""
        if self.cursor is None:
            return (self.started_at or first) if self.order == "newest" else BEGINNING
        return first

    def _bookmark(self, first: datetime) -> Entry | None:
        due = self.cursor is not None and self.pages % BOOKMARK_EVERY == 0
        return Entry(self.order, self.cursor, first) if due else None

    def _in_order(self, instants: Sequence[datetime]) -> bool:
        rows = [self.last, *instants] if self.last is not None else list(instants)
        return not any(self._before(rows[i + 1], rows[i]) for i in range(len(rows) - 1))

    def _before(self, one: datetime, other: datetime) -> bool:
        """Whether `one` belongs strictly before `other` in this walk's order."""
        return one > other if self.order == "newest" else one < other


def end_holds(walk: Walk, oldest: Sequence[Listed]) -> bool:
    """Whether the list's oldest row agrees that a newest-first walk has reached the end.

    It must not be older than what the walk reached. A newer one agrees: the last row has vanished.
    """
    if not oldest:
        return not walk.last_ids and walk.lowest is None
    row = oldest[0]
    if row.id is not None and row.id in walk.last_ids | (walk._carried or frozenset()):
        return True
    if row.id is None and row.created_at is None:
        return walk.ends_unreadable
    if row.created_at is None or walk.lowest is None:
        return False
    return row.created_at > walk.lowest or (row.id is None and row.created_at == walk.lowest)


def _instants(listed: Sequence[Listed]) -> list[datetime]:
    return [row.created_at for row in listed if row.created_at is not None]
