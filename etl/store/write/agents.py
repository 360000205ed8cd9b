"""What discovery reads and keeps of the agents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from etl.models import ABSENT
from etl.planning.discovery import Decision, KnownAgent
from etl.store.schema import tables as t
from etl.store.store import Store


def read_known(store: Store) -> list[KnownAgent]:
    """The agents that have rows, each with the start of its last run."""
    started = select(t.sync_runs.c.agent_id, func.max(t.sync_runs.c.started_at).label("at"))
    last = started.group_by(t.sync_runs.c.agent_id).subquery()
    c = t.agents.c
    query = select(c.id, c.name, c.team_id, last.c.at).join(
        last, last.c.agent_id == c.id, isouter=True
    )
    with store.connect() as connection:
        return [KnownAgent(*row) for row in connection.execute(query.order_by(c.id))]


def save_found(store: Store, decided: Sequence[Decision], now: datetime) -> None:
    """Note names and teams. Agents that aren't synced get no row; nothing new writes nothing."""
    with store.connect() as connection:
        changes = _find_changes(store, connection, decided)
    if changes:
        store.transact(lambda connection: _save(store, connection, decided, now))


def _save(store: Store, connection: Connection, decided: Sequence[Decision], now: datetime) -> None:
    for id, is_new, values in _find_changes(store, connection, decided):
        if is_new:
            row = {"id": id, "first_seen_at": now, "updated_at": now, **values}
            connection.execute(insert(t.agents).values(row))
        else:
            mine = update(t.agents).where(t.agents.c.id == id)
            connection.execute(mine.values(updated_at=now, **values))


def _find_changes(
    store: Store, connection: Connection, decided: Sequence[Decision]
) -> list[tuple[str, bool, dict[str, Any]]]:
    """By agent: whether it has no row yet, and what differs."""
    c = t.agents.c
    rows = {row.id: row for row in connection.execute(select(c.id, c.name, c.team_id))}
    changes = []
    for fate in decided:
        if fate.found is None:
            continue
        row, name = rows.get(fate.id), fate.name and store.make_storable(fate.name)
        values: dict[str, Any] = {}
        if fate.found.team_id is not ABSENT:
            team_id = fate.found.team_id and store.make_storable(fate.found.team_id)
            values |= {"team_id": team_id} if row is None or row.team_id != team_id else {}
        if name and (row is None or (row.name != name and _is_unnamed(connection, row))):
            values["name"] = name
        if (row is None and fate.synced) or (row is not None and values):
            changes.append((fate.id, row is None, values))
    return changes


def _is_unnamed(connection: Connection, row: Any) -> bool:
    """Whether no list of sessions has named the agent: those go before, and mustn't be undone."""
    c = t.sessions.c
    query = select(c.id).where(c.agent_id == row.id).limit(1)
    return row.name is None or connection.execute(query).first() is None
