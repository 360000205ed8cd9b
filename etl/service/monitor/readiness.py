"""Whether the data is fit for use: database, schema, and each agent's last success. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from etl.errors import SchemaMismatch, StoreError
from etl.models import CLOCKS_DIFFER


def describe_readiness(
    last_success: Mapping[str, datetime | None],
    agent_ids: Sequence[str],
    now: datetime,
    bound: timedelta,
) -> dict[str, Any]:
    """The document of /readyz, for a database that answered."""
    agents = [_describe_agent(id, last_success.get(id), now, bound) for id in agent_ids]
    failing = [f"agent {agent['agent_id']}" for agent in agents if not agent["ok"]]
    return _make_document({"ok": True}, {"ok": True}, bound, agents, failing)


def describe_unreadable(
    error: StoreError, agent_ids: Sequence[str], bound: timedelta
) -> dict[str, Any]:
    """The document of /readyz, for a database that can't be used or has another schema.

    It tells no more than our own hint: a driver's words may hold what isn't everybody's.
    """
    failure = {"ok": False, "hint": error.hint}
    agents = [{"agent_id": id, "ok": None} for id in agent_ids]
    if isinstance(error, SchemaMismatch):
        return _make_document({"ok": True}, failure, bound, agents, ["schema"])
    return _make_document(failure, {"ok": None}, bound, agents, ["database"])


def _make_document(
    database: dict[str, Any],
    schema: dict[str, Any],
    bound: timedelta,
    agents: list[dict[str, Any]],
    failing: list[str],
) -> dict[str, Any]:
    head = {"ready": not failing, "failing": failing, "database": database, "schema": schema}
    return head | {"ready_within_seconds": bound.total_seconds(), "agents": agents}


def _describe_agent(
    id: str, last: datetime | None, now: datetime, bound: timedelta
) -> dict[str, Any]:
    age = None if last is None else round((now - last).total_seconds(), 3)
    # One in the future was told by a clock that was ahead; hosts may disagree a little.
    is_fresh = last is not None and -CLOCKS_DIFFER <= now - last <= bound
    return {"agent_id": id, "ok": is_fresh, "last_success_age_seconds": age}
