"""`agents`, and the commands that find their agents instead of having them typed."""

import json
import tomllib
from contextlib import closing

import pytest
from sqlalchemy import select

from etl.input.config_file import read_settings
from etl.simulator import Fault, Simulator, World
from etl.store.schema import tables as t
from tests.cli.conftest import Command
from tests.process.project import Project

EVERYWHERE = {"own": True, "teams": "all"}


@pytest.fixture
def world() -> World:
    """Agents 0, 1, 3, 4 are our own, 5 is a team's, 2 is nobody's we see."""
    return World.generate(agents=6, sessions=20, seed=5)


@pytest.fixture
def discovery(project: Project, api: Simulator) -> None:
    """Nothing is typed, everything is found."""
    project.configure(api.base_url, [], api={"max_attempts": 1}, discovery=EVERYWHERE)


def stored(project: Project) -> set[str]:
    """The agents that have sessions."""
    with closing(project.store()) as store, store.connect() as connection:
        return set(connection.execute(select(t.sessions.c.agent_id).distinct()).scalars())


def visible(world: World) -> list[str]:
    return [world.agent_ids()[number] for number in (0, 1, 3, 4, 5)]


# -- agents ------------------------------------------------------------------------------------


def test_agents_lists_what_is_there_and_why_it_is_synced(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    ids = visible(world)
    world.agent(ids[1]).active = False
    rules = {**EVERYWHERE, "exclude": ["*reader*"]}
    project.configure(api.base_url, [ids[0], "nobody"], discovery=rules)

    done = etl("agents")

    assert (done.code, done.err) == (0, "")
    lines = {line.split()[0]: line.strip() for line in done.out.splitlines()}
    assert set(lines) == {"id", "nobody", *ids}
    assert lines[ids[0]].endswith("yes, configured")
    assert "not listed" in lines["nobody"]
    assert "no, retired" in lines[ids[1]]
    assert lines[ids[2]].endswith("no, excluded by '*reader*'")
    assert lines[ids[3]].endswith("yes, found")
    assert "Betrieb/Zürich" in lines[ids[4]]


def test_agents_as_json(etl: Command, discovery: None, world: World) -> None:
    found = etl("agents", "--json").json

    assert [agent["agent_id"] for agent in found["agents"]] == visible(world)
    assert found["agents"][1] == {
        "agent_id": visible(world)[1],
        "name": "Support triage",
        "team_id": "team_growth",
        "active": True,
        "synced": True,
        "reason": "found",
    }
    assert (found["errors"], found["warnings"]) == ([], [])


def test_agents_without_discovery_shows_what_could_be_had(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    project.configure(api.base_url, [visible(world)[1]])

    listed = [line.strip() for line in etl("agents").out.splitlines()[1:]]

    assert len(listed) == 5
    assert listed[0].endswith("yes, configured")
    assert all(line.endswith("no, discovery is off") for line in listed[1:])


def test_the_toml_can_be_pasted(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    tricky = 'a "quoted" \\ name\n[api]\npage_size = 1 \x7f\U0010ffff'
    world.add_agent(tricky, agent_id="tricky'\"id")
    world.add_agent("never this", agent_id="gumball")
    config = project.folder / "config.toml"
    typed = {agent.id for agent in read_settings(config, {}).agents}

    done = etl("agents", "--toml")
    config.write_text(f"{config.read_text()}\n{done.out}")

    agents = {agent.id: agent.name for agent in read_settings(config, {}).agents}
    assert set(agents) == typed | set(visible(world)) | {"tricky'\"id"}
    assert agents["tricky'\"id"] == tricky
    again = etl("agents", "--toml")
    assert (again.code, again.out) == (0, "")
    assert "configured already" in again.err


def test_the_toml_keeps_to_the_rules(etl: Command, project: Project, api: Simulator) -> None:
    project.configure(api.base_url, [], discovery={"own": True, "include": ["Support*"]})

    tables = tomllib.loads(etl("agents", "--toml").out)

    assert [agent["name"] for agent in tables["agents"]] == ["Support triage"]


def test_the_toml_says_if_no_agent_was_found(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    for id in world.agent_ids():
        world.retire_agent(id)
    project.configure(api.base_url, [], discovery={"own": True})

    done = etl("agents", "--toml")

    assert (done.code, done.out, done.err) == (0, "", "no agent was found\n")


def test_in_an_outage_nobody_knows_whether_an_agent_is_listed(
    etl: Command, project: Project, api: Simulator
) -> None:
    project.configure(
        api.base_url, ["nobody"], api={"max_attempts": 1}, discovery={"own": True, "include": ["-"]}
    )
    api.add_fault(Fault("status", path="/agents", status=503, times=None))

    table, toml = etl("agents"), etl("agents", "--toml")

    assert "unknown" in table.out
    assert "not listed" not in table.out
    assert (toml.out, toml.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("option", ["--json", "--toml", ""])
def test_agents_in_an_outage(etl: Command, discovery: None, api: Simulator, option: str) -> None:
    api.add_fault(Fault("status", path="/teams", status=503, times=None))

    done = etl(*filter(None, ("agents", option)))

    assert done.code == 1
    assert done.err.count("error: ") == 1
    assert "503" in done.err
    assert "Support triage" in done.out


def test_a_name_cannot_act_on_the_terminal(etl: Command, discovery: None, world: World) -> None:
    world.rename_agent(world.agent_ids()[0], "\x1b[2J\x07evil")

    for option in ("--json", "--toml", None):
        done = etl("agents", *filter(None, [option]))
        assert "\x1b" not in done.out
        assert "evil" in done.out


def test_agents_stores_nothing(etl: Command, discovery: None, project: Project) -> None:
    before = project.files()

    assert etl("agents").code == 0

    assert project.files() == before


# -- the runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "backfill", "reconcile"])
def test_a_run_finds_its_agents(
    etl: Command, discovery: None, project: Project, world: World, mode: str
) -> None:
    done = etl(mode, "--json")

    assert (done.code, done.err) == (0, "")
    assert [agent["agent_id"] for agent in done.json["agents"]] == visible(world)
    assert stored(project) == set(visible(world))


def test_verify_and_explain_know_them(etl: Command, discovery: None, world: World) -> None:
    assert etl("sync").code == 0

    verified = etl("verify", "--json").json["agents"]
    assert {agent["agent_id"] for agent in verified} == set(visible(world))
    explained = etl("sync", "--explain")
    assert explained.out.count(": sync at") == 5


def test_explain_sends_nothing(etl: Command, discovery: None, api: Simulator) -> None:
    assert etl("sync").code == 0
    api.clear_requests()

    assert etl("sync", "--explain").code == 0

    assert api.requests == []


def test_a_second_run_finds_those_that_came_and_leaves_those_that_went(
    etl: Command, discovery: None, project: Project, world: World
) -> None:
    assert etl("sync").code == 0
    gone = world.agent_ids()[0]
    world.retire_agent(gone)
    came = world.add_agent("New here")
    world.add_session(came)

    done = etl("sync", "--json")

    ids = [agent["agent_id"] for agent in done.json["agents"]]
    assert (done.code, gone in ids, came in ids) == (0, False, True)
    assert {gone, came} <= stored(project)


def test_in_an_outage_a_run_goes_on_says_so_and_exits_with_1(
    etl: Command, discovery: None, api: Simulator, world: World
) -> None:
    assert etl("sync").code == 0
    api.add_fault(Fault("status", path=r"/agents\?|/teams", status=503, times=None))

    done = etl("sync", "--json")

    assert done.code == 1
    assert "error: discovery: " in done.err
    assert "known so far" in done.err
    assert done.json["status"] == "incomplete"
    assert len(done.json["errors"]) == 2
    assert {agent["agent_id"] for agent in done.json["agents"]} == set(visible(world))
    assert {agent["status"] for agent in done.json["agents"]} == {"succeeded"}


def test_nothing_to_sync_is_a_warning(etl: Command, discovery: None, world: World) -> None:
    for id in world.agent_ids():
        world.retire_agent(id)

    done = etl("sync")

    assert (done.code, done.out) == (0, "")
    assert "warning: discovery: there is no agent" in done.err


def test_one_agent_by_its_id(etl: Command, project: Project, api: Simulator, world: World) -> None:
    typed, found, excluded = visible(world)[:3]
    rules = {**EVERYWHERE, "exclude": [excluded]}
    project.configure(api.base_url, [typed], api={"max_attempts": 1}, discovery=rules)

    assert etl("sync", "--agent", found, "--agent", typed).code == 0
    etl("sync", "--agent", "nobody").fails(2, "neither configured nor found")
    etl("sync", "--agent", excluded).fails(2, "excluded by")
    api.add_fault(Fault("status", path=r"/agents\?|/teams", status=503, times=None))
    etl("sync", "--agent", "nobody").fails(1, "503")
    api.clear_requests()
    assert etl("sync", "--agent", typed).code == 0
    assert not [r for r in api.requests if r.path.endswith(("/agents", "/teams"))]


def test_check_looks_at_those_that_are_found(
    etl: Command, discovery: None, api: Simulator, world: World
) -> None:
    done = etl("check")
    assert done.code == 0
    assert "ok   discovery: 5 agents listed, 5 to sync" in done.out
    assert all(f"ok   agent {id}" in done.out for id in visible(world))

    api.add_fault(Fault("status", path="/teams", status=503, times=None))
    failed = etl("check", "--json").json
    assert [one["what"] for one in failed["checks"] if not one["ok"]] == ["discovery"]


def test_check_fails_where_discovery_leaves_nothing_to_sync(
    etl: Command, project: Project, api: Simulator
) -> None:
    project.configure(api.base_url, [], discovery={"own": True, "exclude": ["*"]})

    done = etl("check")

    assert done.code == 1
    assert "FAIL discovery: 4 agents listed, 0 to sync" in done.out
    assert "exclude below [discovery]" in done.out


def test_patterns_may_come_from_the_environment(etl: Command, discovery: None) -> None:
    done = etl("sync", "--json", ETL_DISCOVERY__INCLUDE="Support*, Sales*", ETL_DISCOVERY__TEAMS="")

    assert len(done.json["agents"]) == 2


# -- aliases that create agents ----------------------------------------------------------------


@pytest.mark.parametrize("alias", ["gumball", "analytics", "Gumball"])
def test_an_alias_is_refused_wherever_it_is_typed(
    etl: Command, project: Project, api: Simulator, alias: str
) -> None:
    etl("list", alias).fails(2, "alias")
    etl("sync", ETL_AGENTS=alias).fails(2, "alias")
    etl("sync", "--agent", alias).fails(2)
    project.configure(api.base_url, [alias])
    etl("check").fails(2, "alias")
    assert json.dumps(alias) in (project.folder / "config.toml").read_text()
    assert api.requests == []
