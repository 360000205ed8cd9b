"""`backfill`, `sync` and `reconcile` as a user runs them: options, output, exit codes."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from etl.simulator import Fault, Simulator, Traits, World
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.audit import differences, instant, stored_sessions

FIELDS = {
    *("agent_id", "mode", "status", "requests", "pages", "seen", "inserted", "updated"),
    *("unchanged", "rejected", "missing", "watermark", "error"),
}
MODES = {"backfill": "backfill", "sync": "incremental", "reconcile": "reconcile"}


def wrong(project: Project, world: World, *agents: str) -> list[str]:
    """How the database differs from the API's truth."""
    store = project.store()
    found = [
        what
        for agent in agents or world.agent_ids()
        for what in differences(store, world.sessions(agent), agent)
    ]
    store.close()
    return found


@pytest.mark.parametrize("command", MODES)
def test_a_first_run_stores_everything(project: Project, world: World, command: str) -> None:
    done = project.run(command)

    assert (done.code, done.err) == (0, "")
    assert [line.split(":")[0] for line in done.out.splitlines()] == world.agent_ids()
    assert "60 new, 0 changed, 0 unchanged" in done.out
    assert wrong(project, world) == []


@pytest.mark.parametrize("command", MODES)
def test_json_is_one_document_with_the_promised_fields(
    project: Project, world: World, command: str
) -> None:
    done = project.run(command, "--json")

    assert (done.code, done.err) == (0, "")
    assert done.json["status"] == "succeeded"
    assert [one["agent_id"] for one in done.json["agents"]] == world.agent_ids()
    for one in done.json["agents"]:
        newest = max(instant(s["created_at"]) for s in world.sessions(one["agent_id"]))
        assert one.keys() >= FIELDS
        assert (one["mode"], one["status"], one["error"]) == (MODES[command], "succeeded", None)
        assert (one["seen"], one["inserted"], one["rejected"]) == (60, 60, 0)
        assert instant(one["watermark"]) == newest


def test_json_of_a_failure_is_one_document_too(etl: Command, api: Simulator) -> None:
    api.add_fault(Fault("status", status=403, times=None))

    done = etl("sync", "--json")

    assert done.code == 1
    assert done.json["status"] == "failed"
    assert ["403" in one["error"] for one in done.json["agents"]] == [True, True]


def test_json_counters_are_those_of_the_runs(etl: Command, world: World) -> None:
    etl("backfill")
    world.add_session(world.agent_ids()[0])

    report = {one["agent_id"]: one for one in etl("sync", "--json").json["agents"]}

    runs = etl("runs", "--json").json["runs"][:2]
    counters = FIELDS - {"agent_id", "mode", "watermark", "error"}
    for run in runs:
        one = report[run["agent_id"]]
        assert {name: run[name] for name in counters} == {name: one[name] for name in counters}


def test_agent_takes_one_agent_alone(etl: Command, project: Project, world: World) -> None:
    first, second = world.agent_ids()

    assert etl("backfill", "--agent", second).code == 0

    assert wrong(project, world, second) == []
    assert len(wrong(project, world, first)) == 60


def test_agent_may_be_repeated(etl: Command, project: Project, world: World) -> None:
    first, second = world.agent_ids()

    done = etl("sync", "--agent", first, "--agent", second, "--agent", first, "--json")

    assert [one["agent_id"] for one in done.json["agents"]] == [first, second]


def test_an_agent_that_is_not_configured(etl: Command, world: World) -> None:
    etl("sync", "--agent", "stranger").fails(2, "'stranger' is not configured", *world.agent_ids())


