"""`sync --explain`: the plan of the next sync, from what is stored. Sends nothing."""

import argparse
import math
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from etl.cli.common import load_settings, open_store
from etl.cli.times import to_second
from etl.wording import count

if TYPE_CHECKING:
    from etl.config import Agent, Settings
    from etl.planning.coverage import Coverage, Gap
    from etl.store.store import Store

STATE_LISTS = 2
RECENT_RUNS = 5
"""Runs whose pace is looked at."""


def explain(args: argparse.Namespace) -> int:
    """Print what a sync would walk and retrieve, and the cost; of a first sync, too."""
    from etl.clock import utc_now
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
        for agent in runs.list_known_agents(settings, store, args.agent):
            _explain_next(settings, store, agent, utc_now())
    return 0


def _explain_first(settings: "Settings", agents: "Iterable[Agent]", now: datetime) -> None:
    """Print the plan of agents of which nothing is stored."""
    from etl.planning.demand import find_gaps
    from etl.planning.run_demand import AgentState, plan_demand
    from etl.service import runs

    demand = plan_demand(AgentState(), runs.run_options(settings, "incremental"), now, None)
    for agent in agents:
        _print_walks(agent.id, find_gaps((), demand), now)
        _print_unknown(settings)
        _print_rest(settings, 0, 0)


def _explain_next(settings: "Settings", store: "Store", agent: "Agent", now: datetime) -> None:
    """Print the plan of one agent."""
    from etl.planning.demand import find_gaps
    from etl.planning.run_demand import plan_demand
    from etl.service import runs
    from etl.store.read import status
    from etl.store.read.sessions import find_newest_session

    state = store.load_state(agent.id)
    demand = plan_demand(
        state,
        runs.run_options(settings, "incremental"),
        now,
        find_newest_session(store, agent.id, now),
    )
    gaps = find_gaps(state.coverage, demand)
    _print_walks(agent.id, gaps, now)
    listed, retrieved = _count_open(settings, store, agent, gaps, now)
    if not state.coverage:
        _print_unknown(settings)
        _print_rest(settings, listed, retrieved)
        return
    rows = sum(status.count_rows_within(store, agent.id, gap) for gap in gaps)
    pages = max(len(gaps), math.ceil(rows / settings.api.page_size))
    has_more = _reach_unknown(gaps, state.coverage)
    lie = "lies" if rows == 1 else "lie"
    least = "at least" if has_more else "about"
    print(f"  {count(rows, 'stored session')} {lie} there: {least} {count(pages, 'request')}")
    _print_rest(settings, listed, retrieved)
    requests = pages + STATE_LISTS + listed + retrieved
    _print_sum(store, agent.id, requests, has_more=has_more, apart=settings.sync.transcripts)


def _count_open(
    settings: "Settings", store: "Store", agent: "Agent", gaps: "Iterable[Gap]", now: datetime
) -> tuple[int, int]:
    """The requests for open sessions: pages of the idle ones' list, and sessions by their id."""
    from etl.models import BEGINNING
    from etl.planning.freshness import needs_check
    from etl.store.read.open_sessions import list_open_sessions
    from etl.sync.open_sessions import plan_idle_list

    idle, coverage = settings.sync.idle_recheck, store.load_state(agent.id).coverage
    with store.connect() as connection:
        due = [
            one
            for one in list_open_sessions(connection, agent.id, coverage, now, idle)
            if needs_check(one.state, one.changed_at, one.checked_at, now, idle)
            and not any(g.oldest <= (one.created_at or BEGINNING) < g.newest for g in gaps)
        ]
        plan = plan_idle_list(connection, agent.id, due, settings.api.page_size)
    return (plan.pages, len(due) - len(plan.ids)) if plan else (0, len(due))


def _print_walks(agent_id: str, gaps: "Iterable[Gap]", now: datetime) -> None:
    from etl.models import BEGINNING

    print(f"{agent_id}: sync at {to_second(now)}")
    for gap in gaps:
        oldest = "the end of history" if gap.oldest == BEGINNING else to_second(gap.oldest)
        print(f"  walk {oldest} .. {to_second(gap.newest)}")


def _reach_unknown(gaps: "Iterable[Gap]", coverage: "Coverage") -> bool:
    """Whether walks lead to where no walk has been, but for what is newer than all of coverage."""
    newest = max(span.newest for span in coverage)
    return any(
        gap.oldest < newest and not any(s.oldest <= gap.oldest < s.newest for s in coverage)
        for gap in gaps
    )


def _print_sum(
    store: "Store", agent_id: str, requests: int, *, has_more: bool, apart: bool
) -> None:
    """Print the sum, in seconds at the pace of the last runs, walks side by side included."""
    if has_more:
        print(f"  in all {count(requests, 'request')}, and one for each page of what isn't stored")
        return
    from etl.store.read import status

    paces = [
        (run["finished_at"] - run["started_at"]).total_seconds() / run["requests"]
        for run in status.list_recent_runs(store, [agent_id], RECENT_RUNS)
        if run["requests"] and run["finished_at"] and run["status"] == "succeeded"
    ]
    seconds = f", {requests * min(paces):.1f} s at the pace of the last runs" if paces else ""
    beside = ", without the transcripts" if apart else ""
    print(f"  in all about {count(requests, 'request')}{seconds}{beside}")


def _print_unknown(settings: "Settings") -> None:
    size = settings.api.page_size
    print(f"  how many sessions lie there is not known yet: a request for every {size} of them")


def _print_rest(settings: "Settings", listed: int, retrieved: int) -> None:
    print(f"  list what is processing, and what is queued: {STATE_LISTS} requests or more")
    if listed:
        print(f"  list what is idle: about {count(listed, 'request')}")
    if retrieved:
        print(f"  retrieve open sessions: at most {count(retrieved, 'request')}")
    if settings.sync.transcripts:
        most = count(settings.sync.transcripts_per_run, "request")
        print(f"  retrieve transcripts of what is new or changed: at most {most}")
