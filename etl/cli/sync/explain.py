"""`sync --explain`: the plan of the next sync, from what is stored. Sends nothing."""

import argparse
from datetime import datetime

from etl.cli.common import load_settings, open_store, when
from etl.planning.coverage import Gap

__all__ = ["explain"]


def explain(args: argparse.Namespace) -> int:
    """Print the gaps that a sync would walk, the sessions it would retrieve, and the cost."""
    from etl.api.client import utc_now
    from etl.models import BEGINNING
    from etl.planning.demand import missing
    from etl.planning.freshness import is_due
    from etl.service import runs
    from etl.store.read import status
    from etl.store.write.freshness import open_sessions
    from etl.sync.agent_run import demand_of

    settings = load_settings(args)
    with open_store(settings.database.url) as store:
        for agent in runs.known_agents(settings, store, args.agent):
            now = utc_now()
            state = store.state(agent.id)
            demand = demand_of(state, runs.run_options(settings, "incremental"), now)
            gaps = missing(state.coverage, demand)
            print(f"{agent.id}: sync at {when(now)}")
            for gap in gaps:
                print(f"  walk {_until(gap, BEGINNING)} .. {when(gap.newest)}")
            with store.reading() as connection:
                idle = settings.sync.idle_recheck
                opened = open_sessions(connection, agent.id, state.coverage, now, idle)
            waiting = [
                one
                for one in opened
                if is_due(one.state, one.changed_at, one.checked_at, now, idle)
                and not any(g.oldest <= (one.created_at or BEGINNING) < g.newest for g in gaps)
            ]
            rows = sum(status.rows_within(store, agent.id, gap) for gap in gaps)
            pages = max(len(gaps), -(-rows // settings.api.page_size))
            known = "at least " if any(gap.oldest == BEGINNING for gap in gaps) else "about "
            print(f"  {rows} stored sessions lie there: {known}{pages} requests")
            print("  list what is processing, and what is queued: 2 requests or more")
            print(f"  retrieve open sessions: at most {len(waiting)} requests")
            if settings.sync.transcripts:
                most = settings.sync.transcripts_per_run
                print(f"  retrieve transcripts of what is new or changed: at most {most} requests")
    return 0


def _until(gap: Gap, beginning: datetime) -> str:
    return "the end of history" if gap.oldest == beginning else when(gap.oldest)