def test_a_mistyped_agent_is_told_which_one_was_meant(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    first, second = world.agents()
    meant = f"did you mean {first.id} ({first.name})?"
    etl("sync", "--agent", f" {first.id} ")

    etl("sync", "--agent", first.id[:-1]).fails(2, f"did you mean {first.id}?")
    etl("runs", "--agent", first.id.swapcase()).fails(2, meant)
    etl("runs", "--agent", f"{first.name}s").fails(2, meant)
    project.configure(api.base_url, [], discovery={"own": True})
    etl("sync", "--agent", second.name).fails(2, f"did you mean {second.id}", "agents")


def test_since_and_until_bound_a_backfill(etl: Command, project: Project, world: World) -> None:
    agent = world.agent_ids()[0]
    instants = sorted(instant(s["created_at"]) for s in world.sessions(agent))
    since, until = instants[30], instants[45]
    bounds = ("--since", since.isoformat(), "--until", until.isoformat())

    assert etl("backfill", "--agent", agent, *bounds).code == 0

    store = project.store()
    stored = [row["created_at"] for row in stored_sessions(store, agent).values()]
    store.close()
    assert [at for at in instants if since <= at < until and at not in stored] == []
    assert len(stored) < 60


def test_a_reconcile_goes_down_to_where_backfills_of_parts_have_reached(
    etl: Command, project: Project, world: World
) -> None:
    agent = world.agent_ids()[0]
    instants = sorted(instant(s["created_at"]) for s in world.sessions(agent))
    first, second = instants[30].isoformat(), instants[15].isoformat()
    etl("backfill", "--agent", agent, "--since", first)
    etl("backfill", "--agent", agent, "--since", second, "--until", first)
    etl("backfill", "--agent", agent, "--until", second)
    oldest = world.sessions(agent)[-1]["id"]
    world.change(oldest, name="Renamed")

    assert etl("reconcile", "--agent", agent).code == 0

    store = project.store()
    assert stored_sessions(store, agent)[oldest]["name"] == "Renamed"
    store.close()


@pytest.mark.parametrize("command", ["backfill", "reconcile", "sync"])
def test_history_begins_where_the_configuration_says(
    etl: Command, project: Project, api: Simulator, world: World, command: str
) -> None:
    agent = world.agent_ids()[0]
    middle = sorted(instant(s["created_at"]) for s in world.sessions(agent))[30]
    project.configure(api.base_url, [agent], sync={"since": middle.isoformat()})

    assert etl(command).code == 0

    with closing(project.store()) as store:
        assert store.load_state(agent).history_from == middle
    etl("backfill", "--until", "2020-01-01").fails(2, "sync.since", "--until")


@pytest.mark.parametrize("since", ["30d", "2w", "2026-05-01", "2026-05-01T12:00:00+02:00"])
def test_since_may_be_a_date_or_an_instant_with_any_offset(etl: Command, since: str) -> None:
    assert etl("backfill", "--since", since).code == 0


def test_a_date_is_utc(etl: Command, project: Project, world: World) -> None:
    agent, day = world.agent_ids()[0], datetime.now(UTC).date() - timedelta(days=3)
    early = world.add_session(agent, created_at=f"{day - timedelta(days=1)}T23:59:59Z")
    late = world.add_session(agent, created_at=f"{day}T00:00:00Z")

    etl("backfill", "--since", str(day), "--agent", agent, TZ="Asia/Tokyo")

    state = project.store()
    from_then = state.load_state(agent).history_from
    held = stored_sessions(state, agent).keys()
    state.close()
    assert from_then == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert late in held
    assert early in {s["id"] for s in world.sessions(agent)}


@pytest.mark.parametrize(
    "words",
    [
        ("--since", "yesterday"),
        ("--since", "2026-13-01"),
        ("--since", "99999999999d"),
        ("--until", "12"),
        ("--since", "2026-05-01", "--until", "2026-04-01"),
    ],
    ids=" ".join,
)
def test_bounds_that_cannot_be_meant_are_a_usage_error(
    etl: Command, api: Simulator, words: tuple[str, ...]
) -> None:
    done = etl("backfill", *words)

    assert done.code == 2
    assert done.err.startswith("error: ")
    assert api.requests == []


def test_a_second_backfill_walks_nothing_again(etl: Command) -> None:
    etl("backfill")

    again = etl("backfill", "--json").json["agents"]

    assert [(one["inserted"], one["updated"]) for one in again] == [(0, 0), (0, 0)]
    assert all(one["seen"] <= 40 for one in again)


def test_restart_walks_it_all_again(etl: Command, project: Project, world: World) -> None:
    etl("backfill")
    old = world.sessions(world.agent_ids()[0])[-1]["id"]
    world.change(old, name="renamed long after")
    assert wrong(project, world) != []

    again = etl("backfill", "--restart", "--json").json["agents"]

    assert [one["seen"] for one in again] == [60, 60]
    assert wrong(project, world) == []


def test_a_reconcile_repairs_what_no_sync_can_see(
    etl: Command, project: Project, world: World
) -> None:
    etl("backfill")
    old = world.sessions(world.agent_ids()[0])[-1]["id"]
    world.change(old, name="renamed long after")
    etl("sync")

    done = etl("reconcile", "--json")

    assert sum(one["updated"] for one in done.json["agents"]) == 1
    assert wrong(project, world) == []


def test_a_failing_agent_does_not_stop_the_others(
    project: Project, api: Simulator, world: World
) -> None:
    first, second = world.agent_ids()
    api.add_fault(Fault("status", path=first, status=500, times=None))

    done = project.run("backfill")

    done_lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 1
    assert len(done_lines) == 1
    assert done_lines[0].startswith(f"error: {first}: ")
    assert wrong(project, world, second) == []
    assert len(wrong(project, world, first)) == 60


def test_rejected_records_alone_are_a_warning(etl: Command, project: Project, world: World) -> None:
    agent = world.agent_ids()[0]
    first, second = (world.sessions(agent)[n]["id"] for n in (30, 31))
    world.change(first, usage="oops")
    world.change(second, agent_id="another")

    done = etl("backfill", "--agent", agent)

    assert done.code == 0
    assert f"warning: {agent}: 1 record set aside" in done.err
    partial = f"warning: {agent}: 1 record stored without fields that could not be read"
    assert partial in done.err


def test_a_field_that_cannot_be_read_any_more_is_exit_code_1(
    etl: Command, api: Simulator, world: World
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("drift", fields={"created_at": "words", "name": "list"}, times=None))

    done = etl("backfill", "--agent", agent)

    assert done.code == 1
    assert "created_at (60)" in done.err
    (shown,) = [one for one in etl("status", "--json").json["agents"] if one["agent_id"] == agent]
    assert (shown["sessions"], shown["rejected"], shown["partial"]) == (60, 0, 60)
    assert shown["unread_fields"]["created_at"] == 60
    assert "60 sessions stored without fields: created_at (60)" in etl("status").out


def test_a_list_cut_short_is_exit_code_1(etl: Command, api: Simulator, world: World) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("null_cursor", after=1, times=None))

    done = etl("backfill", "--agent", agent, "--json")

    assert (done.code, done.json["status"]) == (1, "incomplete")
    assert done.json["agents"][0]["watermark"] is None


