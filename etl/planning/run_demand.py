"""What a run wants proven: the options of the user, and what an interrupted run has left. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from etl.models import BEGINNING, Mode
from etl.planning import demand as demands
from etl.planning.demand import Demand
from etl.store.runs.agent_state import AgentState, StoredDemand

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


def plan_demand(
    state: AgentState, options: RunOptions, now: datetime, newest: datetime | None
) -> Demand:
    """What a run would want proven, were it to start now.

    `newest` is the newest stored instant, for an agent without a watermark.
    """
    state = replace(state, history_from=next_history_from(state, options))
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


def demand_to_save(
    state: AgentState, options: RunOptions, stored: StoredDemand, now: datetime
) -> StoredDemand | None:
    """The demand to write down; None to leave a reconcile's, which goes on after this sync."""
    old = state.demand
    unmet = old is not None and old.mode == "reconcile" and now - old.started_at < DEMAND_LASTS
    return None if unmet and options.mode == "incremental" else stored


def next_history_from(state: AgentState, options: RunOptions) -> datetime | None:
    """Where this agent's history begins: set by its first run, widened by a longer backfill."""
    is_first = not state.coverage and state.watermark is None
    if is_first:
        return options.since
    if options.mode != "backfill" or state.history_from is None or options.until is not None:
        return state.history_from
    return min(options.since, state.history_from) if options.since else None


def make_demand(
    state: AgentState,
    options: RunOptions,
    stored: StoredDemand,
    now: datetime,
    newest: datetime | None,
) -> Demand:
    """The options in terms of coverage. `newest` stands for the watermark where there is none.

    Where nothing is stored, a backfill looks again below what was last proven: lists lag.
    """
    started_at = stored.started_at
    if options.mode == "reconcile":
        return demands.reconcile(started_at=started_at, now=now, floor=state.floor)
    if options.mode == "incremental":
        return demands.incremental(
            started_at=started_at,
            now=now,
            watermark=newest,
            lookback=options.lookback,
            floor=state.floor,
        )
    return demands.backfill(
        started_at=started_at,
        now=now,
        since=options.since or BEGINNING,
        until=options.until,
        watermark=newest or max((span.newest for span in state.coverage), default=None),
        lookback=options.lookback,
        restart=options.restart,
    )
