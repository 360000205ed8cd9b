"""How many sessions lie between two instants, as far as pages and stored rows tell. Pure.

Used to cut a gap where its rows are. A wrong estimate costs requests, never rows.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from etl.models import BEGINNING, just_after

SHORTEST: Final = 1.0
"""Seconds: a page of ties counts as this long."""

STEEPEST: Final = math.log(20)
"""Log of the largest ratio of densities assumed between a stretch's edges: bursts mislead."""


class _Edge(NamedTuple):
    """Where a page begins or ends, and the rows a second within it."""

    at: datetime
    rate: float


class _Span(NamedTuple):
    oldest: datetime
    newest: datetime


@dataclass(slots=True)
class PageDensity:
    """Rows over time, as the pages of a run tell."""

    oldest: datetime | None = None
    """The oldest instant that the list has; None as long as nobody has looked."""
    _lower: list[_Edge] = field(default_factory=list)
    """The oldest rows of pages, oldest first."""
    _upper: list[_Edge] = field(default_factory=list)
    """The newest rows of pages, oldest first."""
    _ties: Counter[datetime] = field(default_factory=Counter)
    """By instant: the rows of pages that show no other instant."""
    _idle: list[_Span] = field(default_factory=list)
    """Times without a session, disjoint, oldest first."""

    @property
    def is_empty(self) -> bool:
        """Whether there was no page yet."""
        return not self._lower

    def add_page(self, oldest: datetime, newest: datetime, rows: int) -> None:
        """Take a page of so many rows, both instants included."""
        rate = rows / max(SHORTEST, (newest - oldest).total_seconds())
        insort(self._lower, _Edge(oldest, rate))
        insort(self._upper, _Edge(newest, rate))
        if oldest == newest:
            self._ties[oldest] += rows

    def add_idle_span(self, oldest: datetime, newest: datetime) -> None:
        """Take a time without a session."""
        idle = sorted([*self._idle, _Span(oldest, newest)])
        self._idle = idle[:1]
        for span in idle[1:]:
            before = self._idle[-1]
            if span.oldest <= before.newest:
                self._idle[-1] = _Span(before.oldest, max(span.newest, before.newest))
            else:
                self._idle.append(span)

    def estimate_rows(self, oldest: datetime, newest: datetime) -> float:
        """An estimate of the rows within `[oldest, newest)`; infinite where nothing tells."""
        if oldest >= newest:
            return 0.0
        bottom = self._find_bottom(oldest)
        if bottom is None or self.is_empty:
            return math.inf
        below, above = self._find_rates(bottom, newest)
        steep = math.log(above / below)
        rate = (above - below) / steep if abs(steep) > 1e-9 else above
        return self._count_busy_seconds(bottom, newest) * rate

    def has_tie(self, instant: datetime, rows: int) -> bool:
        """Whether pages have shown so many rows of an instant and of no other one."""
        return self._ties[instant] >= rows

    def cut(self, oldest: datetime, newest: datetime, share: float) -> datetime:
        """The instant below which this share of the rows within `[oldest, newest)` lies."""
        bottom = self._find_bottom(oldest) or newest
        below, above = self._find_rates(bottom, newest)
        steep = max(-STEEPEST, min(STEEPEST, math.log(above / below)))
        if abs(steep) > 1e-9:
            share = math.log1p(share * math.expm1(steep)) / steep
        busy = self._count_busy_seconds(bottom, newest) * share
        return min(newest, self._add_busy_seconds(bottom, busy))

    def _count_busy_seconds(self, oldest: datetime, newest: datetime) -> float:
        """The seconds of a stretch that may hold sessions."""
        first = bisect_right(self._idle, oldest, key=lambda span: span.newest)
        last = bisect_left(self._idle, newest, key=lambda span: span.oldest)
        idle = (min(high, newest) - max(low, oldest) for low, high in self._idle[first:last])
        return max(0.0, (newest - oldest - sum(idle, timedelta())).total_seconds())

    def _add_busy_seconds(self, oldest: datetime, seconds: float) -> datetime:
        """The instant so many busy seconds after another one."""
        at = oldest
        for low, high in self._idle:
            if high <= at:
                continue
            busy = (low - at).total_seconds()
            if busy >= seconds:
                break
            seconds, at = seconds - max(0.0, busy), high
        return at + timedelta(seconds=seconds)

    def _find_bottom(self, oldest: datetime) -> datetime | None:
        """Where the rows of a stretch begin; None if nobody knows."""
        return self.oldest if oldest == BEGINNING else oldest

    def _find_rates(self, oldest: datetime, newest: datetime) -> tuple[float, float]:
        """Rows a second of the nearest pages below and above."""
        low = bisect_right(self._lower, oldest, key=lambda edge: edge.at)
        high = bisect_left(self._upper, newest, key=lambda edge: edge.at)
        nearest = (*self._lower[max(0, low - 1) : low], *self._upper[high : high + 1])
        rates = [edge.rate for edge in nearest] or [1.0]
        return rates[0], rates[-1]


