"""Where walks enter the list. A pure choice among the entries that are known.

The walks of one run share out the gaps by their rows. A gap that nobody walks gets a walk first;
then the longest stretch is shared by more. Where a walk enters costs speed, never rows: what it
proves is judged by its pages alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

from etl.models import BEGINNING, ENDLESS, TICK, Entry, Order, just_after
from etl.planning.coverage import Coverage, Gap
from etl.planning.walks.density import Density
from etl.planning.walks.hints import Hints

HEAD: Final = Entry("newest", None, ENDLESS)
TAIL: Final = Entry("oldest", None, BEGINNING)

PAGES_PER_WALK: Final = 2.0
"""A further walk may cost a request more: it is worth it beyond so many pages."""

LONG: Final = 20
"""Pages of a run after which such a request counts for little: then half as many are worth it."""


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
class PlannedWalk:
    """A walk to start: where it enters, and the gap that it is to close."""

    entry: Entry
    gap: Gap

    @property
    def is_inner(self) -> bool:
        """Whether it enters amid the gap: faster, at the price of a page that two walks share."""
        return self.gap.oldest < self.entry.at < self.gap.newest


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


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a gap: between two walks, or between a walk and an edge of the gap."""

    gap: Gap
    """Its instants."""
    from_top: bool
    """Whether a walk closes it from above already."""
    from_bottom: bool
    """Whether a walk closes it from below already."""
    pages: float
    """An estimate; infinite if nobody knows."""
    more: int = 0
    """Walks to be started in it."""

    @property
    def walks(self) -> int:
        return self.from_top + self.from_bottom + self.more

    @property
    def share(self) -> float:
        """Pages for each of its walks."""
        return self.pages / self.walks if self.walks else math.inf


def plan_walks(now: Situation, hints: Hints) -> list[PlannedWalk]:
    """The walks worth starting, at most as many as are free."""
    stretches = [stretch for gap in now.gaps for stretch in _cut_at_walks(gap, now)]
    planned: list[PlannedWalk] = []
    alone = PAGES_PER_WALK if now.pages < LONG else PAGES_PER_WALK / 2
    for stretch in _share_out(stretches, now.free, alone):
        for one in _enter(stretch, planned, now, hints):
            left = now.inner_left - sum(walk.is_inner for walk in planned)
            planned += [one] if left > 0 or not one.is_inner else []
    return planned


def _cut_at_walks(gap: Gap, now: Situation) -> list[_Stretch]:
    inside = [walk for walk in now.active if gap.oldest <= walk.at <= gap.newest]
    cuts = sorted({gap.oldest, gap.newest, *(walk.at for walk in inside)})
    return [_stretch(Gap(low, high), inside, now) for low, high in pairwise(cuts)]


def _stretch(gap: Gap, inside: Sequence[ActiveWalk], now: Situation) -> _Stretch:
    from_top = any(walk.order == "newest" and walk.at == gap.newest for walk in inside)
    from_bottom = any(walk.order == "oldest" and walk.at == gap.oldest for walk in inside)
    pages = now.density.rows(gap.oldest, gap.newest) / now.page_size
    if gap.newest - gap.oldest <= TICK and (from_top or from_bottom):
        # Rows of one instant have no middle: nobody can share them.
        pages = 0.0
    return _Stretch(gap, from_top, from_bottom, pages)


def _share_out(stretches: list[_Stretch], free: int, alone: float) -> list[_Stretch]:
    """Give each free walk to the stretch with the most pages for each of its walks."""
    for _ in range(free):
        index = max(range(len(stretches)), key=lambda i: stretches[i].share, default=None)
        if index is None or stretches[index].share <= alone:
            break
        longest = stretches[index]
        stretches[index] = replace(longest, more=longest.more + 1)
    return sorted((one for one in stretches if one.more), key=lambda one: -one.share)


def _enter(
    stretch: _Stretch, planned: Sequence[PlannedWalk], now: Situation, hints: Hints
) -> list[PlannedWalk]:
    """The walks that share a stretch with those that are in it already."""
    gap = stretch.gap
    used = {walk.entry for walk in now.active} | {walk.entry for walk in planned}
    entries: list[Entry] = []
    if not stretch.from_top and not stretch.from_bottom:
        entries += _edge_entries(gap, used, now, hints)[:1]
    if not stretch.from_bottom and len(entries) < stretch.more:
        adjoining = {s.above for s in now.coverage if s.newest == gap.oldest} | {TAIL}
        ways = _entries_below(gap, used.union(entries), now, hints)
        entries += [entry for entry in ways if entry in adjoining]
    if math.isinf(stretch.pages):
        return [PlannedWalk(entry, gap) for entry in entries]
    has_top = stretch.from_top or any(entry.order == "newest" for entry in entries)
    parts, inner = stretch.walks, stretch.more - len(entries)
    for number in range(has_top, has_top + inner):
        at = now.density.cut(gap.oldest, gap.newest, 1 - number / parts)
        found = _inner_entry(at, gap, stretch.pages / parts, used.union(entries), now, hints)
        entries += [found] if found else []
    return [PlannedWalk(entry, gap) for entry in entries]


