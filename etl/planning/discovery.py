"""Which agents are synced: those that were typed, and those that are found and wanted. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from etl.config import Agent, Discovery
from etl.models import ABSENT, LONGEST_ID, FoundAgent, Team, is_alias

EVERY_TEAM: Final = "all"

STILL: Final = timedelta(days=1)
"""Agents whose last runs began this close to the newest of all were synced together."""


class Decision(NamedTuple):
    """An agent, whether it is synced, and why (not). `found` is None for one that wasn't listed."""

    id: str
    name: str | None
    found: FoundAgent | None
    synced: bool
    why: str


class KnownAgent(NamedTuple):
    """An agent in the database, and when its last run began."""

    id: str
    name: str | None
    team_id: str | None
    started_at: datetime | None


def decide_agents(
    typed: Sequence[Agent], found: Iterable[FoundAgent], rules: Discovery
) -> list[Decision]:
    """What becomes of every agent that was typed or found: the typed ones first, in their order."""
    listed = {agent.id: agent for agent in merge_listings(found)}
    by_hand = [
        Decision(agent.id, agent.name or _name_of(listed.get(agent.id)), listed.get(agent.id), True,
             "configured")
        for agent in typed
    ]  # fmt: skip
    ids = {agent.id for agent in typed}
    return by_hand + [_decide(agent, rules) for agent in listed.values() if agent.id not in ids]


def _name_of(found: FoundAgent | None) -> str | None:
    return found.name if found else None


def _decide(agent: FoundAgent, rules: Discovery) -> Decision:
    against = _find_objection(agent, rules)
    return Decision(agent.id, agent.name, agent, not against, against or "found")


def _find_objection(agent: FoundAgent, rules: Discovery) -> str:
    """Why an agent that was found isn't synced; empty if it is."""
    if is_alias(agent.id):
        return "an alias that creates agents"
    if not _is_usable(agent.id):
        return "its id can't be used"
    if not agent.active:
        return "retired: not active"
    return _find_exclusion(agent.id, agent.name, rules)


def _find_exclusion(id: str, name: str | None, rules: Discovery) -> str:
    """Why the rules leave an agent out; empty if they don't."""
    if not rules.on:
        return "discovery is off"
    excluding = next((pattern for pattern in rules.exclude if _matches(pattern, id, name)), None)
    if excluding is not None:
        return f"excluded by {excluding!r}"
    if not any(_matches(pattern, id, name) for pattern in rules.include):
        return "no pattern of include fits"
    return ""


def _matches(pattern: str, id: str, name: str | None) -> bool:
    return fnmatchcase(id, pattern) or (name is not None and fnmatchcase(name, pattern))


def _is_usable(id: str) -> bool:
    """Whether an id can be asked for, stored, and logged without making a line of its own."""
    is_plain = not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in id)
    return is_plain and id not in ("", ".", "..") and len(id.encode()) <= LONGEST_ID


def select_synced(decided: Iterable[Decision]) -> list[Agent]:
    """The agents to sync."""
    return [Agent(decision.id, decision.name) for decision in decided if decision.synced]


def merge_listings(found: Iterable[FoundAgent]) -> list[FoundAgent]:
    """Each agent once: several lists may show it, and what one leaves open another may tell."""
    once: dict[str, FoundAgent] = {}
    for agent in found:
        first = once.setdefault(agent.id, agent)
        if first is not agent:
            team_id = agent.team_id if first.team_id in (None, ABSENT) else first.team_id
            team_id = first.team_id if team_id is ABSENT else team_id
            active = first.active and agent.active
            once[agent.id] = FoundAgent(agent.id, first.name or agent.name, team_id, active)
    return list(once.values())


def select_teams(wanted: Collection[str], teams: Sequence[Team]) -> tuple[list[Team], list[str]]:
    """The teams that are wanted, each once, and the words that fit none.

    A word is an id or else a name; several teams may have one name.
    """
    if EVERY_TEAM in wanted:
        return list({team.id: team for team in teams}.values()), []
    chosen: dict[str, Team] = {}
    unknown = []
    for word in wanted:
        fitting = [t for t in teams if t.id == word] or [t for t in teams if t.name == word]
        chosen |= {team.id: team for team in fitting}
        unknown += [] if fitting else [word]
    return list(chosen.values()), unknown


def decide_offline(
    known: Iterable[KnownAgent],
    lost: Callable[[str | None], bool],
    seen: Collection[str],
    rules: Discovery,
) -> list[KnownAgent]:
    """The agents that were found before, where their list can't be read now.

    `lost` tells of a team (None: no team) whether its list may be the one; `seen` are the ids that
    other lists or the user named. The database doesn't say which agents were found; but those that
    left the configuration, or were retired, stopped having runs when the others went on.
    """
    known = [one for one in known if one.started_at is not None]
    newest = max((one.started_at for one in known if one.started_at), default=None)
    return [
        one
        for one in known
        if newest is not None
        and one.started_at is not None
        and newest - one.started_at <= STILL
        and one.id not in seen
        and lost(one.team_id)
        and not is_alias(one.id)
        and not _find_exclusion(one.id, one.name, rules)
    ]


def format_toml(id: str, name: str | None) -> str:
    """A table `[[agents]]` to paste into the configuration."""
    lines = ["[[agents]]", f"id = {_quote(id)}"]
    return "\n".join(lines + ([f"name = {_quote(name)}"] if name else []))


def _quote(text: str) -> str:
    """A TOML string; whatever a terminal might act upon is escaped."""
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