def test_explain_sends_nothing(etl: Command, api: Simulator, world: World) -> None:
    etl("backfill")
    api.clear_requests()

    done = etl("sync", "--explain")

    assert (done.code, done.err) == (0, "")
    assert [agent for agent in world.agent_ids() if agent not in done.out] == []
    assert api.requests == []


def test_explain_needs_no_credential_and_changes_nothing(etl: Command, project: Project) -> None:
    etl("backfill")
    before = etl("runs", "--json").out, etl("status", "--json").json["agents"][0]["coverage"]

    assert etl("sync", "--explain", GUMLOOP_ACCESS_TOKEN="").code == 0

    after = etl("runs", "--json").out, etl("status", "--json").json["agents"][0]["coverage"]
    assert after == before


def test_explain_before_the_first_sync(etl: Command, api: Simulator) -> None:
    done = etl("sync", "--explain")

    assert (done.code, done.err, api.requests) == (0, "", [])
    assert done.out.startswith(
        "This is the first sync: it makes the tables in sqlite:///gumloop.db"
    )
    assert done.out.count("walk the end of history ..") == 2
    assert done.out.count("a request for every 20 of them") == 2


def test_explain_before_the_first_sync_knows_where_history_begins(
    etl: Command, project: Project
) -> None:
    etl("sync", "--explain", ETL_SYNC__SINCE="2026-02-03", ETL_DATABASE__URL="sqlite:///empty.db")
    (project.folder / "empty.db").touch()

    done = etl(
        "sync", "--explain", ETL_SYNC__SINCE="2026-02-03", ETL_DATABASE__URL="sqlite:///empty.db"
    )

    assert done.out.count("walk 2026-02-03 00:00:00 ..") == 2
    assert (project.folder / "empty.db").read_bytes() == b""


def test_the_credential_may_come_from_a_file(etl: Command, project: Project) -> None:
    file = project.folder.parent / "token"
    file.write_text(f"{project.env['GUMLOOP_ACCESS_TOKEN']}\n")

    done = etl("sync", GUMLOOP_ACCESS_TOKEN="", GUMLOOP_ACCESS_TOKEN_FILE=str(file))

    assert done.code == 0


def test_an_api_key_with_its_user(etl: Command) -> None:
    key = {"GUMLOOP_API_KEY": "sim-key", "GUMLOOP_USER_ID": "user_sim"}

    assert etl("sync", GUMLOOP_ACCESS_TOKEN="", **key).code == 0


def test_settings_and_agents_from_the_environment(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    project.write("")
    one = world.agent_ids()[1]

    done = etl(
        *("sync", "--json"),
        GUMLOOP_BASE_URL=api.base_url,
        ETL_AGENTS=one,
        ETL_API__PAGE_SIZE="15",
        ETL_DATABASE__URL="sqlite:///elsewhere.db",
    )

    assert [agent["agent_id"] for agent in done.json["agents"]] == [one]
    assert "page_size=15" in api.requests[0].query
    assert {"elsewhere.db"} <= project.files().keys()


def test_verify_tells_of_a_clock_that_is_off(etl: Command, api: Simulator) -> None:
    etl("backfill")
    api.adopt(Traits(clock_ahead=90))

    assert "warning: " in etl("verify").err


def test_explain_says_that_its_sum_is_without_transcripts(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    etl("backfill")
    assert "without the transcripts" not in etl("sync", "--explain").out

    project.configure(api.base_url, world.agent_ids(), sync={"transcripts": True})

    assert "without the transcripts" in etl("sync", "--explain").out
