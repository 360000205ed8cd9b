"""Compares the database with the API's truth, row by row."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from etl.store.schema import tables as t
from etl.store.store import Store

USAGE = (
    "credit_cost",
    "tool_credit_cost",
    "flow_credit_cost",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def differences(store: Store, truth: list[dict[str, Any]], agent_id: str) -> list[str]:
    """What is missing, extra or wrong; rows marked missing count as gone."""
    stored = stored_sessions(store, agent_id)
    creators = stored_creators(store)
    wanted = {record["id"]: record for record in truth}
    found = [f"missing {id!r}" for id in wanted.keys() - stored.keys()]
    found += [
        f"extra {id!r}"
        for id, row in stored.items()
        if id not in wanted and not row["missing_since"]
    ]
    for id in wanted.keys() & stored.keys():
        found += [f"{id!r}: {what}" for what in _wrong(stored[id], wanted[id], creators)]
    return sorted(found)


def stored_sessions(store: Store, agent_id: str) -> dict[str, dict[str, Any]]:
    """The rows of an agent by id."""
    query = select(t.sessions).where(t.sessions.c.agent_id == agent_id)
    with store.connect() as connection:
        return {row.id: dict(row._mapping) for row in connection.execute(query)}


def stored_creators(store: Store) -> dict[str, dict[str, Any]]:
    """The creators by id."""
    with store.connect() as connection:
        return {row.id: dict(row._mapping) for row in connection.execute(select(t.creators))}


def _wrong(row: dict[str, Any], record: dict[str, Any], creators: dict[str, Any]) -> list[str]:
    wrong = ["marked missing"] if row["missing_since"] else []
    for name in ("name", "type", "state"):
        if name in record and row[name] != record[name]:
            wrong.append(f"{name} is {row[name]!r}, not {record[name]!r}")
    created = record.get("created_at")
    if row["created_at"] != (created and instant(created)):
        wrong.append(f"created_at is {row['created_at']}, not {created!r}")
    usage = record.get("usage")
    if isinstance(usage, dict):
        wrong += [
            f"{name} is {row[name]!r}, not {usage[name]!r}"
            for name in USAGE
            if name in usage and row[name] != usage[name]
        ]
    return wrong + _wrong_creator(row, record, creators)


def _wrong_creator(
    row: dict[str, Any], record: dict[str, Any], creators: dict[str, Any]
) -> list[str]:
    creator = record.get("creator")
    id = creator.get("id") if isinstance(creator, dict) else None
    if "creator" in record and row["creator_id"] != id:
        return [f"creator_id is {row['creator_id']!r}, not {id!r}"]
    if id is None:
        return []
    known = creators[id]
    return [
        f"creator {id}: {name} is {known[name]!r}, not {value!r}"
        for name, value in creator.items()
        if value is not None and name in known and known[name] != value
    ]


def instant(text: str) -> datetime:
    """Read any of the platform's forms, by other means than the program's."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
