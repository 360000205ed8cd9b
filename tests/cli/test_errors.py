"""What can be wrong, told in one sentence with a hint, under the right exit code."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from etl.simulator import Fault, Simulator, World
from tests.cli.conftest import Command, is_root
from tests.process.project import SECRET, Project
from tests.support.audit import differences
from tests.support.postgres import Cluster, free_port

RUNS = ["sync", "backfill", "reconcile", "run"]
READS = ["status", "runs"]


@pytest.mark.parametrize("command", [*RUNS, *READS, "check", "list x", "db current", "db timezone"])
def test_there_is_no_configuration(etl: Command, project: Project, command: str) -> None:
    (project.folder / "config.toml").unlink()

    etl(*command.split()).fails(2, "config.toml", "python -m etl init")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[api\n", ["not valid TOML", "line 1"]),
        ("agents = [[[", ["not valid TOML"]),
        ("[sync]\n[sync]", ["not valid TOML", "may appear only once"]),
        ("[sync]\nsince = 'gestern'", ["sync.since", "2026-05-01"]),
        ("[sync]\nsince = 2999-01-01", ["sync.since", "in the future"]),
        ("[api]\nconcurrency = 1000", ["api.concurrency", "256"]),
        ("url = hello", ["not valid TOML"]),
        ("[database]\nurI = 'x'", ["unknown key database.urI", "did you mean url"]),
        ("[databas]\nurl = 'x'", ["unknown key [databas]", "did you mean database"]),
        ("[[agents]]\nid = 'a'\nteam = 'b'", ["unknown key agents.team"]),
        ("[api]\npage_size = 500", ["api.page_size", "100"]),
        ("[api]\npage_size = 'many'", ["api.page_size", "integer"]),
        ("[api]\ntimeout = 0", ["api.timeout"]),
        ("[api]\nmax_attempts = 0", ["api.max_attempts"]),
        ("api = 3", ["api", "table"]),
        ("[[api]]\ntimeout = 3", ["api", "table"]),
        ("agents = 'a,b'", ["agents", "list"]),
        ("[agents]\nid = 'a'", ["agents", "list"]),
        ("[[agents]]\nname = 'no id'", ["agents", "id"]),
        ("[[agents]]\nid = ''", ["agents", "id"]),
        ("[[agents]]\nid = 'a'\n[[agents]]\nid = 'a'", ["'a' is listed twice"]),
        ("[sync]\nlookback = 'soon'", ["sync.lookback", "15m"]),
        ("[sync]\nlookback = 60", ["sync.lookback", "15m"]),
        ("[schedule]\nevery = '0s'", ["schedule.every"]),
        ("[api]\nbase_url = 'http://api.example.com/v1'", ["plain http", "https"]),
        ("[api]\nbase_url = 'ftp://api.example.com'", ["base_url"]),
        ("[api]\nbase_url = 'api.example.com'", ["base_url", "https://"]),
        ("[api]\nbase_url = 'https://me:pw@api.example.com'", ["base_url", "password"]),
        ("[database]\nurl = 'mysql://x/y'", ["database.url", "mysql", "sqlite:///"]),
        ("[database]\nurl = 'what'", ["database.url", "sqlite:///"]),
        ("[database]\nurl = 'sqlite://'", ["database.url", "sqlite:///"]),
    ],
)
def test_a_configuration_that_is_wrong(
    etl: Command, project: Project, api: Simulator, text: str, words: list[str]
) -> None:
    others = "" if "agents" in text else "[[agents]]\nid = 'a'\n"
    project.write(f"{text}\n{others}")

    done = etl("sync")

    assert done.code == 2, done
    assert done.err.startswith("error: ")
    assert [word for word in words if word.lower() not in done.err.lower()] == [], done.err
    assert api.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETL_API__TIMOUT", "3"),
        ("ETL_NONSENSE__KEY", "3"),
        ("ETL_API__PAGE_SIZE", "many"),
        ("ETL_SYNC__LOOKBACK", "soon"),
        ("ETL_AGENTS__ID", "x"),
        ("ETL_AGENTS", "a,a"),
        ("GUMLOOP_BASE_URL", "http://api.example.com"),
    ],
)
def test_an_environment_that_is_wrong(etl: Command, name: str, value: str) -> None:
    done = etl("sync", **{name: value})

    assert done.code == 2
    assert done.err.startswith("error: ")


def test_a_table_that_is_none_with_a_key_from_the_environment(
    etl: Command, project: Project
) -> None:
    project.write("api = 3")

    done = etl("sync", ETL_API__TIMEOUT="3")

    assert done.code == 2
    assert "api" in done.err


def test_plain_http_to_this_machine_is_fine(etl: Command, api: Simulator) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = api.base_url.replace("127.0.0.1", host)
        assert etl("sync", GUMLOOP_BASE_URL=url).code == 0


@pytest.mark.parametrize("command", [*RUNS, "list x"])
def test_there_is_no_credential(etl: Command, api: Simulator, command: str) -> None:
    done = etl(*command.split(), GUMLOOP_ACCESS_TOKEN="")

    done.fails(2, "credential", "GUMLOOP_ACCESS_TOKEN", "GUMLOOP_API_KEY")
    assert api.requests == []


def test_a_credential_file_that_is_not_there(etl: Command) -> None:
    done = etl("sync", GUMLOOP_ACCESS_TOKEN="", GUMLOOP_ACCESS_TOKEN_FILE="/nowhere/token")

    assert done.code == 2
    assert "/nowhere/token" in done.err


def test_a_credential_with_a_line_break(etl: Command) -> None:
    done = etl("sync", GUMLOOP_ACCESS_TOKEN=f"{SECRET}\nX-Evil: 1")

    assert done.code == 2
    assert "GUMLOOP_ACCESS_TOKEN" in done.err


@pytest.mark.parametrize("command", ["sync", "backfill", "reconcile", "list"])
def test_a_refused_credential(project: Project, world: World, command: str) -> None:
    agent = world.agent_ids()[0]
    words = (command, agent) if command == "list" else (command, "--agent", agent)

    done = project.run(*words, GUMLOOP_ACCESS_TOKEN="refused-never-shown")

    done.fails(1, "401", "GUMLOOP_ACCESS_TOKEN")
    assert "refused-never-shown" not in done.out + done.err
    assert not any(b"refused-never-shown" in text for text in project.files().values())


def test_a_server_that_echoes_the_credential(etl: Command, api: Simulator, world: World) -> None:
    message = f"Bearer {SECRET} is not welcome"
    api.add_fault(Fault("status", status=401, message=message, code=SECRET, times=None))

    done = etl("sync", "--agent", world.agent_ids()[0])

    done.fails(1, "401")
    assert SECRET not in etl("status", "--json").out + etl("runs").out


@pytest.mark.parametrize(
    ("form", "words"),
    [(1, ["forbidden"]), (2, []), (3, []), (4, []), ("html", []), ("empty", [])],
)
def test_no_right_to_read_an_agent(
    etl: Command, api: Simulator, world: World, form: object, words: list[str]
) -> None:
    api.add_fault(Fault("status", status=403, shape=form, code="forbidden", times=None))

    done = etl("sync", "--agent", world.agent_ids()[0])

    done.fails(1, "403", "GUMLOOP_TEAM_ID", *words)
    assert len(api.requests) == 1


def test_an_agent_that_the_api_does_not_know(
    etl: Command, project: Project, api: Simulator
) -> None:
    project.configure(api.base_url, ["no/such agent?"])

    etl("sync").fails(1, "404", "no/such agent?", "check the id")

    assert api.requests[0].path.endswith("/agents/no%2Fsuch%20agent%3F/sessions")


def test_the_others_go_on_beside_an_agent_that_is_not_there(
    etl: Command, project: Project, api: Simulator, world: World
) -> None:
    known = world.agent_ids()[0]
    project.configure(api.base_url, ["nobody", known])

    assert etl("backfill").code == 1

    store = project.store()
    assert differences(store, world.sessions(known), known) == []
    store.close()


def test_an_unreachable_host(etl: Command, project: Project) -> None:
    project.configure(f"http://127.0.0.1:{free_port()}/api/v1", ["any"])

    for words in (["sync"], ["list", "any"]):
        etl(*words, ETL_API__MAX_ATTEMPTS="1").fails(1, "127.0.0.1", "reached", "base_url")


def test_a_server_that_only_fails(etl: Command, api: Simulator, world: World) -> None:
    api.add_fault(Fault("status", status=502, shape="html", times=None))

    etl("sync", "--agent", world.agent_ids()[0]).fails(1, "502")


def test_a_server_that_redirects(etl: Command, api: Simulator, world: World) -> None:
    there = {"Location": "http://127.0.0.1:9/elsewhere"}
    api.add_fault(Fault("status", status=302, shape="empty", headers=there, times=None))

    etl("sync", "--agent", world.agent_ids()[0]).fails(1, "302", "redirects", "base_url")


def test_no_agents_are_configured(etl: Command, project: Project, api: Simulator) -> None:
    project.configure(api.base_url, [])

    for command in RUNS:
        etl(command).fails(2, "no agents are configured", "[[agents]]")


def test_a_cron_line_that_is_none(etl: Command) -> None:
    etl("run", ETL_SCHEDULE__CRON="every day").fails(2, "schedule.cron", "*/15 * * * *")


# -- the database ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [*RUNS, "db upgrade"])
@pytest.mark.parametrize("url", ["sqlite:///nowhere/x.db", "sqlite:///config.toml/x.db"])
def test_a_database_in_no_folder(etl: Command, api: Simulator, command: str, url: str) -> None:
    etl(*command.split(), ETL_DATABASE__URL=url).fails(1, "unable to open", "can the folder")

    assert api.requests == []


@pytest.mark.parametrize("command", [*READS, "db current"])
@pytest.mark.parametrize("url", ["sqlite:///nowhere/x.db", "sqlite:///config.toml/x.db"])
def test_looking_into_a_database_in_no_folder(etl: Command, command: str, url: str) -> None:
    etl(*command.split(), ETL_DATABASE__URL=url).fails(1, "x.db")


@pytest.mark.skipif(is_root, reason="nothing is unwritable for root")
def test_a_folder_that_cannot_be_written(etl: Command, project: Project) -> None:
    folder = project.folder / "locked"
    folder.mkdir(mode=0o500)

    etl("sync", ETL_DATABASE__URL="sqlite:///locked/x.db").fails(1, "locked", "be written")


@pytest.mark.parametrize("command", [*RUNS, *READS, "db upgrade"])
def test_a_file_that_is_no_database(etl: Command, project: Project, command: str) -> None:
    (project.folder / "gumloop.db").write_bytes(b"certainly no database\n" * 200)

    etl(*command.split()).fails(1, "not a database", "another kind")

    assert (project.folder / "gumloop.db").read_bytes().startswith(b"certainly")


@pytest.mark.parametrize("command", [*RUNS, *READS, "db upgrade", "check"])
def test_a_newer_schema(etl: Command, project: Project, api: Simulator, command: str) -> None:
    _as_schema(etl, project, "9999")

    done = etl(*command.split())

    assert done.code in (1, 2) if command == "check" else done.code == 2
    assert "9999" in done.out + done.err
    assert "hint: " in done.out + done.err
    assert [request for request in api.requests if command != "check"] == []


@pytest.mark.parametrize("command", [*RUNS, *READS])
def test_an_older_schema(etl: Command, api: Simulator, command: str) -> None:
    etl("db", "upgrade")
    assert etl("db", "downgrade", "0001", "--yes").code == 0

    etl(*command.split()).fails(2, "0001", "python -m etl db upgrade")

    assert api.requests == []


@pytest.mark.parametrize("command", ["sync", "backfill", "reconcile"])
def test_migrate_upgrades_an_older_schema(etl: Command, command: str) -> None:
    etl("db", "upgrade")
    etl("db", "downgrade", "0001", "--yes")

    assert etl(command, "--migrate").code == 0
    assert etl("status").code == 0


def _as_schema(etl: Command, project: Project, revision: str) -> None:
    assert etl("db", "upgrade").code == 0
    with sqlite3.connect(project.folder / "gumloop.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


def test_a_postgres_that_is_not_there(etl: Command) -> None:
    url = f"postgresql://me:secretword@127.0.0.1:{free_port()}/etl"

    done = etl("sync", ETL_DATABASE__URL=url)

    done.fails(1, "refused", "is PostgreSQL running")
    assert "secretword" not in done.out + done.err


def test_a_postgres_database_that_is_not_there(etl: Command, postgres: Cluster) -> None:
    url = postgres.admin_url.rsplit("/", 1)[0] + "/no_such_database"

    etl("sync", ETL_DATABASE__URL=url).fails(1, "does not exist", "create the database")


def test_another_program_holds_the_file(
    etl: Command, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from etl.store.schema import engine

    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 50)
    assert etl("backfill").code == 0
    holding = sqlite3.connect(project.folder / "gumloop.db", isolation_level=None)
    holding.execute("BEGIN EXCLUSIVE")

    done = etl("sync")

    holding.close()
    assert done.code == 1
    assert "locked" in done.err
    assert (project.folder / "gumloop.db").exists()


@pytest.mark.parametrize(
    ("table", "key", "value", "words"),
    [
        ("sync", "since", "gestern", ["sync.since", "30d"]),
        ("schedule", "cron", "nonsense", ["schedule.cron", "five fields"]),
        ("schedule", "cron", "0 0 31 2 *", ["never comes"]),
        ("schedule", "reconcile", "never", ["schedule.reconcile", "off"]),
    ],
)
def test_check_tells_what_run_would_refuse(
    etl: Command,
    project: Project,
    api: Simulator,
    world: World,
    table: str,
    key: str,
    value: str,
    words: list[str],
) -> None:
    project.configure(api.base_url, world.agent_ids(), **{table: {key: value}})

    done = etl("check")

    assert done.code == 2
    [line] = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert [word for word in words if word not in done.out] == [], line


@pytest.mark.parametrize("command", ["sync", "check", "db upgrade"])
def test_a_file_of_another_program(etl: Command, project: Project, command: str) -> None:
    file = project.folder / "gumloop.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE sessions (mine text)")
    other.close()

    done = etl(*command.split())

    assert done.code == 2
    assert "a table 'sessions' that isn't ours" in done.out + done.err
    assert "database.url" in done.out + done.err


@pytest.mark.parametrize("command", ["status", "runs", "check", "search x", "export"])
@pytest.mark.parametrize(("revision", "hint"), [("0001", "db upgrade"), ("0099", "newer")])
def test_a_database_of_another_schema(
    etl: Command, project: Project, command: str, revision: str, hint: str
) -> None:
    assert etl("db", "upgrade").code == 0
    with sqlite3.connect(project.folder / "gumloop.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()

    done = etl(*command.split())

    assert done.code == 2
    assert revision in done.out + done.err
    assert hint in done.out + done.err


def test_asking_for_the_time_zone_makes_no_database(etl: Command, project: Project) -> None:
    etl("db", "timezone").fails(1, "there is no database")

    assert project.files().keys() == {"config.toml"}


@pytest.mark.parametrize("command", ["runs", "list x", "search x"])
@pytest.mark.parametrize("limit", ["0", "-1", "1e3", "\u0661"])
def test_a_limit_that_is_no_positive_number_is_a_usage_error(
    etl: Command, command: str, limit: str
) -> None:
    done = etl(*command.split(), f"--limit={limit}")

    assert done.code == 2
    assert "whole number of 1 or more" in done.err


@pytest.mark.parametrize("command", ["runs --limit", "verify --sample", "search x --limit"])
def test_a_huge_limit_is_accepted(etl: Command, command: str) -> None:
    etl("backfill")

    assert etl(*command.split(), "9" * 25).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", ["status", "runs", "check"])
def test_names_that_the_output_has_no_letters_for(
    project: Project, world: World, encoding: str, command: str
) -> None:
    world.add_session(world.agent_ids()[0], agent_name="Отчёты \N{ROCKET}")
    project.run("backfill")

    done = project.run(command, PYTHONIOENCODING=encoding)

    assert done.code == 0


@pytest.mark.parametrize("words", [["status"], ["runs", "--json"]])
def test_output_to_a_full_disk(project: Project, words: list[str]) -> None:
    project.run("backfill")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = subprocess.run(
            [sys.executable, "-m", "etl", *words],
            cwd=project.folder,
            env=project.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert process.returncode == 1
    said = "error: the output can't be written: the disk is full\nhint: make room\n"
    assert process.stderr == said


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "code"), [("sync", 1), ("status", 2), ("nonsense", 2), ("search nothing", 0)]
)
def test_complaints_to_a_full_disk(
    project: Project, words: str, code: int, unbuffered: str
) -> None:
    project.run("db", "upgrade")
    project.env["GUMLOOP_BASE_URL"] = f"http://127.0.0.1:{free_port()}"
    if words == "status":
        (project.folder / "config.toml").unlink()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = subprocess.run(
            [sys.executable, "-m", "etl", *words.split()],
            cwd=project.folder,
            env=project.environment(PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=full,
            check=False,
        )

    assert process.returncode == code


def test_output_that_is_closed(project: Project) -> None:
    project.run("backfill")
    command = f"exec {sys.executable} -m etl status >&-"

    done = subprocess.run(
        ["sh", "-c", command],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_record_that_is_no_json_does_not_stop_a_list(
    etl: Command, api: Simulator, world: World
) -> None:
    agent = world.agent_ids()[0]
    world.add_session(agent, id="sess_half", name="\ud800 lone")

    done = etl("list", agent)

    assert done.code == 0
    assert "61 sessions" in done.err
