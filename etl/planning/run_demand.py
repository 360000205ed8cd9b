"""What a run wants proven: the options of the user, and what an interrupted run has left. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from etl.models import BEGINNING, Entry, Mode, floor_second
from etl.planning.coverage import Coverage
from etl.planning.demand import SECOND, Demand, Requirement, subtract

DEMAND_LASTS: Final = timedelta(days=7)
"""An interrupted reconcile older than this is forgotten."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for. `since` and `until` bound a backfill; None: all history.

    `walkers` bounds the concurrent walks; None: as many as are of use.
    `seek` tells whether cursors that we build may be tried.
    `wait_for_lease` tells whether to wait for another process that works on the agent.
    `resume_within` is the age up to which an unfinished demand of the same kind is resumed.
    `transcripts` is how many are retrieved at most once the run has succeeded (0: none are kept),
    none of them begun later than `transcripts_within` after that.
    """

    mode: Mode = "incremental"
    since: datetime | None = None
    until: datetime | None = None
    restart: bool = False
    lookback: timedelta = timedelta(hours=1)
    walkers: int | None = None
    seek: bool = True
    resume_within: timedelta = timedelta(minutes=15)
    idle_recheck: timedelta = timedelta(days=7)
    wait_for_lease: bool = True
    transcripts: int = 0
    transcripts_within: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class StoredDemand:
    """A demand that has not been met yet; a run after a crash takes it up again."""

    mode: Mode
    since: datetime
    until: datetime | None
    started_at: datetime


@dataclass(slots=True)
class AgentState:
    """What is remembered of an agent: all that the demand of its next run depends on."""

    watermark: datetime | None = None
    history_from: datetime | None = None
    last_success_at: datetime | None = None
    last_reconciled_at: datetime | None = None
    seek_refused_at: datetime | None = None
    """When the server last refused a cursor of our own making, or ignored it."""
    demand: StoredDemand | None = None
    coverage: Coverage = ()
    bookmarks: list[Entry] = field(default_factory=list)

    @property
    def floor(self) -> datetime:
        """Where this agent's history begins: at its end, or where the user let it begin."""
        return self.history_from or BEGINNING


def plan_demand(
    state: AgentState, options: RunOptions, now: datetime, newest: datetime | None
) -> Demand:
    """What a run would want proven, were it to start now.

    `newest` is the newest stored instant, for an agent without a watermark.
    """
    state = replace(state, history_from=choose_history_from(state, options))
    stored = choose_demand(state, options, now)
    return make_demand(state, options, stored, now, state.watermark or newest)


def choose_demand(state: AgentState, options: RunOptions, now: datetime) -> StoredDemand:
    """The demand to remember: an unfinished one of this kind goes on, unless it is too old."""
    since = options.since or BEGINNING
    wanted = StoredDemand(options.mode, since, options.until, now)
    old = state.demand
    if old is None or options.restart:
        return wanted
    if not timedelta(0) <= now - old.started_at <= options.resume_within:
        # Too old; or begun in the future, by a host whose clock is ahead of this one's.
        return wanted
    same = (old.mode, old.since, old.until) == (wanted.mode, wanted.since, wanted.until)
    return old if same else wanted


def choose_saved_demand(
    state: AgentState, options: RunOptions, stored: StoredDemand, now: datetime
) -> StoredDemand | None:
    """The demand to write down; None to leave a reconcile's, which goes on after this sync."""
    old = state.demand
    unmet = old is not None and old.mode == "reconcile" and now - old.started_at < DEMAND_LASTS
    return None if unmet and options.mode == "incremental" else stored


def choose_history_from(state: AgentState, options: RunOptions) -> datetime | None:
    """Where this agent's history begins: set by its first run, widened by a longer backfill.

    A backfill of a part widens it once no gap is left between that part and what follows.
    """
    is_first = not state.coverage and state.watermark is None
    bound = options.since if is_first else state.history_from
    if is_first or bound is None or options.mode != "backfill":
        return bound
    if options.until is None or options.until >= bound:
        bound = min(options.since or BEGINNING, bound)
    for span in reversed(state.coverage):
        if span.oldest < bound <= span.newest:
            bound = span.oldest
    return None if bound == BEGINNING else bound


def make_demand(
    state: AgentState,
    options: RunOptions,
    stored: StoredDemand,
    now: datetime,
    newest: datetime | None,
) -> Demand:
    """What the run is to prove.

    A reconcile: all history, anew since it began. A sync: no gap, and from the head to `lookback`
    below the watermark anew. A backfill: no gap within its bounds, with `restart` anew; one that
    reaches the head does what a sync does as well.

    `newest` stands for the watermark. Where it is None, a sync proves all anew: nothing is stored
    that could be a mark. A backfill looks again below what was last proven: lists lag.
    """
    began, head, floor = stored.started_at, floor_second(now), state.floor
    if options.mode == "reconcile":
        return Demand(began, (Requirement(floor, head, began),))
    if options.mode == "incremental":
        low = (
            floor
            if newest is None
            else max(floor, _choose_lookback_start(newest, options.lookback, head))
        )
        return Demand(began, (Requirement(floor, head, None), Requirement(low, head, began)))
    since, until = options.since or BEGINNING, options.until
    wanted = [Requirement(since, min(until or head, head), began if options.restart else None)]
    top = newest or max((span.newest for span in state.coverage), default=None)
    if until is None and top is not None:
        low = max(since, _choose_lookback_start(top, options.lookback, head))
        wanted.append(Requirement(low, head, began))
    return Demand(began, tuple(wanted))


def _choose_lookback_start(top: datetime, lookback: timedelta, head: datetime) -> datetime:
    """From where the list is proven anew, of which `top` was the newest that was proven.

    Sessions are dated by the second, so the second below the head is never known to be over.
    """
    return min(subtract(top, lookback), head - SECOND)
