"""The demand of a run of each mode, from the few facts that a test is about."""

from datetime import datetime, timedelta

from etl.models import BEGINNING
from etl.planning.demand import Demand
from etl.planning.run_demand import AgentState, RunOptions, StoredDemand, make_demand


def incremental(
    *,
    started_at: datetime,
    now: datetime,
    watermark: datetime | None,
    lookback: timedelta,
    floor: datetime = BEGINNING,
) -> Demand:
    options = RunOptions("incremental", lookback=lookback)
    return _make(options, AgentState(history_from=floor), started_at, now, watermark)


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
    options = RunOptions("backfill", since, until, restart, lookback)
    return _make(options, AgentState(), started_at, now, watermark)


def reconcile(*, started_at: datetime, now: datetime, floor: datetime = BEGINNING) -> Demand:
    return _make(RunOptions("reconcile"), AgentState(history_from=floor), started_at, now, None)


def _make(
    options: RunOptions,
    state: AgentState,
    started_at: datetime,
    now: datetime,
    newest: datetime | None,
) -> Demand:
    stored = StoredDemand(options.mode, options.since or BEGINNING, options.until, started_at)
    return make_demand(state, options, stored, now, newest)
