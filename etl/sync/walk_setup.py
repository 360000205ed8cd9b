"""What the walks of a run set out with: the demand, cursors, and where rows are expected."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from etl.models import BEGINNING
from etl.planning import demand as demands
from etl.planning.coverage import Gap
from etl.planning.demand import Demand
from etl.planning.run_demand import StoredDemand, make_demand
from etl.planning.walks.density import Density
from etl.planning.walks.gap_tracker import GapTracker
from etl.planning.walks.hints import Hints
from etl.store.read.sessions import find_newest_session, read_instants
from etl.sync.run_context import RunContext

SEEK_AGAIN: Final = timedelta(days=7)
"""After a server has refused a cursor that we built, none is tried for this long."""

KNOTS: Final = 256
"""Stored instants that tell where the rows of a history are."""


def make_tracker(context: RunContext, stored: StoredDemand) -> GapTracker:
    """The tracker of a run that is to meet the stored demand and its own. Raises StoreError."""
    coverage, demand = context.state.coverage, _make_demand(context, stored)
    return GapTracker(
        demand,
        context.run.started_at,
        coverage,
        _make_hints(context),
        _make_density(context, demands.find_gaps(coverage, demand)),
        context.client.api.page_size,
    )


def _make_demand(context: RunContext, stored: StoredDemand) -> Demand:
    state, options, now = context.state, context.options, context.run.started_at
    newest = state.watermark or find_newest_session(context.store, context.run.agent_id, now)
    demand = make_demand(state, options, stored, now, newest)
    demand = demands.require_head(demand, now, state.floor)
    if stored.started_at == now and state.watermark is not None:
        return demand
    # Without a watermark no run has met its demand yet: all that is proven may be too early.
    since = stored.started_at if state.watermark is not None else BEGINNING
    return demands.resume(demand, state.coverage, now, options.lookback, since)


def _make_hints(context: RunContext) -> Hints:
    state, options, now = context.state, context.options, context.run.started_at
    refused = state.seek_refused_at
    may_build = options.seek and (refused is None or now - refused >= SEEK_AGAIN)
    # A sync has so little to walk again that a dead cursor would cost more than it saves.
    may_try_stored = options.mode != "incremental"
    return Hints(list(state.bookmarks), may_build, may_try_stored, started_at=now)


def _make_density(context: RunContext, gaps: Sequence[Gap]) -> Density:
    """Where rows are stored tells where a list that was walked before has its rows.

    Without a watermark it has not been walked whole, and what is stored tells nothing.
    """
    options = context.options
    resumes = options.mode == "backfill" and not options.restart
    if not gaps or context.state.watermark is None or resumes:
        return Density()
    knots, step = read_instants(context.store, context.run.agent_id, KNOTS, gaps[0].oldest)
    return Density(knots, step, grows=options.mode == "incremental")
