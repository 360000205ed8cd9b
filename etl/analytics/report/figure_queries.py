"""What the report counts: aggregates over a range of sessions, on both databases.

Sessions belong to the range that their `created_at` lies in. Missing ones are left out.
The views for analysts know one time zone, the database's own; a report has any, to the instant.
So these are counted from the tables; a test holds them against the views.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from etl.analytics.figures.period import Offset, Period
from etl.analytics.figures.shape import Cell
from etl.models import SETTLED_STATES
from etl.store.schema import tables as t

TOP_LENGTH: Final = 10
"""How many creators and sessions a list shows."""

c = t.sessions.c


class Window(NamedTuple):
    """Which sessions are counted: of these agents, begun within this period."""

    agents: tuple[str, ...]
    period: Period


class TopCreator(NamedTuple):
    """What a creator's sessions came to. The id is null for sessions that name none."""

    id: str | None
    name: str | None
    email: str | None
    sessions: int
    failed: int
    settled: int
    credits: float


class TopSession(NamedTuple):
    """A session in a list; `seconds` from its beginning to the look that saw it settled."""

    id: str
    name: str | None
    agent_id: str
    state: str | None
    created_at: datetime
    credits: float | None
    creator: str | None
    seconds: float | None = None


class SettleTimes(NamedTuple):
    """The slowest of the sessions, `observed` in all, seen open first and settled later."""

    observed: int
    slowest: list[TopSession]


def find_oldest_session(connection: sa.Connection, agents: Sequence[str]) -> datetime | None:
    """When the first session of these agents began."""
    found = [
        connection.execute(sa.select(sa.func.min(c.created_at)).where(c.agent_id == id)).scalar()
        for id in agents
    ]
    return min((instant for instant in found if instant is not None), default=None)


def count_undated(connection: sa.Connection, agents: Sequence[str]) -> int:
    """How many belong to no range, since the API didn't say when they began."""
    query = sa.select(sa.func.count()).where(
        c.agent_id.in_(agents), c.created_at.is_(None), c.missing_since.is_(None)
    )
    return int(connection.execute(query).scalar_one())


def count_cells(
    connection: sa.Connection, window: Window, clock: Sequence[Offset]
) -> Iterator[Cell]:
    """The range by agent, state and hour of the wall clock that `clock` gives, in no order."""
    slot = _truncate_to_hour(connection, clock).label("slot")
    tokens = sa.func.coalesce(c.input_tokens, 0) + sa.func.coalesce(c.output_tokens, 0)
    sums = (sa.func.count(), sa.func.sum(c.credit_cost), sa.func.sum(tokens))
    query = sa.select(c.agent_id, slot, c.state, *sums).where(_is_within(window))
    rows = connection.execute(query.group_by(c.agent_id, "slot", c.state))
    for agent, at, state, count, spent, used in rows:
        if at is not None:
            hour = datetime.fromisoformat(at) if isinstance(at, str) else at
            yield Cell(agent, hour, state, count, float(spent or 0), int(used or 0))


def count_creators(connection: sa.Connection, window: Window) -> int:
    """How many creators began a session in the range."""
    query = sa.select(sa.func.count(sa.distinct(c.creator_id))).where(_is_within(window))
    return int(connection.execute(query).scalar_one())


def find_top_creators(connection: sa.Connection, window: Window) -> list[TopCreator]:
    """Those with the most sessions, then credits."""
    counts = (
        sa.func.count().label("sessions"),
        sa.func.sum(sa.case((c.state == "failed", 1), else_=0)).label("failed"),
        sa.func.sum(sa.case((c.state.in_(SETTLED_STATES), 1), else_=0)).label("settled"),
        sa.func.coalesce(sa.func.sum(c.credit_cost), 0).label("credits"),
    )
    best = (
        sa.select(c.creator_id, *counts)
        .where(_is_within(window))
        .group_by(c.creator_id)
        .order_by(counts[0].desc(), counts[3].desc(), c.creator_id)
        .limit(TOP_LENGTH)
        .subquery()
    )
    b, people = best.c, t.creators
    order = (b.sessions.desc(), b.credits.desc(), b.creator_id)
    query = sa.select(
        b.creator_id, _join_name(), people.c.email, b.sessions, b.failed, b.settled, b.credits
    ).join_from(best, people, people.c.id == b.creator_id, isouter=True)
    rows = connection.execute(query.order_by(*order))
    return [
        TopCreator(id, name, email, sessions, failed, settled, float(spent))
        for id, name, email, sessions, failed, settled, spent in rows
    ]


