"""Looking for agents: every page of the lists that the settings name, then the decision.

A list that can't be read costs itself alone: the others count, and of its agents those go on that
were found before.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import eq

from etl.api.client import Client
from etl.config import Agent, Discovery
from etl.errors import CutShort, EtlError, Stopped
from etl.models import Counts, FoundAgent, Team
from etl.planning.discovery import Fate, Known, fates, joined, merged, remembered, wanted_teams
from etl.store.store import Store
from etl.store.write import agents as stored

__all__ = ["Roster", "Sight", "look", "roster", "roster_offline"]

Lost = Callable[[str | None], bool]


@dataclass(slots=True)
class Sight:
    """What the lists showed. `lost` are those that can't be read, `empty` those without agents."""

    found: list[FoundAgent] = field(default_factory=list)
    teams: dict[str, str | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    empty: list[tuple[str, Lost]] = field(default_factory=list)


@dataclass(slots=True)
class Roster:
    """The agents of a run. `failures` tell which of them may be lacking, and why."""

    agents: list[Agent]
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decided: list[Fate] = field(default_factory=list)


def look(client: Client, rules: Discovery) -> Sight:
    """Read the lists. Raises Stopped; any other failure is noted."""
    sight = Sight()
    if rules.own:
        _read(client, sight, "own agents", None, _any_team)
    for team in _teams(client, sight, rules):
        what = f"agents of team {team.name or team.id!r:.80}"
        _read(client, sight, what, team.id, partial(eq, team.id))
    sight.found = merged(sight.found)
    return sight


def roster(
    store: Store, typed: Sequence[Agent], rules: Discovery, sight: Sight, now: datetime
) -> Roster:
    """Decide who is synced, and note in the database what the lists tell of them."""
    decided = fates(typed, sight.found, rules)
    stored.save_found(store, decided, now)
    found = Roster(joined(decided), sight.failures, sight.warnings, decided)
    if sight.lost or sight.empty:
        known, seen = stored.known(store), {fate.id for fate in decided}
        for what, was_there in sight.empty:
            before = remembered(known, was_there, seen, rules)
            if before:
                found.warnings.append(
                    f"{what}: none is listed, though {len(before)} were before; "
                    "has the credential lost access? they are not synced"
                )
        lost = _any_of(sight.lost)
        found.agents += _agents(remembered(known, lost, seen, rules) if sight.lost else ())
    return found


def roster_offline(store: Store, typed: Sequence[Agent], rules: Discovery) -> list[Agent]:
    """The agents of a run as far as they are known without asking."""
    seen = {agent.id for agent in typed}
    return [*typed, *_agents(remembered(stored.known(store), _any_team, seen, rules))]


def _agents(known: Iterable[Known]) -> list[Agent]:
    return [Agent(one.id, one.name) for one in known]


def _teams(client: Client, sight: Sight, rules: Discovery) -> list[Team]:
    if not rules.teams:
        return []
    try:
        teams = client.fetch_teams(Counts())
    except Stopped:
        raise
    except EtlError as error:
        _note(sight, "teams", error, _in_a_team)
        return []
    sight.teams = {team.id: team.name for team in teams}
    wanted, unknown = wanted_teams(rules.teams, teams)
    for word in unknown:
        hint = f"it sees {', '.join(repr(team.name or team.id) for team in teams) or 'none'}"
        _note(sight, f"team {word!r}", EtlError("the credential sees no such team", hint), _no_team)
    return wanted


def _read(client: Client, sight: Sight, what: str, team_id: str | None, is_of: Lost) -> None:
    """Follow one list to its end; what it showed before it broke off counts, too."""
    before = len(sight.found)
    try:
        _follow(client, sight, what, team_id)
    except Stopped:
        raise
    except EtlError as error:
        _note(sight, what, error, is_of)
    else:
        if len(sight.found) == before:
            sight.empty.append((what, is_of))


def _follow(client: Client, sight: Sight, what: str, team_id: str | None) -> None:
    seen, cursor, unread = set[str](), None, 0
    while True:
        page = client.fetch_agents(team_id, cursor, Counts())
        sight.found += page.agents
        unread += page.unread
        cursor = page.next_cursor
        if cursor is None:
            break
        if cursor in seen:
            raise CutShort("the list repeats a cursor", "its end was never reached")
        seen.add(cursor)
    if unread:
        sight.warnings.append(f"{what}: {unread} records can't be read, and are left out")


def _note(sight: Sight, what: str, error: EtlError, is_of: Lost) -> None:
    sight.failures.append(str(error) if what in error.message else f"{what}: {error}")
    sight.lost.append(is_of)


def _any_of(lost: Sequence[Lost]) -> Lost:
    return lambda team_id: any(is_of(team_id) for is_of in lost)


def _any_team(_team_id: str | None) -> bool:
    return True


def _in_a_team(team_id: str | None) -> bool:
    return team_id is not None


def _no_team(_team_id: str | None) -> bool:
    return False
