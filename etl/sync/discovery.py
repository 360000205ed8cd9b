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
from etl.planning.discovery import (
    Decision,
    KnownAgent,
    decide_agents,
    decide_offline,
    merge_listings,
    select_synced,
    select_teams,
)
from etl.store.store import Store
from etl.store.write import agents as stored
from etl.wording import count

Lost = Callable[[str | None], bool]


@dataclass(slots=True)
class AgentListing:
    """What the lists showed. `lost` are those that can't be read, `empty` those without agents."""

    found: list[FoundAgent] = field(default_factory=list)
    teams: dict[str, str | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    empty: list[tuple[str, Lost]] = field(default_factory=list)


@dataclass(slots=True)
class AgentSelection:
    """The agents of a run. `failures` say which may be missing, and why."""

    agents: list[Agent]
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decided: list[Decision] = field(default_factory=list)


def list_agents(client: Client, rules: Discovery) -> AgentListing:
    """Read the lists. Raises Stopped; any other failure is noted."""
    listing = AgentListing()
    if rules.own:
        _read(client, listing, "own agents", None, lambda _: True)
    for team in _list_teams(client, listing, rules):
        what = f"agents of team {team.name or team.id!r:.80}"
        _read(client, listing, what, team.id, partial(eq, team.id))
    listing.found = merge_listings(listing.found)
    return listing


def select_found(
    store: Store, typed: Sequence[Agent], rules: Discovery, listing: AgentListing, now: datetime
) -> AgentSelection:
    """Decide who is synced, and note in the database what the lists tell of them."""
    decided = decide_agents(typed, listing.found, rules)
    stored.save_found(store, decided, now)
    found = AgentSelection(select_synced(decided), listing.failures, listing.warnings, decided)
    if listing.lost or listing.empty:
        known, seen = stored.read_known(store), {decision.id for decision in decided}
        for what, was_there in listing.empty:
            before = decide_offline(known, was_there, seen, rules)
            if before:
                found.warnings.append(
                    f"{what}: none is listed, though {len(before)} were before; "
                    "has the credential lost access? they are not synced"
                )

        def is_lost(team_id: str | None) -> bool:
            return any(is_of(team_id) for is_of in listing.lost)

        found.agents += _list_agents(decide_offline(known, is_lost, seen, rules))
    return found


def select_offline(store: Store, typed: Sequence[Agent], rules: Discovery) -> list[Agent]:
    """The agents of a run as far as they are known without asking."""
    seen = {agent.id for agent in typed}
    return [
        *typed,
        *_list_agents(decide_offline(stored.read_known(store), lambda _: True, seen, rules)),
    ]


def _list_agents(known: Iterable[KnownAgent]) -> list[Agent]:
    return [Agent(one.id, one.name) for one in known]


def _list_teams(client: Client, listing: AgentListing, rules: Discovery) -> list[Team]:
    if not rules.teams:
        return []
    try:
        teams = client.fetch_teams(Counts())
    except Stopped:
        raise
    except EtlError as error:
        _note(listing, "teams", error, lambda id: id is not None)
        return []
    listing.teams = {team.id: team.name for team in teams}
    wanted, unknown = select_teams(rules.teams, teams)
    for word in unknown:
        hint = f"it sees {', '.join(repr(team.name or team.id) for team in teams) or 'none'}"
        unseen = EtlError("the credential sees no such team", hint)
        _note(listing, f"team {word!r}", unseen, lambda _: False)
    return wanted


def _read(
    client: Client, listing: AgentListing, what: str, team_id: str | None, is_of: Lost
) -> None:
    """Follow one list to its end; what it showed before it broke off counts, too."""
    before = len(listing.found)
    try:
        _follow(client, listing, what, team_id)
    except Stopped:
        raise
    except EtlError as error:
        _note(listing, what, error, is_of)
    else:
        if len(listing.found) == before:
            listing.empty.append((what, is_of))


def _follow(client: Client, listing: AgentListing, what: str, team_id: str | None) -> None:
    seen, cursor, unread = set[str](), None, 0
    while True:
        page = client.fetch_agents(team_id, cursor, Counts())
        listing.found += page.agents
        unread += page.unread
        cursor = page.next_cursor
        if cursor is None:
            break
        if cursor in seen:
            raise CutShort("the list repeats a cursor", "its end was never reached")
        seen.add(cursor)
    if unread:
        listing.warnings.append(f"{what}: left out {count(unread, 'record')} that can't be read")


def _note(listing: AgentListing, what: str, error: EtlError, is_of: Lost) -> None:
    listing.failures.append(str(error) if what in error.message else f"{what}: {error}")
    listing.lost.append(is_of)
