"""What the walks of a run set out with: the demand, cursors, and where rows are expected."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from etl.models import BEGINNING
from etl.planning import demand as demands
from etl.planning.coverage import Gap
from etl.planning.demand import Demand
from etl.planning.run_demand import AgentState, RunOptions, StoredDemand, make_demand
from etl.planning.walks.density import Density
from etl.planning.walks.gap_tracker import GapTracker
from etl.planning.walks.hints import Hints
from etl.store.read.sessions import find_newest_session, read_instants
from etl.store.store import Store
from etl.store.write.responses import Run

SEEK_AGAIN: Final = timedelta(days=7)
"""After a server has refused a cursor that we built, none is tried for this long."""

KNOTS: Final = 256
"""Stored instants that tell where the rows of a history are."""


def make_tracker(
    store: Store,
    run: Run,
    state: AgentState,
    stored: StoredDemand,
    options: RunOptions,
    page_size: int,
) -> GapTracker:
    """The tracker of a run that is to meet the stored demand and its own. Raises StoreError."""
    demand = _make_demand(store, run, state, stored, options)
    gaps = demands.find_gaps(state.coverage, demand)
    return GapTracker(
        demand,
        run.started_at,
        state.coverage,
        _make_hints(run, state, options),
        _make_density(store, run.agent_id, state, options, gaps),
        page_size,
    )


def _make_demand(
    store: Store, run: Run, state: AgentState, stored: StoredDemand, options: RunOptions
) -> Demand:
    now = run.started_at
    newest = state.watermark or find_newest_session(store, run.agent_id, now)
    demand = make_demand(state, options, stored, now, newest)
    demand = demands.require_head(demand, now, state.floor)
    if stored.started_at == now and state.watermark is not None:
        return demand
    # Without a watermark no run has met its demand yet: all that is proven may be too early.
    since = stored.started_at if state.watermark is not None else BEGINNING
    return demands.resume(demand, state.coverage, now, options.lookback, since)


def _make_hints(run: Run, state: AgentState, options: RunOptions) -> Hints:
    refused = state.seek_refused_at
    lately = refused is not None and run.started_at - refused < SEEK_AGAIN
    may_build = options.seek and not lately
    # A sync has so little to walk again that a dead cursor would cost more than it saves.
    may_try_stored = options.mode != "incremental"
    return Hints(list(state.bookmarks), may_build, may_try_stored, started_at=run.started_at)


def _make_density(
    store: Store, agent_id: str, state: AgentState, options: RunOptions, gaps: Sequence[Gap]
) -> Density:
    """Where rows are stored tells where a list that was walked before has its rows.

    Without a watermark it has not been walked whole, and what is stored tells nothing.
    """
    is_sync, resumes = options.mode == "incremental", options.mode == "backfill"
    if not gaps or state.watermark is None or (resumes and not options.restart):
        return Density()
    knots, step = read_instants(store, agent_id, KNOTS, gaps[0].oldest)
    return Density(knots, step, grows=is_sync)
