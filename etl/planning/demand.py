"""What a run wants proven, what of it is still missing, and how far the watermark may move."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.models import BEGINNING, Mode, Order
from etl.planning.coverage import Coverage, Gap, contiguous_top, gaps

__all__ = [
    "Demand",
    "Requirement",
    "backfill",
    "goes_on",
    "incremental",
    "missing",
    "reconcile",
    "share_done",
    "subtract",
    "watermark_bound",
]


@dataclass(frozen=True, slots=True)
class Requirement:
    """`[oldest, newest)`, proven at or after `since` (None: whenever)."""

    oldest: datetime
    newest: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Demand:
    """A run's wish. `started_at` survives a crash: the same demand then has smaller gaps."""

    mode: Mode
    started_at: datetime
    requirements: tuple[Requirement, ...]


def incremental(
    *,
    started_at: datetime,
    now: datetime,
    watermark: datetime | None,
    lookback: timedelta,
    floor: datetime = BEGINNING,
) -> Demand:
    """From the head to `lookback` below the watermark proven anew, and no gap below."""
    requirements = [Requirement(floor, now, None)]
    if watermark is not None:
        requirements.append(Requirement(max(floor, subtract(watermark, lookback)), now, started_at))
    return Demand("incremental", started_at, tuple(requirements))


def backfill(
    *,
    started_at: datetime,
    now: datetime,
    since: datetime = BEGINNING,
    until: datetime | None = None,
    watermark: datetime | None = None,
    lookback: timedelta = timedelta(0),
    restart: bool = False,
) -> Demand:
    """All of `[since, until)` proven whenever; with `restart`, proven anew.

    One that reaches the head proves `lookback` anew as well, as an incremental run does.
    """
    wanted = [Requirement(since, min(until or now, now), started_at if restart else None)]
    if until is None and watermark is not None:
        wanted.append(Requirement(max(since, subtract(watermark, lookback)), now, started_at))
    return Demand("backfill", started_at, tuple(wanted))


def reconcile(*, started_at: datetime, now: datetime, floor: datetime = BEGINNING) -> Demand:
    """All history proven anew since the reconcile began."""
    return Demand("reconcile", started_at, (Requirement(floor, now, started_at),))


def missing(coverage: Coverage, demand: Demand) -> tuple[Gap, ...]:
    """The gaps that are left to walk, oldest first, disjoint and not touching."""
    found = sorted(
        gap
        for wanted in demand.requirements
        for gap in gaps(coverage, wanted.oldest, wanted.newest, wanted.since)
    )
    joined: list[Gap] = []
    for gap in found:
        if joined and gap.oldest <= joined[-1].newest:
            joined[-1] = Gap(joined[-1].oldest, max(joined[-1].newest, gap.newest))
        else:
            joined.append(gap)
    return tuple(joined)


def goes_on(order: Order, frontier: datetime | None, target: Gap, left: tuple[Gap, ...]) -> bool:
    """Whether a walk has more to do: it is short of its gap, or the next instant lies in one.

    `frontier` is the edge of what the walk has proven, in its direction; `left` the gaps now.
    """
    if frontier is None:
        return True
    if order == "newest":
        return frontier > target.newest or any(g.oldest < frontier <= g.newest for g in left)
    return frontier < target.oldest or any(g.oldest <= frontier < g.newest for g in left)


def watermark_bound(
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
    top = contiguous_top(coverage, floor)
    if top is None or missing(coverage, demand):
        return None
    if watermark is None:
        return top
    anew = gaps(coverage, max(floor, subtract(watermark, lookback)), top, demand.started_at)
    return None if anew else top


def share_done(left: tuple[Gap, ...], oldest: datetime | None) -> float | None:
    """The share of the time since the oldest session seen that no gap holds; None: not known."""
    if not left:
        return 1.0
    if oldest is None or left[0].oldest == BEGINNING:
        return None
    whole = left[-1].newest - oldest
    within = (gap.newest - max(gap.oldest, oldest) for gap in left if gap.newest > oldest)
    lacking = sum(within, timedelta(0))
    return max(0.0, 1 - lacking / whole) if whole > timedelta(0) else 0.0


def subtract(instant: datetime, distance: timedelta) -> datetime:
    """The instant so far below, or the end of history."""
    try:
        return max(BEGINNING, instant - distance)
    except OverflowError:
        return BEGINNING
