"""Coverage: disjoint spans of `created_at`, oldest first, each with the time of its proof."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from etl.models import BEGINNING, Entry, Span, floor_second

Coverage = tuple[Span, ...]

MOST_SPANS: Final = 32
"""Beyond so many, neighbours merge and keep the older time: else each sync would add a span."""


class Gap(NamedTuple):
    """Instants `[oldest, newest)` that lack a proof."""

    oldest: datetime
    newest: datetime


def add(coverage: Iterable[Span], new: Span, since: datetime) -> Coverage:
    """Coverage with one more span, which replaces what it overlaps.

    Neighbours proven at or after `since` (the start of the run) become one.
    """
    if new.oldest >= new.newest:
        return tuple(coverage)
    pieces = [new]
    for old in coverage:
        pieces += _cut_out(old, new)
    pieces.sort(key=lambda span: span.oldest)
    return tuple(_merge_neighbours(pieces, since))


def withdraw(coverage: Iterable[Span], gap: Gap) -> Coverage:
    """Coverage that claims nothing within a gap."""
    hole = Span(gap.oldest, gap.newest, None)
    return tuple(piece for old in coverage for piece in _cut_out(old, hole))


def compact(coverage: Coverage, since: datetime, most: int = MOST_SPANS) -> Coverage:
    """Merge touching neighbours, those first that lose the least freshness, down to `most`.

    What was proven at or after `since`, by the run at work, keeps its proof.
    """
    spans = list(coverage)
    while len(spans) > most:
        touching = [i for i, pair in enumerate(pairwise(spans)) if _may_merge(*pair, since)]
        if not touching:
            break
        least = min(touching, key=lambda i: _measure_loss(spans[i], spans[i + 1]))
        spans[least : least + 2] = [_merge(spans[least], spans[least + 1])]
    return tuple(spans)


def list_gaps(
    coverage: Coverage, oldest: datetime, newest: datetime, since: datetime | None
) -> list[Gap]:
    """The parts of `[oldest, newest)` not proven at or after `since` (None: ever)."""
    found, at = [], oldest
    for span in coverage:
        if since is not None and (span.proven_at is None or span.proven_at < since):
            continue
        if span.newest <= at or span.oldest >= newest:
            continue
        if span.oldest > at:
            found.append(Gap(at, span.oldest))
        at = max(at, span.newest)
    if at < newest:
        found.append(Gap(at, newest))
    return found


def find_contiguous_top(coverage: Coverage, floor: datetime = BEGINNING) -> datetime | None:
    """Up to where (exclusive) all instants from `floor` on are covered; None: not even it."""
    top = None
    for span in coverage:
        if span.oldest <= (floor if top is None else top) < span.newest:
            top = span.newest
    return top


def clip_to_now(coverage: Coverage, now: datetime) -> Coverage:
    """Coverage without claims about the future, which a clock that was ahead has left."""
    head = floor_second(now)
    spans = tuple(replace(s, newest=min(s.newest, head)) for s in coverage if s.oldest < head)
    return _forget_where(spans, lambda s: s.proven_at is not None and s.proven_at > now)


def forget_freshness(coverage: Coverage, since: datetime) -> Coverage:
    """Coverage that claims no freshness for what was proven at or after `since`."""
    return _forget_where(coverage, lambda s: s.proven_at is not None and s.proven_at >= since)


def forget_freshness_around(coverage: Coverage, instants: Iterable[datetime]) -> Coverage:
    """Coverage that claims no freshness for the spans that hold one of these instants."""
    places = tuple(instants)
    return _forget_where(coverage, lambda s: any(s.oldest <= at < s.newest for at in places))


def _forget_where(coverage: Coverage, condition: Callable[[Span], bool]) -> Coverage:
    return tuple(replace(s, proven_at=None) if condition(s) else s for s in coverage)


def drop_cursors(coverage: Coverage, is_alive: Callable[[Entry], bool]) -> Coverage:
    """Coverage without the cursors at its edges that are of no use any more."""

    def keep_alive(entry: Entry | None) -> Entry | None:
        return entry if entry is not None and is_alive(entry) else None

    return tuple(replace(s, below=keep_alive(s.below), above=keep_alive(s.above)) for s in coverage)


def _cut_out(old: Span, new: Span) -> Iterator[Span]:
    """What is left of a span where the new one doesn't lie."""
    if old.newest <= new.oldest or old.oldest >= new.newest:
        yield old
        return
    if old.oldest < new.oldest:
        yield replace(old, newest=new.oldest, above=None)
    if old.newest > new.newest:
        yield replace(old, oldest=new.newest, below=None)


def _merge_neighbours(pieces: list[Span], since: datetime) -> Iterator[Span]:
    current = pieces[0]
    for piece in pieces[1:]:
        if (
            current.newest == piece.oldest
            and _is_of_run(current, since)
            and _is_of_run(piece, since)
        ):
            current = _merge(current, piece)
        else:
            yield current
            current = piece
    yield current


def _is_of_run(span: Span, since: datetime) -> bool:
    return span.proven_at is not None and span.proven_at >= since


def _may_merge(low: Span, high: Span, since: datetime) -> bool:
    return low.newest == high.oldest and not _is_of_run(low, since) and not _is_of_run(high, since)


def _merge(low: Span, high: Span) -> Span:
    """Two touching spans as one, as fresh as the staler of them."""
    times = (low.proven_at, high.proven_at)
    proven_at = None if None in times else min(t for t in times if t)
    return Span(low.oldest, high.newest, proven_at, low.below, high.above)


def _measure_loss(low: Span, high: Span) -> float:
    """How much freshness a merge gives up: span of instants times age added, in seconds squared."""
    if low.proven_at is None or high.proven_at is None:
        return 0.0 if low.proven_at == high.proven_at else float("inf")
    fresher = low if low.proven_at > high.proven_at else high
    added: timedelta = abs(low.proven_at - high.proven_at)
    return (fresher.newest - fresher.oldest).total_seconds() * added.total_seconds()
