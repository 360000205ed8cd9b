"""`sync --explain`: the plan of the next sync, from what is stored. Sends nothing."""

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from etl.cli.common import load_settings, open_store, when
from etl.wording import count

if TYPE_CHECKING:
    from etl.config import Agent, Settings
    from etl.planning.coverage import Gap
    from etl.store.store import Store

__all__ = ["explain"]


def explain(args: argparse.Namespace) -> int:
    """Print what a sync would walk and retrieve, and the cost; of a first sync, too."""
    from etl.api.client import utc_now
    from etl.service import runs
    from etl.store.read import status
    from etl.store.schema.url import mask_password

    settings = load_settings(args)
    url = settings.database.url
    if status.is_new(url):
        print(f"This is the first sync: it makes the tables in {mask_password(url)}.")
        if settings.discovery.on:
            print("It also looks for agents; those that it finds are not known yet.")
            agents = [one for one in settings.agents if one.id in (args.agent or one.id)]
        else:
            agents = runs.select_agents(settings, args.agent)
        _explain_first(settings, agents, utc_now())
        return 0
    with open_store(url) as store:
        for agent in runs.known_agents(settings, store, args.agent):
            _explain_next(settings, store, agent, utc_now())
    return 0


def _explain_first(settings: "Settings", agents: "Iterable[Agent]", now: datetime) -> None:
    """The plan of agents of which nothing is stored."""
    from etl.planning.demand import missing
    from etl.service import runs
    from etl.store.write.agent_state import AgentState
    from etl.sync.agent_run import demand_of

    demand = demand_of(AgentState(), runs.run_options(settings, "incremental"), now)
    for agent in agents:
        _print_walks(agent.id, missing((), demand), now)
        _print_unknown(settings)
        _print_rest(settings, 0)


def _explain_next(settings: "Settings", store: "Store", agent: "Agent", now: datetime) -> None:
    """The plan of one agent."""
    from etl.planning.demand import missing
    from etl.service import runs
    from etl.store.read import status
    from etl.sync.agent_run import demand_of

    state = store.state(agent.id)
    demand = demand_of(state, runs.run_options(settings, "incremental"), now)
    gaps = missing(state.coverage, demand)
    _print_walks(agent.id, gaps, now)
    if state.coverage:
        rows = sum(status.rows_within(store, agent.id, gap) for gap in gaps)
        _print_cost(rows, gaps, settings.api.page_size)
    else:
        _print_unknown(settings)
    _print_rest(settings, _count_due(settings, store, agent, gaps, now))


def _count_due(
    settings: "Settings", store: "Store", agent: "Agent", gaps: "Iterable[Gap]", now: datetime
) -> int:
    """How many open sessions would be retrieved, unless a list or a walk shows them."""
    from etl.models import BEGINNING
    from etl.planning.freshness import is_due
    from etl.store.write.freshness import open_sessions

    idle, coverage = settings.sync.idle_recheck, store.state(agent.id).coverage
    with store.reading() as connection:
        opened = open_sessions(connection, agent.id, coverage, now, idle)
    return sum(
        is_due(one.state, one.changed_at, one.checked_at, now, idle)
        and not any(g.oldest <= (one.created_at or BEGINNING) < g.newest for g in gaps)
        for one in opened
    )


def _print_walks(agent_id: str, gaps: "Iterable[Gap]", now: datetime) -> None:
    from etl.models import BEGINNING

    print(f"{agent_id}: sync at {when(now)}")
    for gap in gaps:
        oldest = "the end of history" if gap.oldest == BEGINNING else when(gap.oldest)
        print(f"  walk {oldest} .. {when(gap.newest)}")


def _print_cost(rows: int, gaps: "Iterable[Gap]", page_size: int) -> None:
    from etl.models import BEGINNING

    least = "at least" if any(gap.oldest == BEGINNING for gap in gaps) else "about"
    pages = max(sum(1 for _ in gaps), -(-rows // page_size))
    lie = "lies" if rows == 1 else "lie"
    print(f"  {count(rows, 'stored session')} {lie} there: {least} {count(pages, 'request')}")


def _print_unknown(settings: "Settings") -> None:
    size = settings.api.page_size
    print(f"  how many sessions lie there is not known yet: a request for every {size} of them")


def _print_rest(settings: "Settings", due: int) -> None:
    print("  list what is processing, and what is queued: 2 requests or more")
    if due:
        print(f"  retrieve open sessions: at most {count(due, 'request')}")
    if settings.sync.transcripts:
        most = count(settings.sync.transcripts_per_run, "request")
        print(f"  retrieve transcripts of what is new or changed: at most {most}")
