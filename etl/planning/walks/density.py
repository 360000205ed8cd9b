"""How many sessions lie between two instants, as far as pages and rows tell. Pure.

Used to cut a gap where its rows are. A wrong estimate costs requests, never rows.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from etl.models import BEGINNING, just_after

SHORTEST: Final = 1.0
"""Seconds: a page of ties counts as this long."""

STEEPEST: Final = math.log(20)
"""Log of the largest ratio of densities assumed between a stretch's edges: bursts mislead."""


class Sample(NamedTuple):
    """So many rows from `oldest` to `newest`, both included."""

    oldest: datetime
    newest: datetime
    rows: int

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / max(SHORTEST, (self.newest - self.oldest).total_seconds())


@dataclass(slots=True)
class Density:
    """What is known of an agent's list, in rows over time."""

    stored: Sequence[datetime] = ()
    """Instants of stored sessions, oldest first; up to the last one, only they count."""
    stored_step: int = 1
    """How many stored sessions one of them stands for."""
    grows: bool = False
    """Whether pages tell how many rows are newer than all stored ones; else those count as none."""
    oldest: datetime | None = None
    """The oldest instant that the list has; None as long as nobody has looked."""
    _samples: list[Sample] = field(default_factory=list)
    """What pages have shown, oldest first."""
    _idle: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Times without a session, disjoint, oldest first."""

    def add_page(self, oldest: datetime, newest: datetime, rows: int) -> None:
        """Take a page of so many rows."""
        insort(self._samples, Sample(oldest, newest, rows))

    def add_idle_span(self, oldest: datetime, newest: datetime) -> None:
        """Take a time without a session."""
        idle = sorted([*self._idle, (oldest, newest)])
        self._idle = idle[:1]
        for low, high in idle[1:]:
            before = self._idle[-1]
            if low <= before[1]:
                self._idle[-1] = (before[0], max(high, before[1]))
            else:
                self._idle.append((low, high))

    def rows(self, oldest: datetime, newest: datetime) -> float:
        """An estimate of the rows within `[oldest, newest)`; infinite where nothing tells."""
        if not self.stored:
            return self._estimate(oldest, newest)
        known = (self._rank(newest) - self._rank(oldest)) * self.stored_step
        if not self.grows or newest <= self.stored[-1]:
            return known
        return known + self._estimate(max(oldest, self.stored[-1]), newest)

    def _estimate(self, oldest: datetime, newest: datetime) -> float:
        """An estimate of the rows within `[oldest, newest)`, by pages alone."""
        if oldest >= newest:
            return 0.0
        bottom = self._bottom(oldest)
        if bottom is None or not self._samples:
            return math.inf
        below, above = self._rates(bottom, newest)
        steep = math.log(above / below)
        rate = (above - below) / steep if abs(steep) > 1e-9 else above
        return self._busy_seconds(bottom, newest) * rate

    def has_tie(self, instant: datetime, rows: int) -> bool:
        """Whether so many rows, as far as is known, share an instant."""
        if self.stored:
            return self.rows(instant, just_after(instant)) >= rows
        at_once = (one.rows for one in self._samples if one.oldest == one.newest == instant)
        return sum(at_once) >= rows

    def skip_ties(self, instant: datetime, rows: int) -> datetime:
        """The instant, or a lower one, right below which no so many rows share an instant."""
        index = bisect_left(self.stored, instant) - 1
        while index >= 0 and self.has_tie(self.stored[index], rows):
            instant = self.stored[index]
            index = bisect_left(self.stored, instant) - 1
        return instant

    def cut(self, oldest: datetime, newest: datetime, share: float) -> datetime:
        """The instant below which this share of the rows within `[oldest, newest)` lies."""
        if not self.stored:
            return self._cut_estimate(oldest, newest, share)
        low, high = self._rank(oldest), self._rank(newest)
        known, newer = (high - low) * self.stored_step, 0.0
        if self.grows and newest > self.stored[-1]:
            newer = self._estimate(max(oldest, self.stored[-1]), newest)
            newer = 0.0 if math.isinf(newer) else newer
        wanted = share * (known + newer)
        if wanted > known and newer:
            top = max(oldest, self.stored[-1])
            return self._cut_estimate(top, newest, min(1.0, (wanted - known) / newer))
        index = min(round(low + wanted / self.stored_step), len(self.stored) - 1)
        return min(newest, max(oldest, self.stored[index]))

    def _cut_estimate(self, oldest: datetime, newest: datetime, share: float) -> datetime:
        """The instant below which this share of the rows lies, by pages alone."""
        bottom = self._bottom(oldest) or newest
        below, above = self._rates(bottom, newest)
        steep = max(-STEEPEST, min(STEEPEST, math.log(above / below)))
        if abs(steep) > 1e-9:
            share = math.log1p(share * math.expm1(steep)) / steep
        busy = self._busy_seconds(bottom, newest) * share
        return min(newest, self._after_busy(bottom, busy))

    def _busy_seconds(self, oldest: datetime, newest: datetime) -> float:
        """The seconds of a stretch that may hold sessions."""
        idle = (min(high, newest) - max(low, oldest) for low, high in self._idle)
        length = (newest - oldest).total_seconds()
        return max(0.0, length - sum(max(0.0, one.total_seconds()) for one in idle))

    def _after_busy(self, oldest: datetime, seconds: float) -> datetime:
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

    def _bottom(self, oldest: datetime) -> datetime | None:
        """Where the rows of a stretch begin; None if nobody knows."""
        return self.oldest if oldest == BEGINNING else oldest

    def _rates(self, oldest: datetime, newest: datetime) -> tuple[float, float]:
        """Rows a second of the nearest pages below and above."""
        below = next((s.rate for s in reversed(self._samples) if s.oldest <= oldest), None)
        above = next((s.rate for s in self._samples if s.newest >= newest), None)
        known = below or above or 1.0
        return below or known, above or known

    def _rank(self, instant: datetime) -> float:
        """How many knots lie below an instant, with its part of the way between two of them."""
        index = bisect_left(self.stored, instant)
        if index in (0, len(self.stored)):
            return float(index)
        low, high = self.stored[index - 1], self.stored[index]
        return index - 1 + (instant - low) / (high - low)
