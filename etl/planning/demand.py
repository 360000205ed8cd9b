"""What a run wants proven, what of it is still missing, and how far the watermark may move."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from etl.models import BEGINNING, floor_second
from etl.planning.coverage import Coverage, Gap, find_contiguous_top, list_gaps

SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Requirement:
    """`[oldest, newest)`, proven at or after `since` (None: whenever)."""

    oldest: datetime
    newest: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run wants proven. `started_at` survives a crash, so its gaps only get smaller."""

    started_at: datetime
    requirements: tuple[Requirement, ...]

    @property
    def oldest(self) -> datetime:
        """From where on anything is wanted."""
        return min((need.oldest for need in self.requirements), default=BEGINNING)

    @property
    def newest(self) -> datetime:
        """Up to where anything is wanted."""
        return max((need.newest for need in self.requirements), default=BEGINNING)


def resume(
    demand: Demand, coverage: Coverage, now: datetime, lookback: timedelta, since: datetime
) -> Demand:
    """The demand of a run that begins now and goes on from what interrupted runs have proven.

    The list shows sessions late: what a page has proven of the `lookback` before its request may
    have been proven too early. So that is proven anew, of each span proven at or after `since`,
    unless the demand doesn't reach the head.
    """
    if demand.newest < floor_second(now):
        return demand
    anew = [
        Requirement(
            max(demand.oldest, span.oldest, subtract(span.proven_at, lookback)), span.newest, now
        )
        for span in coverage
        if span.proven_at is not None and span.proven_at >= since
    ]
    return replace(demand, requirements=(*demand.requirements, *anew))


def require_head(demand: Demand, now: datetime, floor: datetime = BEGINNING) -> Demand:
    """The demand of a run that begins now, with a look at the head of its own.

    Otherwise a run in the second that the last one has proven could request nothing, and miss what
    was created later in that second.
    """
    head = floor_second(now)
    if demand.newest < head:
        return demand
    look = Requirement(max(floor, head - SECOND), head, now)
    return replace(demand, requirements=(*demand.requirements, look))


def find_gaps(coverage: Coverage, demand: Demand) -> tuple[Gap, ...]:
    """The gaps that are left to walk, oldest first, disjoint and not touching."""
    found = sorted(
        gap
        for wanted in demand.requirements
        for gap in list_gaps(coverage, wanted.oldest, wanted.newest, wanted.since)
    )
    joined: list[Gap] = []
    for gap in found:
        if joined and gap.oldest <= joined[-1].newest:
            joined[-1] = Gap(joined[-1].oldest, max(joined[-1].newest, gap.newest))
        else:
            joined.append(gap)
    return tuple(joined)


def bound_watermark(
    coverage: Coverage,
    demand: Demand,
    floor: datetime,
    watermark: datetime | None,
    lookback: timedelta,
) -> datetime | None:
    """Below which instant the newest stored session may become the watermark; None: stay.

    It moves only once the run's demand is met, only over gapless coverage down to `floor`, and
    only if `lookback` below it was proven anew: a list cut short never moves it.
    """
    top = find_contiguous_top(coverage, floor)
    if top is None or find_gaps(coverage, demand):
        return None
    if watermark is None:
        return top
    anew = list_gaps(coverage, max(floor, subtract(watermark, lookback)), top, demand.started_at)
    return None if anew else top


def subtract(instant: datetime, distance: timedelta) -> datetime:
    """The instant so far below, or the end of history."""
    try:
        return max(BEGINNING, instant - distance)
    except OverflowError:
        return BEGINNING
