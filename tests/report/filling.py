"""Rows for a report, written straight into the tables."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from etl.analytics.figures.period import Period
from etl.analytics.report.load_figures import ReportOptions
from etl.store.schema import tables as t
from etl.store.store import Store

NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def session(id: str, agent: str = "a", **columns: Any) -> dict[str, Any]:
    """A row of `sessions`: completed an hour ago, unless told otherwise."""
    row: dict[str, Any] = {"id": id, "agent_id": agent, "name": f"Session {id}", "type": "api"}
    row |= {"state": "completed", "created_at": NOW - HOUR, "credit_cost": 1.5}
    row |= {"creator_id": None, "input_tokens": 100, "output_tokens": 10, "missing_since": None}
    row |= {"first_seen_at": NOW, "updated_at": NOW, "as_of": NOW}
    return row | columns


def fill(
    store: Store,
    sessions: Iterable[dict[str, Any]],
    names: dict[str, str | None] | None = None,
    creators: Sequence[dict[str, Any]] = (),
    states: Sequence[tuple[str, str | None, datetime]] = (),
) -> None:
    """Store sessions, with their agents and creators, and the looks that saw their states."""
    rows = list(sessions)
    seen = {"first_seen_at": NOW, "updated_at": NOW}
    agents = dict.fromkeys(row["agent_id"] for row in rows) | (names or {})
    people = {row["creator_id"] for row in rows if row["creator_id"] is not None}
    people -= {creator["id"] for creator in creators}
    blank = {"first_name": None, "last_name": None, "email": None}
    known = [blank | creator for creator in [*creators, *({"id": id} for id in people)]]
    looks = [
        {"session_id": id, "state": state, "observed_at": at, "run_id": None}
        for id, state, at in states
    ]
    parts = (
        (t.agents, [{"id": id, "name": name} | seen for id, name in agents.items()]),
        (t.creators, [creator | seen | {"as_of": NOW} for creator in known]),
        (t.sessions, rows),
        (t.state_changes, looks),
    )

    with store.engine.begin() as connection:
        for table, values in parts:
            if values:
                connection.execute(insert(table), values)


def prove(store: Store, agent: str, until: datetime = NOW, proven_at: datetime = NOW) -> None:
    """Let an agent's history be walked whole, up to an instant."""
    span = {"agent_id": agent, "newest_created_at": until, "proven_at": proven_at}
    with store.engine.begin() as connection:
        connection.execute(insert(t.coverage).values(span))
        mark = {"watermark": until, "last_success_at": until}
        connection.execute(insert(t.sync_state).values({"agent_id": agent} | mark))


def options(*agents: str, **changes: Any) -> ReportOptions:
    """A report of thirty days up to now."""
    usual = {"period": Period(NOW - 30 * DAY, NOW), "zone": UTC, "zone_name": "UTC", "now": NOW}
    return ReportOptions(agents=agents, **(usual | changes))
