"""From the bytes of the lists of agents and teams to records. Pure."""

import json
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from etl.errors import Malformed
from etl.models import ABSENT, Absent, FoundAgent, Team

__all__ = ["AgentsPage", "decode_agents", "decode_teams"]

T = TypeVar("T")


class AgentsPage(NamedTuple):
    """A page of agents; `unread` counts the records that are none."""

    agents: list[FoundAgent]
    unread: int
    next_cursor: str | None


class _Agent(msgspec.Struct, gc=False):
    id: str
    name: str | None = None
    team_id: str | None | Absent = ABSENT
    is_active: bool | None = None


UNDECODABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_agents(body: bytes) -> AgentsPage:
    """Decode an answer of the list of agents. Raises Malformed where it isn't one."""
    whole, records = _whole(body, "agents")
    cursor = whole.get("next_cursor")
    if not isinstance(cursor, str | None):
        raise Malformed("the answer is not a list of agents: its cursor is no text")
    read = [_read(_Agent, record) for record in records]
    found = [FoundAgent(a.id, a.name, a.team_id, a.is_active is not False) for a in read if a]
    return AgentsPage(found, len(read) - len(found), cursor or None)


def decode_teams(body: bytes) -> list[Team]:
    """Decode an answer of the list of teams. Raises Malformed where it isn't one."""
    _, records = _whole(body, "teams")
    return [team for record in records if (team := _read(Team, record)) is not None]


def _whole(body: bytes, key: str) -> tuple[dict[str, Any], list[Any]]:
    """The answer and its records, also where one of them holds half a surrogate pair."""
    try:
        whole = json.loads(body)
    except UNDECODABLE as error:
        raise Malformed(f"the answer is not a list of {key}: {error}") from None
    records = whole.get(key) if isinstance(whole, dict) else None
    if not isinstance(records, list):
        raise Malformed(f"the answer holds no list of {key}")
    return whole, records


def _read(kind: type[T], record: Any) -> T | None:
    """A record, or None where it is none that could be stored: it costs itself alone."""
    try:
        read = msgspec.convert(record, kind)
        msgspec.json.encode(read)
    except UNDECODABLE:
        return None
    return read
