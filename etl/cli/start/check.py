"""`check`: is all in order? A line each, with a hint; changes nothing."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etl.cli.common import load_settings
from etl.cli.options import add_json_option
from etl.cli.terminal import open_client
from etl.errors import EtlError, Malformed, StoreError, Transient
from etl.invocation import program_name
from etl.wording import count

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.api.client import Client
    from etl.config import Agent, Settings

NAME = "check"
HELP = "check the configuration, the credential, the database and every agent"
MOST_ATTEMPTS = 2
"""Somebody is waiting: `api.max_attempts` is for runs that nobody waits for."""
HINTS = {
    Malformed: "is api.base_url the API's address? a proxy or a login page may answer in its place",
    Transient: "is the network up, and api.base_url right? if so, try again later",
    StoreError: "is database.url right, and the server up?",
}
"""By kind of error, where an error has none of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    message: str
    hint: str = ""
    exit_code: int = 0


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Look at everything, even where something is wrong, and print each finding as it is made."""
    settings = load_settings(args)
    findings = []
    for finding in _look_at_all(settings):
        findings.append(finding)
        if not args.json:
            _print_finding(finding)
    if args.json:
        fields = [
            {"what": f.what, "ok": f.ok, "message": f.message, "hint": f.hint} for f in findings
        ]
        print(json.dumps({"ok": all(f.ok for f in findings), "checks": fields}, indent=1))
    return max(finding.exit_code for finding in findings)


def _look_at_all(settings: "Settings") -> Iterator[Finding]:
    yield Finding("configuration", True, count(len(settings.agents), "agent"))
    yield _look("schedule", _describe_schedule, settings)
    credential = _look("credential", _describe_credential, settings)
    yield credential
    yield _look("database", _describe_database, settings)
    if (settings.privacy.emails, settings.privacy.names) != ("keep", "keep"):
        yield _look("privacy", _describe_privacy, settings)
    if credential.ok:
        yield from _check_agents(settings)


def _print_finding(finding: Finding) -> None:
    print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}: {finding.message}")
    if finding.hint and not finding.ok:
        print(f"     hint: {finding.hint}")
    sys.stdout.flush()


def _look(what: str, describe: Callable[..., str], *subject: object) -> Finding:
    try:
        return Finding(what, True, describe(*subject))
    except EtlError as error:
        hint = error.hint or next((h for kind, h in HINTS.items() if isinstance(error, kind)), "")
        return Finding(what, False, error.message, hint, error.exit_code)


def _describe_schedule(settings: "Settings") -> str:
    """When `run` works, and where history begins."""
    from etl.input.instants import read_history_from
    from etl.service.schedule import check_schedule, describe_schedule

    read_history_from(settings)
    check_schedule(settings.schedule)
    return describe_schedule(settings.schedule)


def _describe_credential(settings: "Settings") -> str:
    """Which kind there is; of an OAuth grant until when its token is valid."""
    from etl.api.credentials import make_source

    source = make_source(settings.api)
    return f"{source.describe()}{', for a team' if source.team_id else ''} (not shown)"


def _describe_privacy(settings: "Settings") -> str:
    """How emails and names are stored, and that there is a salt for hashes."""
    from etl.credentials import read_salt
    from etl.privacy import make_rules

    rules = make_rules(settings.privacy, read_salt())
    return f"emails: {rules.emails}, names: {rules.names}"


def _describe_database(settings: "Settings") -> str:
    """Reachable and of the right schema. A SQLite file that isn't there yet is not created."""
    from etl.store.schema import migrate
    from etl.store.schema.engine import open_temporary_engine
    from etl.store.schema.url import find_sqlite_file, mask_password

    url = settings.database.url
    file = find_sqlite_file(url)
    if file is not None and not file.exists():
        return _describe_new_file(file, mask_password(url))
    # Its journal goes into its folder.
    places = [file, file.resolve().parent] if file is not None else []
    if not all(os.access(place, os.W_OK) for place in places):
        hint = "the file or its folder can't be written by this user"
        raise EtlError(f"{mask_password(url)} can be read, but not written", hint)
    with open_temporary_engine(url, only_reads=True) as engine:
        found = migrate.read_revision(engine)
        with engine.connect().execution_options(reads=True) as connection:
            migrate.check_encoding(connection)
            state = f"schema {found}" if found else _describe_unused(connection)
    if found is not None and found != migrate.HEAD:
        raise migrate.make_mismatch(found)
    return f"{mask_password(url)}, {state}"


def _describe_unused(connection: "Connection") -> str:
    """A database without our tables. Raises EtlError if they can't be made."""
    from sqlalchemy import inspect, text

    if connection.dialect.name == "postgresql":
        may_create = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
        if not connection.scalar(may_create):
            hint = f"let the owner of the database run `{program_name()} db upgrade`"
            raise EtlError("it has no tables yet, and this role can't make them", hint)
    others = len({*inspect(connection).get_table_names()} - {"alembic_version"})
    beside = f", beside {count(others, 'table')} of another program" if others else ""
    return f"without our tables: the first run makes them{beside}"


def _describe_new_file(file: Path, url: str) -> str:
    folder = file.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        hint = "make the folder, or change database.url"
        raise EtlError(f"{url}: the folder {folder} can't be written", hint)
    return f"{url}, not there yet; the first run makes it"


def _check_agents(settings: "Settings") -> Iterator[Finding]:
    """Ask for one session of each agent, and once more where that fails."""
    import msgspec

    from etl.service import runs

    api = settings.api
    patience = msgspec.structs.replace(api, max_attempts=min(api.max_attempts, MOST_ATTEMPTS))
    try:
        agents = runs.select_agents(settings, None)
        client = open_client(msgspec.structs.replace(settings, api=patience))
    except EtlError as error:
        yield Finding("agents", False, error.message, error.hint, error.exit_code)
        return
    with client:
        found, agents = _check_discovery(settings, client, agents)
        yield from found
        for agent in agents:
            yield _look(f"agent {agent.id}", _describe_agent, client, agent.id)
        yield from _check_clock(client)


def _describe_agent(client: "Client", agent_id: str) -> str:
    from etl.models import Counts

    page = client.fetch_page(agent_id, Counts(), page_size=1).content
    return f"readable{f', {page.agent_name!r}' if page.agent_name else ''}"


def _check_clock(client: "Client") -> list[Finding]:
    """Whether this machine's clock agrees with the API's; nothing if that was not told."""
    from etl.api.clock_skew import describe_skew

    if client.clock_skew is None:
        return []
    hint = "what is stored counts as of this machine's time"
    off = [Finding("clock", False, text, hint, 1) for text in describe_skew(client.clock_skew)]
    return off or [Finding("clock", True, "agrees with the API's")]


def _check_discovery(
    settings: "Settings", client: "Client", typed: "list[Agent]"
) -> "tuple[list[Finding], list[Agent]]":
    """What discovery comes to, and the agents that are synced then."""
    from etl.planning.discovery import decide_agents, select_synced
    from etl.sync.discovery import list_agents

    if not settings.discovery.on:
        return [], typed
    listing = list_agents(client, settings.discovery)
    agents = select_synced(decide_agents(typed, listing.found, settings.discovery))
    hint = "its agents are not checked"
    lacking = [Finding("discovery", False, text, hint, 1) for text in listing.failures]
    message = f"{count(len(listing.found), 'agent')} listed, {len(agents)} to sync"
    if not agents:
        none = "look at own, teams, include and exclude below [discovery], and at [[agents]]"
        lacking = lacking or [Finding("discovery", False, message, none, 1)]
    return lacking or [Finding("discovery", True, message)], agents
