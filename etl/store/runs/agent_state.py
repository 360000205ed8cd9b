"""What the database remembers of an agent between runs: how it is read and kept."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from etl.models import BEGINNING, Entry, Order, Span
from etl.planning.coverage import Coverage, clip_to_now
from etl.planning.run_demand import AgentState, StoredDemand
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant

# Built once, as every save needs them.
DROP_COVERAGE: Final = delete(t.coverage).where(t.coverage.c.agent_id == bindparam("agent"))
ADD_COVERAGE: Final = insert(t.coverage)
MARKS: Final = t.bookmarks
DROP_MARKS: Final = delete(MARKS).where(
    MARKS.c.agent_id == bindparam("agent"),
    MARKS.c.sort_order == bindparam("order"),
    MARKS.c.at.between(bindparam("low"), bindparam("high")),
    MARKS.c.at.is_distinct_from(bindparam("kept", type_=Instant)),
)
ADD_MARKS: Final = insert(MARKS)
NEWEST_BELOW: Final = select(func.max(t.sessions.c.created_at)).where(
    t.sessions.c.agent_id == bindparam("agent"), t.sessions.c.created_at < bindparam("bound")
)


def load_state(connection: Connection, agent_id: str) -> AgentState:
    """Read an agent's state; an agent never synced has an empty one."""
    row = connection.execute(
        select(t.sync_state).where(t.sync_state.c.agent_id == agent_id)
    ).one_or_none()
    if row is None:
        return AgentState()
    spans = connection.execute(
        select(t.coverage)
        .where(t.coverage.c.agent_id == agent_id)
        .order_by(t.coverage.c.newest_created_at)
    )
    marks = connection.execute(
        select(t.bookmarks).where(t.bookmarks.c.agent_id == agent_id).order_by(t.bookmarks.c.at)
    )
    return AgentState(
        watermark=row.watermark,
        history_from=row.history_from,
        last_success_at=row.last_success_at,
        last_reconciled_at=row.last_reconciled_at,
        seek_refused_at=row.seek_refused_at,
        demand=_make_demand(row),
        coverage=tuple(_make_span(span) for span in spans),
        bookmarks=[Entry(mark.sort_order, mark.cursor, mark.at) for mark in marks],
    )


def save_coverage(connection: Connection, agent_id: str, coverage: Coverage, now: datetime) -> None:
    """Replace an agent's spans; there are never more than a few dozen. None reaches beyond now."""
    connection.execute(DROP_COVERAGE, {"agent": agent_id})
    rows = [_make_span_row(agent_id, span) for span in clip_to_now(coverage, now)]
    if rows:
        connection.execute(ADD_COVERAGE, rows)


def drop_bookmarks(connection: Connection, agent_id: str) -> None:
    """Forget an agent's bookmarks: the server refuses them."""
    connection.execute(delete(MARKS).where(MARKS.c.agent_id == agent_id))


def save_bookmarks(
    connection: Connection, agent_id: str, marks: Iterable[tuple[Entry, datetime | None]]
) -> None:
    """Add bookmarks, each in place of those that lie between it and the walk's one before."""
    for mark, before in marks:
        low, high = sorted((mark.at, before or mark.at))
        place = {"agent": agent_id, "order": mark.order, "low": low, "high": high}
        connection.execute(DROP_MARKS, place | {"kept": before if before != mark.at else None})
        values = {"agent_id": agent_id, "sort_order": mark.order, "at": mark.at}
        connection.execute(ADD_MARKS, values | {"cursor": mark.cursor})


def find_newest_below(connection: Connection, agent_id: str, bound: datetime) -> datetime | None:
    """The newest `created_at` stored below an instant."""
    newest: datetime | None = connection.scalar(NEWEST_BELOW, {"agent": agent_id, "bound": bound})
    return newest


def _make_demand(row: Any) -> StoredDemand | None:
    if row.demand_started_at is None:
        return None
    since = row.demand_since or BEGINNING
    return StoredDemand(row.demand_mode, since, row.demand_until, row.demand_started_at)


def _make_span(row: Any) -> Span:
    return Span(
        row.oldest_created_at or BEGINNING,
        row.newest_created_at,
        row.proven_at,
        _make_entry("newest", row.below_cursor, row.below_at),
        _make_entry("oldest", row.above_cursor, row.above_at),
    )


def _make_entry(order: Order, cursor: str | None, at: datetime | None) -> Entry | None:
    return Entry(order, cursor, at) if at is not None and cursor is not None else None


def _make_span_row(agent_id: str, span: Span) -> dict[str, Any]:
    return {
        "agent_id": agent_id,
        "oldest_created_at": span.oldest if span.oldest != BEGINNING else None,
        "newest_created_at": span.newest,
        "proven_at": span.proven_at,
        "below_cursor": span.below.cursor if span.below else None,
        "below_at": span.below.at if span.below and span.below.cursor else None,
        "above_cursor": span.above.cursor if span.above else None,
        "above_at": span.above.at if span.above and span.above.cursor else None,
    }
