"""Where the next walk enters. A pure choice among the entries that are known.

Walks of one run share out the gaps: each unattended gap gets a walk first; then those that only
one walk attends are entered in the middle, at a bookmark, or from their other end. An entry that
leads elsewhere costs speed, never rows: what a walk proves is judged by its pages alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from etl.models import BEGINNING, ENDLESS, Entry, Order
from etl.planning.coverage import Coverage, Gap

__all__ = ["HEAD", "TAIL", "ActiveWalk", "PlannedWalk", "next_walk"]

HEAD: Final = Entry("newest", None, ENDLESS)
TAIL: Final = Entry("oldest", None, BEGINNING)


@dataclass(frozen=True, slots=True)
class ActiveWalk:
    """A walk under way: its order, and where in its gap it stands."""

    order: Order
    at: datetime


@dataclass(frozen=True, slots=True)
class PlannedWalk:
    """A walk to start: where it enters, and the gap that it is to close."""

    entry: Entry
    gap: Gap


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a gap, and whether a walk closes it from the top or the bottom already."""

    gap: Gap
    from_top: bool
    from_bottom: bool


def next_walk(
    left: Sequence[Gap],
    coverage: Coverage,
    bookmarks: Sequence[Entry],
    active: Sequence[ActiveWalk] = (),
    refused: Collection[Entry] = (),
) -> PlannedWalk | None:
    """The next walk worth starting, or None where every gap is attended as well as it can be."""
    entries = [entry for entry in _entries(coverage, bookmarks) if entry not in refused]
    stretches = [stretch for gap in left for stretch in _stretches(gap, active)]
    stretches.sort(key=lambda s: (s.from_top + s.from_bottom, -_length(s.gap, entries), _last(s)))
    for stretch in stretches:
        entry = _entry(stretch, coverage, entries)
        if entry is not None:
            return PlannedWalk(entry, stretch.gap)
    return None


def _entries(coverage: Coverage, bookmarks: Sequence[Entry]) -> list[Entry]:
    """Every known entry; the list's own ends, which always work, first."""
    edges = [entry for span in coverage for entry in (span.below, span.above) if entry]
    return [HEAD, TAIL, *(entry for entry in (*edges, *bookmarks) if entry.cursor is not None)]


def _stretches(gap: Gap, active: Sequence[ActiveWalk]) -> list[_Stretch]:
    """Cut a gap where walks are at work in it."""
    inside = [walk for walk in active if gap.oldest <= walk.at <= gap.newest]
    cuts = sorted({gap.oldest, gap.newest, *(walk.at for walk in inside)})
    return [
        _Stretch(
            Gap(low, high),
            any(walk.order == "newest" and walk.at == high for walk in inside),
            any(walk.order == "oldest" and walk.at == low for walk in inside),
        )
        for low, high in pairwise(cuts)
    ]


def _last(stretch: _Stretch) -> float:
    return -stretch.gap.newest.timestamp()


def _length(gap: Gap, entries: Sequence[Entry]) -> int:
    """How long a gap is, in bookmarks: instants say little about rows."""
    return sum(gap.oldest < entry.at < gap.newest for entry in entries)


def _entry(stretch: _Stretch, coverage: Coverage, entries: Sequence[Entry]) -> Entry | None:
    """The entry that helps a stretch most; None where another walk would only get in the way."""
    if not stretch.from_top and not stretch.from_bottom:
        return _nearest(stretch.gap, entries)
    inner = [e for e in entries if stretch.gap.oldest < e.at < stretch.gap.newest]
    if inner:
        return sorted(inner, key=lambda entry: entry.at)[len(inner) // 2]
    if stretch.from_bottom or not stretch.from_top:
        return None
    return _opposite(stretch.gap, coverage, entries)


def _opposite(gap: Gap, coverage: Coverage, entries: Sequence[Entry]) -> Entry | None:
    """Where a second walk comes to meet the first: the tail, or a walk that broke off there."""
    if gap.oldest == BEGINNING:
        return TAIL if TAIL in entries else None
    edges = [span.above for span in coverage if span.newest == gap.oldest and span.above]
    return next((edge for edge in edges if edge.cursor and edge in entries), None)


def _nearest(gap: Gap, entries: Sequence[Entry]) -> Entry | None:
    """The entry at the gap's top or bottom that wastes the fewest pages before reaching it."""
    top, bottom = _top(gap, entries), _bottom(gap, entries)
    if top is None or bottom is None:
        return top or bottom
    wasted_above = _length(Gap(gap.newest, top.at), entries)
    wasted_below = _length(Gap(bottom.at, gap.oldest), entries)
    return bottom if wasted_below < wasted_above else top


def _top(gap: Gap, entries: Sequence[Entry]) -> Entry | None:
    """The nearest entry from which a newest-first walk reaches the gap's upper edge."""
    above = [entry for entry in entries if entry.order == "newest" and entry.at >= gap.newest]
    return min(above, key=lambda entry: entry.at, default=None)


def _bottom(gap: Gap, entries: Sequence[Entry]) -> Entry | None:
    """The nearest entry from which an oldest-first walk reaches the gap's lower edge.

    The list's own tail serves only the end of history: any other gap may be far from it.
    """
    if gap.oldest == BEGINNING:
        return TAIL if TAIL in entries else None
    below = [e for e in entries if e.order == "oldest" and e.at < gap.oldest and e != TAIL]
    return max(below, key=lambda entry: entry.at, default=None)