def find_costliest(connection: sa.Connection, window: Window) -> list[TopSession]:
    """The sessions with the highest credit cost."""
    first = c.credit_cost.desc().nulls_last()
    query = _select_sessions().where(_is_within(window), c.credit_cost > 0)
    rows = connection.execute(query.order_by(first, c.id).limit(TOP_LENGTH))
    return [_read_session(row) for row in rows]


def find_settle_times(connection: sa.Connection, window: Window) -> SettleTimes:
    """The sessions that took longest from their beginning to the look that saw them settled.

    Only those count that an earlier look saw open: of the others it isn't known when they
    settled. The times are upper bounds, by as much as lies between two looks.
    """
    took = _select_settle_times(connection, window).c
    count = connection.execute(sa.select(sa.func.count(took.id))).scalar_one()
    query = _select_sessions().add_columns(took.seconds).join(took.id.table, took.id == c.id)
    rows = connection.execute(query.order_by(took.seconds.desc(), c.id).limit(TOP_LENGTH))
    slowest = [_read_session(row)._replace(seconds=float(row.seconds)) for row in rows]
    return SettleTimes(count, slowest)


def _select_settle_times(connection: sa.Connection, window: Window) -> sa.Subquery:
    states = t.state_changes.c
    is_settled = sa.case((states.state.in_(SETTLED_STATES), states.observed_at))
    first, settled = sa.func.min(states.observed_at), sa.func.min(is_settled)
    end, begin = (_to_seconds(connection, instant) for instant in (settled, c.created_at))
    seen = t.state_changes.alias().c
    seen_open = sa.or_(seen.state.is_(None), seen.state.not_in(SETTLED_STATES))
    return (
        sa.select(c.id, sa.func.round(end - begin).label("seconds"))
        .join_from(t.sessions, t.state_changes, states.session_id == c.id)
        .where(_is_within(window), c.state.in_(SETTLED_STATES))
        # Says no more than the last line, but leaves most sessions out at once.
        .where(c.id.in_(sa.select(seen.session_id).where(seen_open)))
        .group_by(c.id, c.created_at)
        .having(settled > first)
        .subquery()
    )


def _to_seconds(connection: sa.Connection, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    if _is_postgres(connection):
        return sa.func.extract("epoch", instant)
    return sa.func.julianday(instant) * 86_400


def _is_within(window: Window) -> sa.ColumnElement[bool]:
    since, until = window.period
    dated = sa.and_(c.created_at >= since, c.created_at < until)
    return sa.and_(c.agent_id.in_(window.agents), dated, c.missing_since.is_(None))


def _select_sessions() -> Any:
    columns = (c.id, c.name, c.agent_id, c.state, c.created_at, c.credit_cost)
    people = t.creators
    creator = sa.func.coalesce(_join_name(), people.c.email, c.creator_id).label("creator")
    query = sa.select(*columns, creator)
    return query.join_from(t.sessions, people, people.c.id == c.creator_id, isouter=True)


def _read_session(row: Any) -> TopSession:
    spent = None if row.credit_cost is None else float(row.credit_cost)
    return TopSession(row.id, row.name, row.agent_id, row.state, row.created_at, spent, row.creator)


def _join_name() -> sa.ColumnElement[str | None]:
    people = t.creators.c
    parts = sa.func.coalesce(people.first_name, "") + " " + sa.func.coalesce(people.last_name, "")
    return sa.func.nullif(sa.func.trim(parts), "").label("name")


def _truncate_to_hour(connection: sa.Connection, clock: Sequence[Offset]) -> sa.ColumnElement[Any]:
    """The hour of `created_at` as wall time: no database is asked what it knows of time zones."""
    if _is_postgres(connection):
        utc = sa.func.timezone(sa.literal_column("'UTC'"), c.created_at)
        shifted = utc + _choose_offset(clock) * sa.literal_column("interval '1 second'")
        return sa.func.date_trunc(sa.literal_column("'hour'"), shifted)
    if {offset.seconds for offset in clock} == {0}:
        return sa.func.substr(c.created_at, 1, 13)
    modifier = _choose_offset(clock).concat(" seconds")
    return sa.func.substr(sa.func.datetime(sa.func.substr(c.created_at, 1, 19), modifier), 1, 13)


def _choose_offset(clock: Sequence[Offset]) -> sa.ColumnElement[Any]:
    last = sa.literal_column(str(clock[-1].seconds), sa.Integer)
    begun = list(pairwise(clock))
    if not begun:
        return last
    seconds = [(c.created_at < after.since, sa.literal(now.seconds)) for now, after in begun]
    return sa.case(*seconds, else_=last)


def _is_postgres(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"
