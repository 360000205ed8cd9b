"""Which walks to start. Pure.

The walks of one run share out the gaps by their rows. A gap that nobody walks gets a walk first;
then the longest stretch is shared by more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from etl.models import TICK, Entry
from etl.planning.coverage import Gap
from etl.planning.walks.density import Density
from etl.planning.walks.entries import ActiveWalk, EntryFinder, Situation
from etl.planning.walks.hints import Hints

PAGES_PER_WALK: Final = 2.0
"""An extra walk may cost an extra request: it pays only beyond so many pages."""

LONG: Final = 20
"""Pages of a run after which such a request counts for little: then half as many are worth it."""


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
    alone = PAGES_PER_WALK if now.pages < LONG else PAGES_PER_WALK / 2
    finder = EntryFinder(now, hints, {walk.entry for walk in now.active}, now.inner_left)
    return [
        PlannedWalk(entry, stretch.gap)
        for stretch in _share_out(stretches, now.free, alone)
        for entry in _claim_entries(stretch, now.density, finder)
    ]


def _cut_at_walks(gap: Gap, now: Situation) -> list[_Stretch]:
    inside = [walk for walk in now.active if gap.oldest <= walk.at <= gap.newest]
    cuts = sorted({gap.oldest, gap.newest, *(walk.at for walk in inside)})
    return [_make_stretch(Gap(low, high), inside, now) for low, high in pairwise(cuts)]


def _make_stretch(gap: Gap, inside: Sequence[ActiveWalk], now: Situation) -> _Stretch:
    from_top = any(walk.order == "newest" and walk.at == gap.newest for walk in inside)
    from_bottom = any(walk.order == "oldest" and walk.at == gap.oldest for walk in inside)
    pages = now.density.estimate_rows(gap.oldest, gap.newest) / now.page_size
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


def _claim_entries(stretch: _Stretch, density: Density, finder: EntryFinder) -> list[Entry]:
    """Where the walks enter that share a stretch with those that are in it already."""
    gap, entries = stretch.gap, list[Entry]()
    if not stretch.from_top and not stretch.from_bottom:
        entries += finder.claim_nearest(gap)
    if not stretch.from_bottom and len(entries) < stretch.more:
        entries += finder.claim_adjoining(gap)
    if math.isinf(stretch.pages):
        return entries
    has_top = stretch.from_top or any(entry.order == "newest" for entry in entries)
    inner = stretch.more - len(entries)
    for number in range(has_top, has_top + inner):
        at = density.cut(gap.oldest, gap.newest, 1 - number / stretch.walks)
        entries += finder.claim_inner(gap, at, stretch.share)
    return entries