def _edge_entries(gap: Gap, used: set[Entry], now: Situation, hints: Hints) -> list[Entry]:
    """The ways to an edge of a gap that nobody walks, the one of the fewest rows first."""
    ways = [*_entries_above(gap, used, now, hints), *_entries_below(gap, used, now, hints)]
    nearest = [one for one in ways if not _has_nearer_walk(gap, one, now)]
    return sorted(nearest, key=lambda entry: _rows_before(gap, entry, now))


def _rows_before(gap: Gap, entry: Entry, now: Situation) -> float:
    """The rows between an entry and the gap that it leads to."""
    if entry.order == "newest":
        return now.density.rows(gap.newest, min(entry.at, now.gaps[-1].newest))
    return now.density.rows(entry.at, gap.oldest)


def _has_nearer_walk(gap: Gap, entry: Entry, now: Situation) -> bool:
    """Whether a walk under way is nearer to the gap than the entry: it is waited for."""
    above = [one.at for one in now.active if one.order == "newest" and one.at > gap.newest]
    if entry.order == "newest":
        return any(at < entry.at for at in above)
    rows = _rows_before(gap, entry, now)
    return any(now.density.rows(gap.newest, at) < rows for at in above)


def _entries_above(gap: Gap, used: set[Entry], now: Situation, hints: Hints) -> list[Entry]:
    """Entries from which a walk newest first reaches the gap's upper edge, the nearest first."""
    head = [] if HEAD in used else [HEAD]
    if gap.newest >= now.head_second:
        # A cursor amid the rows of this second, or of later ones, skips those above it.
        return head
    known = hints.entries(now.coverage, used)
    above = [one for one in known if one.order == "newest" and one.at >= gap.newest]
    edge = next((s.below for s in now.coverage if s.oldest == gap.newest and s.below), None)
    if edge is not None and edge not in above:
        # Its cursor is dead, or in use. What it leads to lies just below the instant after it.
        above += filter(None, [hints.build(just_after(edge.at), used)])
    return [*sorted(above, key=lambda entry: entry.at), *head]


def _entries_below(gap: Gap, used: set[Entry], now: Situation, hints: Hints) -> list[Entry]:
    """Entries from which a walk oldest first reaches the gap's lower edge.

    The list's own tail serves only the end of history: any other gap may be far from it.
    """
    if gap.oldest == BEGINNING:
        return [TAIL] if now.tail_is_open and TAIL not in used else []
    known = hints.entries(now.coverage, used)
    below = [one for one in known if one.order == "oldest" and one.at < gap.oldest]
    return sorted(below, key=lambda entry: entry.at, reverse=True)[:1]


def _inner_entry(
    at: datetime, gap: Gap, share: float, used: set[Entry], now: Situation, hints: Hints
) -> Entry | None:
    """An entry newest first near an instant within the gap: the server's own cursors come first."""

    def pages(entry: Entry) -> float:
        low, high = sorted((entry.at, at))
        return now.density.rows(low, high) / now.page_size

    known = hints.entries(now.coverage, used)
    inside = [e for e in known if e.order == "newest" and gap.oldest < e.at < gap.newest]
    # An entry at or amid the rows of one instant proves none of them: a walk from above has to.
    at = now.density.skip_ties(at, now.page_size)
    inside = [entry for entry in inside if not now.density.has_tie(entry.at, now.page_size)]
    if hints.expired_before is not None or not hints.may_try_stored:
        # A trial may cost a request; one that was lost is enough.
        inside = [entry for entry in inside if not hints.needs_probe(entry)]
    nearest = min(inside, key=pages, default=None)
    if nearest is not None and hints.needs_probe(nearest):
        # The youngest: if it is refused, so are all.
        nearest = max(inside, key=lambda entry: (entry.issued_at or BEGINNING, -pages(entry)))
    if nearest is not None and pages(nearest) <= share / 2:
        return nearest
    built = hints.build(at, used) if gap.oldest < at < gap.newest else None
    return built or nearest
