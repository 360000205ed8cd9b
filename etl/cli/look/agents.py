"""`agents`: what discovery sees, and what becomes of each. Stores nothing."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from etl.cli.common import load_settings, print_stderr
from etl.cli.options import add_json_option
from etl.cli.signals import stop_on_signals
from etl.cli.table import print_table
from etl.cli.terminal import open_client

if TYPE_CHECKING:
    from etl.planning.discovery import Decision
    from etl.sync.discovery import AgentListing

NAME = "agents"
HELP = "the agents that the credential sees, and which of them are synced; stores nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    add_json_option(form)
    form.add_argument(
        "--toml", action="store_true", help="print tables [[agents]] to paste into config.toml"
    )


def run(args: argparse.Namespace) -> int:
    """Show the agents. Without `[discovery]`: own agents, and those of every team."""
    from etl.config import Discovery, Names
    from etl.planning.discovery import decide_agents
    from etl.sync.discovery import list_agents

    settings = load_settings(args)
    rules = settings.discovery
    wanted = rules if rules.on else Discovery(own=True, teams=Names(("all",)))
    with stop_on_signals() as stop:
        with open_client(settings, stop) as client:
            listing = list_agents(client, wanted)
    decided = decide_agents(settings.agents, listing.found, wanted if args.toml else rules)
    if args.toml:
        _print_toml([one for one in decided if one.synced and one.why != "configured"], listing)
    elif args.json:
        print(json.dumps(_to_json(decided, listing), indent=1))
    else:
        head = ("id", "name", "team", "active", "synced")
        absent = "unknown" if listing.failures else "not listed"
        rows = [_to_row(decision, listing.teams, absent) for decision in decided]
        print_table(head, rows, elastic=("name", "team", "synced"), spare=("team", "active"))
    return _print_problems(listing)


def _print_problems(listing: "AgentListing") -> int:
    """Print what went wrong on stderr. Returns the exit code."""
    for warning in listing.warnings:
        print_stderr(f"warning: {warning}")
    for failure in listing.failures:
        print_stderr(f"error: {failure}")
    return 1 if listing.failures else 0


def _find_team_id(decision: "Decision") -> str | None:
    from etl.models import ABSENT

    team_id = decision.found.team_id if decision.found else None
    return None if team_id is ABSENT else team_id


def _to_row(decision: "Decision", teams: dict[str, str | None], absent: str) -> tuple[object, ...]:
    team = _find_team_id(decision)
    active = absent if decision.found is None else "yes" if decision.found.active else "no"
    synced = f"yes, {decision.why}" if decision.synced else f"no, {decision.why}"
    return decision.id, decision.name or "-", teams.get(team or "") or team or "-", active, synced


def _to_json(decided: "list[Decision]", listing: "AgentListing") -> dict[str, Any]:
    agents = [
        {
            "agent_id": decision.id,
            "name": decision.name,
            "team_id": _find_team_id(decision),
            "active": decision.found.active if decision.found else None,
            "synced": decision.synced,
            "reason": decision.why,
        }
        for decision in decided
    ]
    return {"agents": agents, "errors": listing.failures, "warnings": listing.warnings}


def _print_toml(new: "list[Decision]", listing: "AgentListing") -> None:
    """Print the agents that would be synced and aren't configured yet, or why there are none."""
    from etl.planning.discovery import format_toml

    if new:
        print("\n\n".join(format_toml(decision.id, decision.name) for decision in new))
    elif not listing.failures:
        all_are = "every agent that was found is configured already, or left out by [discovery]"
        print_stderr(all_are if listing.found else "no agent was found")
