"""The history whose answers docs/schema.md shows: always the same, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from etl.simulator import World
from etl.store.schema import tables as t
from tests.support.audit import USAGE, instant

Record = dict[str, Any]

NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)
SESSIONS, DAYS = 1000, 90


def fill(connection: Connection) -> None:
    """Store what a backfill at NOW and a reconcile at LATER would have."""
    world = World.generate(agents=3, sessions=SESSIONS, seed=7, now=NOW, days=DAYS)
    for agent in world.agent_ids():
        records = world.sessions(agent)
        named = {"id": agent, "name": records[0]["agent_name"]}
        connection.execute(insert(t.agents), named | seen())
        proven = {"newest_created_at": LATER, "proven_at": LATER}
        connection.execute(insert(t.coverage), {"agent_id": agent} | proven)
    connection.execute(insert(t.rejected_records), bad_record(agent))
    records = [(n, r) for agent in world.agent_ids() for n, r in enumerate(world.sessions(agent))]
    people = {person["id"]: person for _, r in records if (person := creator(r))}
    connection.execute(insert(t.creators), [creator_row(one) for one in people.values()])
    connection.execute(insert(t.sessions), [session_row(*one) for one in records])
    looks = [
        {"session_id": record["id"], "state": state, "observed_at": at}
        for number, record in records
        if len(seen_states := states(number, record)) > 1
        for at, state in seen_states
    ]
    connection.execute(insert(t.state_changes), looks)


def creator(record: Record) -> Record | None:
    """Who started it, if that is somebody with an id."""
    person = record.get("creator") or {}
    return person if person.get("id") else None


def creator_row(person: Record) -> Record:
    """A row of `creators`."""
    names = ("id", "first_name", "last_name", "email", "profile_picture")
    return {name: person.get(name) for name in names} | seen() | {"as_of": NOW}


def session_row(number: int, record: Record) -> Record:
    """A row of `sessions`: some cost more later, some are gone."""
    row = {name: record.get(name) for name in ("id", "agent_id", "name", "type", "state")} | seen()
    row |= {name: (record.get("usage") or {}).get(name) for name in USAGE}
    return row | {
        "creator_id": (creator(record) or {}).get("id"),
        "first_run_id": 1 if len(states(number, record)) == 1 else None,
        "created_at": instant(record["created_at"]),
        "missing_since": LATER if number % 400 == 399 else None,
        "as_of": LATER if number % 500 == 7 else states(number, record)[-1][0],
    }


def states(number: int, record: Record) -> list[tuple[datetime, str]]:
    """The states that were seen: some sessions worked first."""
    if number % 40 != 1:
        return [(NOW, record["state"])]
    return [(NOW, "processing"), (NOW + timedelta(minutes=number // 3 + 1), record["state"])]


def bad_record(agent: str) -> Record:
    """A record that was set aside."""
    return {
        "agent_id": agent,
        "received_at": LATER,
        "payload": '{"id":"sess_odd","created_at":"last Tuesday"}',
        "payload_sha256": "0" * 64,
        "reason": "not a timestamp: 'last Tuesday' - at `$.created_at`",
        "session_id": "sess_odd",
    }


def seen() -> dict[str, datetime]:
    """When the rows were made."""
    return {"first_seen_at": NOW, "updated_at": NOW}
