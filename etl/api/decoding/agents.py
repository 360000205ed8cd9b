"""From the bytes of the lists of agents and teams to records. Pure."""

import json
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from etl.errors import Malformed
from etl.models import ABSENT, LONGEST_ID, FoundAgent, Team

T = TypeVar("T", "_Agent", Team)


class AgentsPage(NamedTuple):
    """A page of agents; `unread` counts the records that are none."""

    agents: list[FoundAgent]
    unread: int
    next_cursor: str | None


class _Agent(msgspec.Struct, gc=False):
    id: str
    name: Any = None
    team_id: Any = ABSENT
    is_active: Any = None

    def found(self) -> FoundAgent:
        """The agent; a field that can't be read counts as absent."""
        is_known = self.team_id is None or _keep_storable(self.team_id) is not None
        team_id = self.team_id if is_known else ABSENT
        return FoundAgent(self.id, _keep_storable(self.name), team_id, self.is_active is not False)


UNDECODABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_agents(body: bytes) -> AgentsPage:
    """Decode a response of the list of agents. Raises Malformed where it isn't one."""
    whole, records = _decode_replacing(body, "agents")
    cursor = whole.get("next_cursor")
    if not isinstance(cursor, str | None):
        raise Malformed("the response is not a list of agents: its cursor is no text")
    read = [_read(_Agent, record) for record in records]
    found = [agent.found() for agent in read if agent]
    return AgentsPage(found, len(read) - len(found), cursor or None)


def decode_teams(body: bytes) -> list[Team]:
    """Decode a response of the list of teams. Raises Malformed where it isn't one."""
    _, records = _decode_replacing(body, "teams")
    read = [_read(Team, record) for record in records]
    return [Team(team.id, _keep_storable(team.name)) for team in read if team]


def _decode_replacing(body: bytes, key: str) -> tuple[dict[str, Any], list[Any]]:
    """The response and its records, also where one of them holds half a surrogate pair."""
    try:
        whole = json.loads(body)
    except UNDECODABLE as error:
        raise Malformed(f"the response is not a list of {key}: {error}") from None
    records = whole.get(key) if isinstance(whole, dict) else None
    if not isinstance(records, list):
        raise Malformed(f"the response holds no list of {key}")
    return whole, records


def _read(kind: type[T], record: Any) -> T | None:
    """A record, or None where it is none that could be stored: it costs itself alone."""
    try:
        read = msgspec.convert(record, kind)
        is_short = len(read.id.encode()) <= LONGEST_ID
    except UNDECODABLE:
        return None
    return read if is_short else None


def _keep_storable(value: Any) -> str | None:
    """A text that can be stored; half a surrogate pair can't."""
    if not isinstance(value, str):
        return None
    return value if value == value.encode(errors="replace").decode() else None
