"""Looking for agents over real HTTP, on both databases."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Agent, Api, Discovery, Names
from etl.credentials import Credentials
from etl.errors import ConfigError
from etl.models import Counts
from etl.simulator import Fault, Simulator, World
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.sync.discovery import AgentSelection, list_agents, select_found, select_offline
from tests.conftest import Runner

GROWTH, SUPPORT = "team_growth", "team_support"
OWN = Discovery(own=True)
ALL = Discovery(own=True, teams=Names(("all",)))

Find = Callable[..., AgentSelection]


@pytest.fixture
def world() -> World:
    """Agents 0, 1, 3 and 4 are our own; 1, 3 and 5 are in teams; 2 is nobody's we see."""
    return World.generate(agents=6, sessions=3, seed=3)


@pytest.fixture
def find(store: Store, api: Simulator) -> Find:
    """Looks once, two agents a page."""

    def look_once(rules: Discovery = ALL, *typed: Agent) -> AgentSelection:
        settings = Api(base_url=api.base_url, page_size=2, max_attempts=1)
        with Client(
            settings, Credentials("sim-token"), limiter=RateLimiter(draw=lambda: 0.0)
        ) as client:
            return select_found(store, typed, rules, list_agents(client, rules), utc_now())

    return look_once


def ids(found: AgentSelection) -> list[str]:
    return [agent.id for agent in found.agents]


def rows(store: Store) -> dict[str, Any]:
    with store.connect() as connection:
        return {row.id: row for row in connection.execute(select(t.agents))}


def test_every_page_of_every_list_is_read(find: Find, api: Simulator, world: World) -> None:
    agents = world.agent_ids()

    found = find()

    assert ids(found) == [agents[number] for number in (0, 1, 3, 4, 5)]
    assert (found.failures, found.warnings) == ([], [])
    own = [r for r in api.requests if r.path.endswith("/agents") and "team_id" not in r.query]
    assert len(own) == 2


def test_teams_go_by_id_or_name(find: Find, world: World) -> None:
    in_growth = [agent.id for agent in world.agents() if agent.team_id == GROWTH]
    in_support = [agent.id for agent in world.agents() if agent.team_id == SUPPORT]

    assert ids(find(Discovery(teams=Names((GROWTH,))))) == in_growth
    assert ids(find(Discovery(teams=Names(("Support & Care",))))) == in_support


def test_teams_and_names_are_stored_and_nothing_is_written_twice(
    find: Find, store: Store, world: World
) -> None:
    find()
    first = rows(store)
    assert {id: (row.name, row.team_id) for id, row in first.items()} == {
        agent.id: (agent.name, agent.team_id)
        for number, agent in enumerate(world.agents())
        if number != 2
    }

    find()

    assert rows(store) == first


def test_only_what_changed_is_written(find: Find, store: Store, world: World) -> None:
    moved, renamed, *_ = (agent for agent in world.agents() if agent.owned)
    find()
    first = rows(store)
    moved.team_id, renamed.name = GROWTH, "Another name"

    find()

    now = rows(store)
    assert {id for id in now if now[id] != first[id]} == {moved.id, renamed.id}
    assert (now[moved.id].team_id, now[renamed.id].name) == (GROWTH, "Another name")
    assert now[moved.id].updated_at > first[moved.id].updated_at
    assert now[moved.id].first_seen_at == first[moved.id].first_seen_at


def test_a_name_from_a_list_of_sessions_is_not_undone(
    find: Find, store: Store, world: World, run_agent: Runner
) -> None:
    find()
    agent = world.agents()[0]
    sessions = world.sessions(agent.id)
    for session in sessions:
        world.change(session["id"], agent_name="As its sessions have it")
    assert run_agent(agent.id).status == "succeeded"
    before = rows(store)[agent.id]
    assert before.name == "As its sessions have it"

    find()

    assert rows(store)[agent.id] == before


def test_a_typed_name_goes_first(find: Find, store: Store, world: World) -> None:
    agent = world.agents()[1]

    found = find(ALL, Agent(agent.id, "Mine"))

    assert found.agents[0] == Agent(agent.id, "Mine")
    assert (rows(store)[agent.id].name, rows(store)[agent.id].team_id) == ("Mine", agent.team_id)


@pytest.mark.parametrize("name", ["\0 NUL", "<b>'; DROP TABLE agents; --", "é" * 9000, "\ud83d"])
def test_names_are_untrusted(find: Find, store: Store, world: World, name: str) -> None:
    world.agents()[0].name = name
    before = len(ids(find()))

    find()

    assert before == 5
    stored = rows(store)[world.agent_ids()[0]]
    assert stored.name in (None, name) or stored.name.replace("\ufffd", "\0") == name


def test_who_is_excluded_or_retired_gets_no_row_but_keeps_one(
    find: Find, store: Store, world: World
) -> None:
    retired, gone, excluded, *_ = world.agents()
    retired.active = False
    rules = Discovery(own=True, exclude=Names((excluded.id, "Support*")))
    found = find(rules)
    assert retired.id not in rows(store)
    retired.active = True
    found = find(OWN)
    world.retire_agent(gone.id)
    retired.active = False

    found = find(OWN)

    assert not {retired.id, gone.id} & set(ids(found))
    assert {retired.id, gone.id} <= set(rows(store))


def test_aliases_are_ignored_if_listed_and_never_asked_for(
    find: Find, world: World, api: Simulator
) -> None:
    for alias in ("gumball", "analytics"):
        world.add_agent("An alias", agent_id=alias)

    assert not {"gumball", "analytics"} & set(ids(find()))
    with Client(Api(base_url=api.base_url), Credentials("sim-token")) as client:
        with pytest.raises(ConfigError, match="alias"):
            client.fetch_page("Gumball", Counts())
        with pytest.raises(ConfigError, match="alias"):
            list(client.each_record("analytics", "newest", {}, None))
    assert not [r for r in api.requests if "gumball" in r.path.lower() or "analytics" in r.path]


