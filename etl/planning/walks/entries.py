"""Which cursors and ends of the list lead to a gap. Pure.

Where a walk enters costs speed, never rows: what it proves is judged by its pages alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.models import BEGINNING, ENDLESS, Entry, Order, just_after
from etl.planning.coverage import Coverage, Gap
from etl.planning.walks.density import Density
from etl.planning.walks.hints import Hints

HEAD: Final = Entry("newest", None, ENDLESS)
TAIL: Final = Entry("oldest", None, BEGINNING)


@dataclass(frozen=True, slots=True)
class ActiveWalk:
    """A walk under way: its entry, and where in its gap it stands."""

    entry: Entry
    at: datetime

    @property
    def order(self) -> Order:
        """The direction that it goes in."""
        return self.entry.order


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the plan depends on."""

    gaps: Sequence[Gap]
    """What is left to walk."""
    coverage: Coverage
    """What is proven; its edges hold cursors."""
    active: Sequence[ActiveWalk]
    """The walks under way."""
    density: Density
    """How many rows lie where."""
    page_size: int
    """Rows of a full page."""
    free: int
    """How many walks may be started."""
    tail_is_open: bool
    """Whether the list oldest first may be entered: newest first has shown its order."""
    head_second: datetime = ENDLESS
    """The second of the run's start. A gap up to it is entered at the list's head alone."""
    pages: int = 0
    """How many pages have arrived."""
    inner_left: int = 1000
    """How many walks may still enter amid a gap."""


@dataclass(slots=True)
class EntryFinder:
    """Finds the entries that are free, and claims them: no two walks get the same one."""

    now: Situation
    """What is left, and who walks where."""
    hints: Hints
    """Entries that need a cursor."""
    used: set[Entry]
    """Entries of walks under way, and claimed ones."""
    inner_left: int
    """How many walks may still enter amid a gap."""

    def claim_nearest(self, gap: Gap) -> list[Entry]:
        """The entry of the fewest rows before an edge of a gap that nobody walks, or none."""
        ways = [*self._find_above(gap), *self._find_below(gap)]
        ways = [entry for entry in ways if not self._has_nearer_walk(gap, entry)]
        return self._claim(
            min(ways, key=lambda entry: self._estimate_rows_before(gap, entry), default=None)
        )

    def claim_adjoining(self, gap: Gap) -> list[Entry]:
        """The entry oldest first that stands at a gap's lower edge, or none."""
        adjoining = {s.above for s in self.now.coverage if s.newest == gap.oldest} | {TAIL}
        return self._claim(next((e for e in self._find_below(gap) if e in adjoining), None))

    def claim_inner(self, gap: Gap, at: datetime, share: float) -> list[Entry]:
        """The entry newest first nearest to an instant within a gap, or none.

        It is for a walk of `share` pages. The server's own cursors come first.
        """
        if self.inner_left <= 0:
            return []
        found = self._find_inner(gap, at, share)
        self.inner_left -= found is not None
        return self._claim(found)

    def _claim(self, entry: Entry | None) -> list[Entry]:
        if entry is None:
            return []
        self.used.add(entry)
        return [entry]

    def _find_inner(self, gap: Gap, at: datetime, share: float) -> Entry | None:
        now, hints = self.now, self.hints
        at, inside = now.density.skip_ties(at, now.page_size), self._find_inside(gap)

        def pages(entry: Entry) -> float:
            low, high = sorted((entry.at, at))
            return now.density.estimate_rows(low, high) / now.page_size

        nearest = min(inside, key=pages, default=None)
        if nearest is not None and hints.needs_probe(nearest):
            # The youngest: if it is refused, so are all.
            nearest = max(inside, key=lambda entry: (entry.issued_at or BEGINNING, -pages(entry)))
        if nearest is not None and pages(nearest) <= share / 2:
            return nearest
        built = hints.build(at, self.used) if gap.oldest < at < gap.newest else None
        return built or nearest

    def _find_inside(self, gap: Gap) -> list[Entry]:
        """The server's cursors newest first that lead into a gap."""
        inside = [
            entry
            for entry in self.hints.list_entries(self.now.coverage, self.used)
            if entry.order == "newest"
            and gap.oldest < entry.at < gap.newest
            # One amid the rows of one instant proves none of them: a walk from above has to.
            and not self.now.density.has_tie(entry.at, self.now.page_size)
        ]
        if self.hints.expired_before is None and self.hints.may_try_stored:
            return inside
        # A trial may cost a request; one that was lost is enough.
        return [entry for entry in inside if not self.hints.needs_probe(entry)]

    def _find_above(self, gap: Gap) -> list[Entry]:
        """Entries from which a walk newest first reaches a gap's upper edge, the nearest first."""
        head = [] if HEAD in self.used else [HEAD]
        if gap.newest >= self.now.head_second:
            # A cursor amid the rows of this second, or of later ones, skips those above it.
            return head
        known, coverage = self.hints.list_entries(self.now.coverage, self.used), self.now.coverage
        above = [one for one in known if one.order == "newest" and one.at >= gap.newest]
        edge = next((s.below for s in coverage if s.oldest == gap.newest and s.below), None)
        if edge is not None and edge not in above:
            # Its cursor is dead, or in use. What it leads to lies just below the instant after it.
            above += filter(None, [self.hints.build(just_after(edge.at), self.used)])
        return [*sorted(above, key=lambda entry: entry.at), *head]

    def _find_below(self, gap: Gap) -> list[Entry]:
        """The entry from which a walk oldest first reaches a gap's lower edge, if there is one.

        The list's own tail serves only the end of history: any other gap may be far from it.
        """
        if gap.oldest == BEGINNING:
            return [TAIL] if self.now.tail_is_open and TAIL not in self.used else []
        known = self.hints.list_entries(self.now.coverage, self.used)
        below = [one for one in known if one.order == "oldest" and one.at < gap.oldest]
        return sorted(below, key=lambda entry: entry.at, reverse=True)[:1]

    def _has_nearer_walk(self, gap: Gap, entry: Entry) -> bool:
        """Whether a walk under way is nearer to a gap than an entry: it is waited for."""
        now = self.now
        above = [one.at for one in now.active if one.order == "newest" and one.at > gap.newest]
        if entry.order == "newest":
            return any(at < entry.at for at in above)
        rows = self._estimate_rows_before(gap, entry)
        return any(now.density.estimate_rows(gap.newest, at) < rows for at in above)

    def _estimate_rows_before(self, gap: Gap, entry: Entry) -> float:
        """The rows between an entry and the gap that it leads to."""
        if entry.order == "newest":
            top = self.now.gaps[-1].newest
            return self.now.density.estimate_rows(gap.newest, min(entry.at, top))
        return self.now.density.estimate_rows(entry.at, gap.oldest)
