"""`init` and `check`: the first two commands of a newcomer."""

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from etl.cli.start import check
from etl.input.config_file import read_settings
from etl.simulator import Fault, Simulator, World
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.postgres import free_port


def test_init_writes_a_configuration_that_loads(project: Project) -> None:
    config = project.folder / "config.toml"
    config.unlink()

    done = project.run("init")

    assert done.code == 0
    assert "config.toml" in done.out
    assert read_settings(config, {}).agents == ()
    assert {"api", "database", "sync", "schedule"} <= tomllib.loads(config.read_text()).keys()


def test_init_never_overwrites(etl: Command, project: Project) -> None:
    before = project.files()

    etl("init").fails(2, "config.toml exists")

    assert project.files() == before


def test_init_writes_where_it_is_told(etl: Command, project: Project) -> None:
    done = etl("--config", "other.toml", "init")
    assert done.code == 0 and "--config other.toml check" in done.err
    assert etl("init", ETL_CONFIG="third.toml").code == 0
    assert {"other.toml", "third.toml"} <= project.files().keys()


def test_init_in_a_folder_that_is_not_there(etl: Command) -> None:
    done = etl("--config", "nowhere/config.toml", "init")

    assert done.code == 2
    assert "nowhere/config.toml" in done.err


def test_check_finds_all_in_order(project: Project, world: World) -> None:
    done = project.run("check")

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert all(line.startswith("ok ") for line in lines), done.out
    for wanted in ("configuration", "credential", "database", *world.agent_ids()):
        assert any(wanted in line for line in lines), wanted


def test_check_changes_nothing(etl: Command, project: Project, api: Simulator) -> None:
    before = project.files()

    assert etl("check").code == 0

    assert project.files() == before
    assert {request.method for request in api.requests} == {"GET"}


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_check_changes_no_database_that_is_there(
    etl: Command, project: Project, journal: str
) -> None:
    assert etl("backfill").code == 0
    file = project.folder / "gumloop.db"
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
    connection.close()
    before = file.read_bytes()

    assert etl("check").code == 0

    assert file.read_bytes() == before


def test_check_leaves_an_empty_file_empty(etl: Command, project: Project) -> None:
    (project.folder / "gumloop.db").touch()

    assert etl("check").code == 0

    assert (project.folder / "gumloop.db").read_bytes() == b""


def test_check_as_json(etl: Command) -> None:
    found = etl("check", "--json").json

    assert found["ok"] is True
    assert {"what", "ok", "message", "hint"} == set(found["checks"][0])


def test_check_with_a_wrong_token(etl: Command, world: World) -> None:
    done = etl("check", GUMLOOP_ACCESS_TOKEN="wrong-and-never-shown")

    assert done.code == 1
    assert done.out.count("FAIL") == 2
    assert "401" in done.out
    assert "hint: check GUMLOOP_ACCESS_TOKEN" in done.out
    assert "wrong-and-never-shown" not in done.out + done.err


def test_check_without_a_credential(etl: Command, api: Simulator) -> None:
    done = etl("check", GUMLOOP_ACCESS_TOKEN="")

    assert done.code == 2
    assert "FAIL credential" in done.out
    assert "GUMLOOP_API_KEY" in done.out
    assert api.requests == []


def test_check_asks_twice_and_shows_each_finding_at_once(
    etl: Command, world: World, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(check, "_print_finding", lambda _: asked.append(len(api.requests)))
    first, _ = world.agent_ids()
    api.add_fault(Fault("status", path=first, status=503, times=None))

    done = etl("check", ETL_API__MAX_ATTEMPTS="6")

    assert done.code == 1
    assert asked == [0, 0, 0, 0, 2, 3, 3]


def test_check_with_an_unknown_agent(etl: Command, project: Project, api: Simulator) -> None:
    known = api.world.agent_ids()[0]
    project.configure(api.base_url, [known, "nobody"])

    done = etl("check")

    assert done.code == 1
    assert f"ok   agent {known}" in done.out
    assert "FAIL agent nobody" in done.out
    assert "404" in done.out
    assert "hint: " in done.out


def test_check_with_an_agent_that_is_not_ours(etl: Command, api: Simulator) -> None:
    api.add_fault(Fault("status", status=403, code="forbidden", message="No access"))

    done = etl("check")

    assert done.code == 1
    assert "403" in done.out
    assert "GUMLOOP_TEAM_ID" in done.out


def test_check_with_an_unreachable_host(etl: Command, project: Project) -> None:
    project.configure(f"http://127.0.0.1:{free_port()}", ["any"], api={"max_attempts": 1})

    done = etl("check")

    assert done.code == 1
    assert "127.0.0.1 can't be reached" in done.out
    assert "hint: check api.base_url" in done.out


@pytest.mark.parametrize("url", ["sqlite:///nowhere/x.db", "sqlite:///config.toml/x.db"])
def test_check_with_a_folder_that_cannot_be_written(
    etl: Command, project: Project, url: str
) -> None:
    before = project.files()

    done = etl("check", ETL_DATABASE__URL=url)

    assert done.code == 1
    assert "FAIL database" in done.out
    assert "hint: make the folder" in done.out
    assert project.files() == before


@pytest.mark.parametrize(
    ("content", "words"), [(b"no database" * 99, "not a database"), (None, "unable to open")]
)
def test_check_with_a_file_that_is_no_database(
    etl: Command, project: Project, content: bytes | None, words: str
) -> None:
    path = Path(project.folder / "gumloop.db")
    path.mkdir() if content is None else path.write_bytes(content)

    done = etl("check")

    assert done.code == 1
    assert words in done.out
    assert "hint: " in done.out


def test_check_without_agents(etl: Command, project: Project, api: Simulator) -> None:
    project.configure(api.base_url, [])

    done = etl("check")

    assert done.code == 2
    assert "FAIL agents: no agents are configured" in done.out
    assert "[[agents]]" in done.out


def test_check_sees_the_tables_of_another_program(etl: Command, project: Project) -> None:
    with closing(sqlite3.connect(project.folder / "gumloop.db")) as other:
        other.execute("CREATE TABLE users (id)")

    assert "makes them, beside 1 table of another program" in etl("check").out


def test_check_has_a_hint_for_an_address_that_answers_with_a_page(
    etl: Command, api: Simulator
) -> None:
    api.add_fault(Fault("garbage", form="html", times=99))

    assert "is api.base_url the API's address?" in etl("check").out