@dataclass(slots=True)
class Density:
    """Rows over time, as an agent's stored sessions tell; where they can't, as pages do."""

    stored: Sequence[datetime] = ()
    """Instants of stored sessions, oldest first; up to the last one, only they count."""
    stored_step: int = 1
    """How many stored sessions one of them stands for."""
    grows: bool = False
    """Whether pages tell how many rows are newer than all stored ones; else those count as none."""
    pages: PageDensity = field(default_factory=PageDensity)
    """What the pages of the run tell."""

    def estimate_rows(self, oldest: datetime, newest: datetime) -> float:
        """An estimate of the rows within `[oldest, newest)`; infinite where nothing tells."""
        if not self.stored:
            return self.pages.estimate_rows(oldest, newest)
        return self._count_stored(oldest, newest) + self._estimate_newer(oldest, newest)

    def cut(self, oldest: datetime, newest: datetime, share: float) -> datetime:
        """The instant below which this share of the rows within `[oldest, newest)` lies."""
        if not self.stored:
            return self.pages.cut(oldest, newest, share)
        known, newer = self._count_stored(oldest, newest), self._estimate_newer(oldest, newest)
        newer = 0.0 if math.isinf(newer) else newer
        wanted = share * (known + newer)
        if wanted > known and newer:
            top = max(oldest, self.stored[-1])
            return self.pages.cut(top, newest, min(1.0, (wanted - known) / newer))
        index = round(self._rank(oldest) + wanted / self.stored_step)
        return min(newest, max(oldest, self.stored[min(index, len(self.stored) - 1)]))

    def has_tie(self, instant: datetime, rows: int) -> bool:
        """Whether so many rows, as far as is known, share an instant."""
        if self.stored:
            return self.estimate_rows(instant, just_after(instant)) >= rows
        return self.pages.has_tie(instant, rows)

    def skip_ties(self, instant: datetime, rows: int) -> datetime:
        """The instant, moved down past stored instants that so many rows share."""
        index = bisect_left(self.stored, instant) - 1
        while index >= 0 and self.has_tie(self.stored[index], rows):
            instant = self.stored[index]
            index = bisect_left(self.stored, instant) - 1
        return instant

    def _count_stored(self, oldest: datetime, newest: datetime) -> float:
        return (self._rank(newest) - self._rank(oldest)) * self.stored_step

    def _estimate_newer(self, oldest: datetime, newest: datetime) -> float:
        """An estimate of the rows that are newer than all stored ones."""
        return self.pages.estimate_rows(max(oldest, self.stored[-1]), newest) if self.grows else 0.0

    def _rank(self, instant: datetime) -> float:
        """How many knots lie below an instant, with its part of the way between two of them."""
        index = bisect_left(self.stored, instant)
        if index in (0, len(self.stored)):
            return float(index)
        low, high = self.stored[index - 1], self.stored[index]
        return index - 1 + (instant - low) / (high - low)