# -- outages -----------------------------------------------------------------------------------


def synced_once(found: AgentSelection, run_agent: Runner) -> set[str]:
    for agent in found.agents:
        assert run_agent(agent.id).status == "succeeded"
    return set(ids(found))


def test_in_an_outage_those_go_on_that_were_found_before(
    find: Find, api: Simulator, run_agent: Runner, world: World
) -> None:
    before = synced_once(find(), run_agent)
    api.add_fault(Fault("status", path=r"/agents\?|/teams", status=503, times=None))

    found = find()

    assert set(ids(found)) == before
    assert len(found.failures) == 2
    assert all("503" in failure for failure in found.failures)


def test_a_list_that_fails_costs_itself_alone(
    find: Find, api: Simulator, run_agent: Runner, world: World
) -> None:
    before = synced_once(find(), run_agent)
    world.retire_agent(gone := world.agent_ids()[0])
    only_there = next(agent for agent in world.agents() if agent.team_id and not agent.owned)
    api.add_fault(Fault("status", path=f"team_id={only_there.team_id}", status=500, times=None))

    found = find()

    assert set(ids(found)) == before - {gone}
    assert only_there.id in ids(found)
    assert len(found.failures) == 1


def test_a_list_that_breaks_off_counts_as_far_as_it_came(
    find: Find, api: Simulator, world: World
) -> None:
    api.add_fault(Fault("status", path="cursor=", status=500, times=None))

    found = find(OWN)

    assert len(found.agents) == 2
    assert found.failures


def test_an_excluded_agent_is_not_remembered(
    find: Find, api: Simulator, run_agent: Runner, world: World
) -> None:
    synced_once(find(), run_agent)
    api.stop()
    excluded = world.agents()[0]
    rules = Discovery(own=True, teams=Names(("all",)), exclude=Names((excluded.name,)))

    found = find(rules)

    assert found.agents
    assert excluded.id not in ids(found)
    api.start()


def test_an_unknown_team_is_told_while_the_others_count(find: Find) -> None:
    found = find(Discovery(teams=Names((GROWTH, "Grwoth"))))

    assert found.agents
    assert len(found.failures) == 1
    assert "'Grwoth'" in found.failures[0]
    assert "'Growth'" in found.failures[0]


def test_an_empty_answer_where_agents_were_is_a_warning(
    find: Find, store: Store, run_agent: Runner, world: World
) -> None:
    before = synced_once(find(OWN), run_agent)
    for id in world.agent_ids():
        world.retire_agent(id)

    found = find(OWN)

    assert (found.agents, found.failures) == ([], [])
    assert [f"{len(before)} were" in warning for warning in found.warnings] == [True]
    assert before <= set(rows(store))


def test_an_empty_answer_where_nothing_was_is_none(find: Find, world: World) -> None:
    for id in world.agent_ids():
        world.retire_agent(id)

    assert find().warnings == []


def test_offline_those_are_known_that_were_synced(
    find: Find, store: Store, run_agent: Runner
) -> None:
    before = synced_once(find(), run_agent)

    offline = select_offline(store, [Agent("typed")], ALL)

    assert [offline[0].id, {agent.id for agent in offline[1:]}] == ["typed", before]
    assert select_offline(store, [], Discovery()) == []


# -- lists that no honest API sends ------------------------------------------------------------


class Odd(ThreadingHTTPServer):
    """Answers by the cursor with whatever a test wants."""

    daemon_threads = True

    def __init__(self, responses: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses = responses
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Odd

    def do_GET(self) -> None:
        cursor = parse_qs(urlsplit(self.path).query).get("cursor", [""])[0]
        self.server.asked.append(cursor)
        body = json.dumps(self.server.responses[cursor]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def odd() -> Iterator[Callable[[dict[str, object]], tuple[Odd, Any]]]:
    started: list[Odd] = []

    def see(responses: dict[str, object]) -> tuple[Odd, Any]:
        server = Odd(responses)
        started.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        with Client(Api(base_url=url, max_attempts=1), Credentials("t")) as client:
            return server, list_agents(client, OWN)

    yield see
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_cursor_that_repeats_ends_the_list_as_cut_short(odd: Any) -> None:
    def page(id: str, cursor: str) -> dict[str, object]:
        return {"agents": [{"id": id}], "next_cursor": cursor}

    server, sight = odd({"": page("a", "A"), "A": page("b", "B"), "B": page("c", "A")})

    assert server.asked == ["", "A", "B"]
    assert [agent.id for agent in sight.found] == ["a", "b", "c"]
    assert "repeats a cursor" in sight.failures[0]


def test_an_empty_page_with_a_cursor_is_no_end(odd: Any) -> None:
    last = {"agents": [{"id": "a"}], "next_cursor": None}

    _, sight = odd({"": {"agents": [], "next_cursor": "A"}, "A": last})

    assert [agent.id for agent in sight.found] == ["a"]


def test_records_that_can_not_be_read_are_counted(odd: Any) -> None:
    _, sight = odd({"": {"agents": [{"id": "a"}, {"id": 7}, None], "next_cursor": None}})

    assert [agent.id for agent in sight.found] == ["a"]
    assert "2 records" in sight.warnings[0]


@pytest.mark.parametrize("body", [{}, [], {"error": "gummie_rate_limit"}, {"agents": None}])
def test_an_answer_that_is_no_list_is_no_empty_one(odd: Any, body: object) -> None:
    _, sight = odd({"": body})

    assert len(sight.failures) == 1
    assert sight.empty == []
