"""After the walks of a sync: the open sessions, which the walks may not have passed.

First the lists of what is processing or queued now: they are short, and show old sessions that
were reopened. Then the list of idle ones, as far as it costs fewer requests than retrieving them.
What was open and is in no list any more has changed: where several of those lie on one page of all
sessions, it is read, by a cursor of our own; the others are retrieved by their id.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from sqlalchemy import Connection

from etl.errors import CutShort, Malformed
from etl.planning.freshness import needs_check
from etl.planning.open_sessions import list_idle_down_to
from etl.planning.walks.hints import Hints
from etl.store.read.open_sessions import OpenSession, list_idle_instants, list_open_sessions
from etl.store.write.responses import Run
from etl.sync.retrieve import retrieve_all
from etl.sync.run_context import RunContext
from etl.sync.state_lists import LISTED_STATES, StateLists


class IdleList(NamedTuple):
    """How far the list of idle sessions is worth its pages, and which of those due it shows."""

    down_to: datetime
    ids: frozenset[str]
    pages: int


def refresh_open_sessions(context: RunContext, hints: Hints) -> None:
    """Bring the open sessions of an agent up to date. Raises ApiError, StoreError, CutShort."""
    now, idle_recheck = context.clock(), context.options.idle_recheck
    known = _read_open_sessions(context, idle_recheck, now)
    lists = StateLists(context, hints, known)
    for state in LISTED_STATES:
        lists.read(state)
    due = _select_due(context.run, known, lists.seen, idle_recheck, now)
    _read_idle(lists, due)
    lists.read_around([one for one in due if one.id not in lists.seen])
    ids = [one.id for one in due if one.id not in lists.seen]
    found = retrieve_all(context, ids)
    lists.check(found.states)
    if found.problems:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        raise Malformed(f"open sessions could not be looked at: {found.problems[0]}{more}")
    if lists.problem is not None:
        raise CutShort(f"a list of open sessions: {lists.problem.message}", lists.problem.hint)


def _read_open_sessions(
    context: RunContext, idle_recheck: timedelta, now: datetime
) -> list[OpenSession]:
    id, coverage = context.run.agent_id, context.state.coverage
    with context.store.connect() as connection:
        return list_open_sessions(connection, id, coverage, now, idle_recheck)


def plan_idle_list(
    connection: Connection, agent_id: str, due: Sequence[OpenSession], page_size: int
) -> IdleList | None:
    """How far the list is read; None where retrieving the idle sessions that are due costs less."""
    idle = {one.id: one.created_at for one in due if one.state == "idle" and one.created_at}
    if not idle:
        return None
    stored = list_idle_instants(connection, agent_id, page_size * len(idle))
    down_to = list_idle_down_to(sorted(idle.values(), reverse=True), stored, page_size)
    if down_to is None:
        return None
    ids = frozenset(id for id, at in idle.items() if at >= down_to)
    return IdleList(down_to, ids, ceil(sum(at >= down_to for at in stored) / page_size))


def _read_idle(lists: StateLists, due: Sequence[OpenSession]) -> None:
    """Read the list of idle sessions as far as that costs less than retrieving those due."""
    context = lists.context
    agent_id, page_size = context.run.agent_id, context.client.api.page_size
    with context.store.connect() as connection:
        plan = plan_idle_list(connection, agent_id, due, page_size)
    if plan is not None:
        lists.read("idle", plan.down_to, plan.ids)


def _select_due(
    run: Run,
    known: Sequence[OpenSession],
    seen: Collection[str],
    idle_recheck: timedelta,
    now: datetime,
) -> list[OpenSession]:
    """The open sessions that this run hasn't seen and that it is time to look at."""
    return [
        one
        for one in known
        if one.id not in seen
        and one.checked_at < run.started_at
        and needs_check(one.state, one.changed_at, one.checked_at, now, idle_recheck)
    ]
