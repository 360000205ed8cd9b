"""The end of a run: who of those that no walk has shown is gone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from etl.errors import CutShort
from etl.models import ENDLESS
from etl.store.runs.runs import drop_suspects, mark_missing
from etl.store.write.suspects import read_suspects
from etl.sync.retrieve import retrieve_all
from etl.sync.walks.parallel_walks import ParallelWalks

MOST_LOOKED_AT: Final = 100
"""Suspects that are looked at one by one before they are judged; more are given up."""


def judge_suspects(walks: ParallelWalks) -> None:
    """Look at suspects that are in doubt; then mark missing who is gone.

    Raises ApiError, StoreError; CutShort if more are gone than can be believed.
    """
    context, run = walks.context, walks.context.run
    with context.store.connect() as connection:
        suspects = read_suspects(connection, run.agent_id)
    if not suspects:
        return
    _look_again(walks, suspects)
    since = walks.tracker.demand.started_at
    judged = mark_missing(context.store, run, context.state.coverage, since)
    context.counts.missing += judged.marked
    if judged.withheld:
        raise CutShort(
            f"{judged.withheld} stored sessions are not listed any more, too many to believe",
            "none is marked missing; has the credential lost access?",
        )


def _look_again(walks: ParallelWalks, suspects: Mapping[str, datetime]) -> None:
    """Look at suspects of runs that were interrupted, and at those that are in doubt."""
    context, run = walks.context, walks.context.run
    before = ENDLESS if walks.is_out_of_order else run.started_at
    ids = {id for id, at in suspects.items() if at < before or id in walks.doubtful}
    if len(ids) > MOST_LOOKED_AT:
        coverage, now = context.state.coverage, context.clock()
        context.state.coverage = drop_suspects(context.store, run, coverage, now)
        context.warnings.add(f"{len(ids)} sessions may have vanished, too many to look at each")
        return
    retrieve_all(context, sorted(ids))
