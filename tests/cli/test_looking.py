"""`status`, `runs` and `list`: looking without changing anything."""

import json
from datetime import UTC, datetime

import pytest

from etl.cli.table import make_printable
from etl.simulator import Fault, Simulator, World
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.audit import instant
from tests.support.waiting import PATIENCE


def test_status_has_a_line_per_agent(project: Project, world: World) -> None:
    project.run("backfill")

    done = project.run("status")

    assert (done.code, done.err) == (0, "")
    for agent in world.agents():
        line = next(line for line in done.out.splitlines() if agent.id in line)
        assert agent.name in line
        assert "60" in line
        assert "succeeded" in line
        assert "#" in line


def test_status_as_json(etl: Command, world: World) -> None:
    etl("backfill")

    found = etl("status", "--json").json["agents"]

    assert [one["agent_id"] for one in found] == world.agent_ids()
    for one in found:
        truth = world.sessions(one["agent_id"])
        is_open = [s for s in truth if s["state"] not in ("completed", "failed")]
        assert (one["sessions"], one["open_sessions"]) == (60, len(is_open))
        assert instant(one["watermark"]) == max(instant(s["created_at"]) for s in truth)
        assert (one["coverage"][0]["oldest"], one["last_error"]) == (None, None)
        assert one["last_run"]["status"] == "succeeded"
        assert (one["next_run_at"], one["history_from"]) == (None, None)


def test_status_shows_that_older_history_is_not_stored_yet(
    etl: Command, api: Simulator, world: World
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("status", status=500, after=1, times=None))
    etl("backfill", "--agent", agent)
    api.clear_faults()

    interrupted = next(line for line in etl("status").out.splitlines() if agent in line)
    explained = etl("sync", "--explain", "--agent", agent).out
    etl("backfill", "--agent", agent)
    whole = next(line for line in etl("status").out.splitlines() if agent in line)

    assert " .#" in interrupted and " ##" in whole
    more = "and one for each page of what isn't stored"
    assert more in explained and more not in etl("sync", "--explain", "--agent", agent).out


def test_explain_knows_that_more_lies_above_where_history_begins(
    etl: Command, api: Simulator, world: World
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("status", status=500, after=1, times=None))
    etl("sync", "--agent", agent, ETL_SYNC__SINCE="2020-01-01")

    done = etl("sync", "--explain", "--agent", agent, ETL_SYNC__SINCE="2020-01-01")

    assert "walk 2020-01-01 00:00:00 .. " in done.out
    assert "and one for each page of what isn't stored" in done.out


def test_status_tells_since_when_history_is_kept(etl: Command, world: World) -> None:
    first, second = world.agent_ids()
    etl("sync", "--agent", first)
    assert "kept since" not in etl("status").out

    etl("backfill", "--agent", second, "--since", "2026-01-02")

    head, *lines = etl("status").out.splitlines()
    told = {line.split("  ")[0].strip(): line[head.index("kept since") :] for line in lines}
    assert [told[name][:16].strip() for name in told if first in name] == ["-"]
    assert [told[name][:16] for name in told if second in name] == ["2026-01-02 00:00"]


def test_status_shows_the_last_error(etl: Command, api: Simulator, world: World) -> None:
    api.add_fault(Fault("status", status=500, times=None))
    etl("sync")

    done = etl("status")

    assert done.code == 0
    assert done.out.count("HTTP 500") == 2
    assert "500" in etl("status", "--json").json["agents"][0]["last_error"]


def test_status_keeps_an_agent_that_was_taken_out(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    etl("backfill")
    project.configure(api.base_url, world.agent_ids()[:1])

    assert [one["sessions"] for one in etl("status", "--json").json["agents"]] == [60, 60]


def test_runs_are_shown_newest_first(project: Project, world: World) -> None:
    project.run("backfill")
    project.run("sync", "--agent", world.agent_ids()[0])

    done = project.run("runs")

    assert (done.code, done.err) == (0, "")
    assert [("incremental" in line) for line in done.out.splitlines()[1:]] == [True, False, False]


def test_runs_by_agent_and_limit(etl: Command, world: World) -> None:
    first, second = world.agent_ids()
    for _ in range(3):
        etl("sync")

    assert len(etl("runs", "--json").json["runs"]) == 6
    assert len(etl("runs", "--limit", "4", "--json").json["runs"]) == 4
    mine = etl("runs", "--agent", second, "--json").json["runs"]
    assert [run["agent_id"] for run in mine] == [second] * 3
    assert [run["id"] for run in mine] == sorted((run["id"] for run in mine), reverse=True)
    assert len(etl("runs", "--agent", first, "--agent", second, "--json").json["runs"]) == 6


@pytest.mark.parametrize("command", ["runs", "search x", "report --output r.html"])
def test_an_agent_that_is_not_stored_is_not_taken_for_one_without_rows(
    etl: Command, world: World, command: str
) -> None:
    first, second = world.agent_ids()
    etl("sync", "--agent", first)

    etl(*command.split(), "--agent", "other").fails(2, "'other' is not in the database", first)
    etl(*command.split(), "--agent", first, "--agent", second).fails(2, repr(second))


@pytest.mark.parametrize("command", ["status", "runs"])
def test_looking_before_the_first_sync(etl: Command, command: str) -> None:
    etl(command).fails(1, "there is no database", "python -m etl sync")


def test_looking_makes_no_database(etl: Command, project: Project) -> None:
    etl("status")
    etl("runs")
    etl("sync", "--explain")

    assert project.files().keys() == {"config.toml"}


# -- list ----------------------------------------------------------------------------------------


@pytest.fixture
def agent(world: World) -> str:
    """An agent with one session that every filter finds."""
    agent = world.agent_ids()[0]
    world.add_session(
        agent,
        id="sess_wanted",
        name="Needle in haystack",
        state="queued",
        type="odd",
        trigger_id="trigger_7",
        creator={"id": "user_needle", "first_name": "Nadia", "last_name": "Nadel"},
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    return agent


def test_list_shows_every_page_as_a_table(project: Project, api: Simulator, agent: str) -> None:
    done = project.run("list", agent)

    assert done.code == 0
    assert all(session["id"] in done.out for session in api.world.sessions(agent))
    line = next(line for line in done.out.splitlines() if "sess_wanted" in line)
    for wanted in ("Needle in haystack", "queued", "odd", "Nadia Nadel", "2026-01-02"):
        assert wanted in line
    assert done.err == "61 sessions\n"


def test_list_as_json_lines_is_what_the_api_sent(etl: Command, world: World, agent: str) -> None:
    done = etl("list", agent, "--json")

    assert (done.code, done.err) == (0, "")
    assert [json.loads(line) for line in done.out.splitlines()] == world.sessions(agent)


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        (("--state", "queued"), "state=queued"),
        (("--type", "odd"), "type=odd"),
        (("--creator", "user_needle"), "creator_user_id=user_needle"),
        (("--trigger", "trigger_7"), "trigger_id=trigger_7"),
        (("--search", "needle in"), "search=needle"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_list_with_each_filter(
    etl: Command, api: Simulator, agent: str, words: tuple[str, ...], parameter: str
) -> None:
    done = etl("list", agent, *words, "--json")

    found = [json.loads(line)["id"] for line in done.out.splitlines()]
    assert done.code == 0
    assert "sess_wanted" in found
    assert parameter in api.requests[0].query
    if words[0] != "--state":
        assert found == ["sess_wanted"]


def test_list_with_several_filters(etl: Command, agent: str) -> None:
    assert "sess_wanted" in etl("list", agent, "--state", "queued", "--type", "odd").out
    assert etl("list", agent, "--state", "failed", "--type", "odd", "--json").out == ""


@pytest.mark.parametrize("limit", [1, 20, 33, 61, 500])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_list_with_order_and_limit(
    etl: Command, world: World, agent: str, order: str, limit: int
) -> None:
    done = etl("list", agent, "--order", order, "--limit", str(limit), "--json")

    ids = [session["id"] for session in world.sessions(agent)]
    wanted = (ids if order == "newest" else ids[::-1])[:limit]
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == wanted


def test_list_stores_nothing(etl: Command, project: Project, agent: str) -> None:
    etl("list", agent)

    assert project.files().keys() == {"config.toml"}


def test_list_of_an_agent_that_is_not_configured(etl: Command, api: Simulator) -> None:
    empty = api.world.add_agent("not configured")

    assert etl("list", empty).code == 0


def test_list_of_a_mistyped_agent_is_told_which_one_was_meant(etl: Command, agent: str) -> None:
    etl("list", agent[:-1]).fails(1, f"did you mean {agent}?")
    assert "did you mean" not in etl("list", "nobody").err


@pytest.mark.parametrize("words", [("--order", "sideways"), ("--state", "nonsense")])
def test_list_with_a_value_that_the_api_refuses(
    etl: Command, agent: str, words: tuple[str, str]
) -> None:
    done = etl("list", agent, *words)

    assert done.code in (1, 2)
    assert done.out == ""
    assert "one of" in done.err or "must be" in done.err


@pytest.mark.parametrize(
    "record",
    [
        17,
        "text",
        None,
        [],
        {},
        {"id": "x", "creator": "bob"},
        {"id": "x", "creator": {"id": 7, "first_name": 8}},
        {"id": "x", "usage": "oops"},
        {"id": "x", "usage": {"credit_cost": "many"}},
        {"id": 5, "name": ["list"], "created_at": 3},
    ],
    ids=repr,
)
def test_list_shows_records_of_every_kind(
    etl: Command, world: World, agent: str, record: object
) -> None:
    world.add_raw(agent, record, datetime(2026, 2, 2, tzinfo=UTC))

    assert etl("list", agent, "--json").code == 0
    done = etl("list", agent)

    assert (done.code, done.err) == (0, "62 sessions\n")


def test_a_long_name_stays_on_its_line(etl: Command, world: World, agent: str) -> None:
    world.change("sess_wanted", name="long " * 100)

    assert len(etl("list", agent).out.splitlines()) == 62


def test_names_cannot_write_to_the_terminal(etl: Command, world: World, agent: str) -> None:
    world.change("sess_wanted", name="\x1b]0;owned\x07\x1b[31mred\u202e[bold]")

    out = etl("list", agent).out

    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]" in out


def test_a_list_cut_short_says_so(etl: Command, api: Simulator, agent: str) -> None:
    api.add_fault(Fault("repeat_cursor", after=0, times=None))

    etl("list", agent, "--json").fails(1, "repeats a cursor")


def test_a_reader_who_leaves_is_no_error(project: Project, agent: str) -> None:
    process = project.start("list", agent, "--json")
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(PATIENCE) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("megabytes", [0.001, 0.002, 0.1])
def test_list_shows_records_that_are_nested_without_end(
    etl: Command, api: Simulator, world: World, megabytes: float
) -> None:
    api.add_fault(Fault("bomb", form="nested_record", megabytes=megabytes, times=None))

    done = etl("list", world.agent_ids()[0])

    assert done.code == 0
    assert "good" in done.out
    assert "2 sessions" in done.err


def test_joiners_of_a_name_are_printed_and_controls_are_not() -> None:
    name = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f4bb"

    assert make_printable(name) == name
    assert make_printable("a\x1b[2J\u202eb\n") == "a\ufffd[2J\ufffdb\ufffd"
