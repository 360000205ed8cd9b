"""`db` and `demo`."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from etl.service.runs import Service
from etl.store.schema import migrate
from tests.cli.conftest import Command, at_a_terminal
from tests.process.project import REPOSITORY, Project
from tests.support.waiting import PATIENCE


def test_upgrade_current_downgrade(project: Project) -> None:
    project.run("db", "current").fails(1, "there is no database")
    assert f"schema {migrate.HEAD} (the newest)" in project.run("db", "upgrade").out
    assert f"schema {migrate.HEAD} (the newest)" in project.run("db", "current").out

    down = project.run("db", "downgrade", "base", "--yes")

    assert (down.code, down.err) == (0, "")
    assert "schema none" in project.run("db", "current").out


def test_upgrading_twice_is_fine(etl: Command) -> None:
    assert etl("db", "upgrade").code == etl("db", "upgrade").code == 0


def test_a_sync_after_a_downgrade_begins_anew(etl: Command) -> None:
    etl("backfill")
    etl("db", "downgrade", "base", "--yes")

    assert [one["inserted"] for one in etl("sync", "--json").json["agents"]] == [60, 60]


def test_migrate_is_welcome_where_nothing_is_to_migrate(etl: Command) -> None:
    assert etl("sync", "--migrate").code == etl("sync", "--migrate").code == 0


@pytest.mark.parametrize("revision", ["nonsense", "9999"])
def test_a_downgrade_to_what_is_not_there(etl: Command, revision: str) -> None:
    etl("db", "upgrade")

    done = etl("db", "downgrade", revision, "--yes")

    assert done.code == 2
    assert revision in done.err


def test_without_a_terminal_a_downgrade_wants_a_yes(etl: Command) -> None:
    etl("backfill")

    etl("db", "downgrade", "base").fails(2, "no terminal", "--yes")

    assert f"schema {migrate.HEAD}" in etl("db", "current").out


@pytest.mark.parametrize(("typed", "code"), [(b"\n", 1), (b"\x04", 1), (b"y\n", 0)])
def test_only_yes_drops_what_is_stored(
    etl: Command, project: Project, typed: bytes, code: int
) -> None:
    etl("backfill")

    found, said = at_a_terminal(project, typed, "db", "downgrade", "base")

    assert found == code
    assert "Drop every table with all that is stored? It can't be undone. [y/N]" in said
    assert (etl("status").code == 0) == (code == 1)


def test_a_downgrade_of_an_empty_database(etl: Command) -> None:
    etl("db", "downgrade", "base", "--yes").fails(1, "no database")


def test_asking_for_the_zone_makes_no_database(etl: Command, project: Project) -> None:
    etl("db", "timezone").fails(1, "no database")
    (project.folder / "gumloop.db").touch()
    etl("db", "timezone").fails(2)

    assert "schema none" in etl("db", "current").out


def test_the_zone_of_the_views_is_set_and_told(etl: Command) -> None:
    etl("backfill")
    assert etl("db", "timezone").out.endswith("the views show the days of UTC\n")

    assert etl("db", "timezone", "Asia/Kathmandu").code == 0
    assert etl("db", "timezone").out.endswith("the days of Asia/Kathmandu\n")
    assert etl("db", "timezone", "Asia/Kathmandu").code == 0
    assert [one["updated"] for one in etl("sync", "--json").json["agents"]] == [0, 0]


NO_ZONES = ["Mars/Olympus", "Europe", "", "../../etc/passwd", "/etc", "a\0b", "x" * 5000, "💥"]


@pytest.mark.parametrize("name", NO_ZONES)
def test_a_zone_that_there_is_not(etl: Command, project: Project, name: str) -> None:
    etl("db", "timezone", name).fails(2, "there is no time zone", "europe/berlin")

    assert not (project.folder / "gumloop.db").exists()


def test_a_zone_for_an_older_schema(etl: Command) -> None:
    etl("db", "upgrade")
    etl("db", "downgrade", "0002", "--yes")

    etl("db", "timezone", "Europe/Berlin").fails(2, "0002", "db upgrade")


@pytest.fixture(scope="module")
def demo(
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """The demo, run once as a process under a watch on what it connects to."""
    folder = tmp_path_factory.mktemp("demo")
    code = f"import sys; sys.addaudithook(lambda name, args: {WATCH}); {MAIN}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return folder, done


WATCH = (
    "name in ('socket.connect', 'socket.bind', 'socket.getaddrinfo', 'os.posix_spawn', 'os.fork', "
    "'subprocess.Popen') and sys.stderr.write(f'WATCH {name} {args}\\n')"
)
MAIN = "from etl import cli; sys.exit(cli.main(['demo']))"


def test_the_demo_shows_what_came_of_it(
    demo: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    _, done = demo

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for wanted in ("etl backfill", "etl sync", "etl status", "Credits per agent", "python -m etl"):
        assert wanted in done.stdout, wanted


def test_the_demo_leaves_a_database_and_nothing_else(
    demo: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    folder, _ = demo

    with sqlite3.connect(folder / "gumloop-demo.db") as connection:
        counts = connection.execute("SELECT count(*), count(DISTINCT agent_id) FROM sessions")
        sessions, agents = counts.fetchone()
        statuses = connection.execute("SELECT DISTINCT status FROM sync_runs").fetchall()
    connection.close()
    left = {path.name.removesuffix("-wal").removesuffix("-shm") for path in folder.iterdir()}
    assert (sessions > 4000, agents >= 2) == (True, True)
    assert statuses == [("succeeded",)]
    assert left == {"gumloop-demo.db"}


def test_the_demo_stays_on_this_machine(
    demo: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    _, done = demo
    watched = [line for line in done.stderr.splitlines() if line.startswith("WATCH")]

    assert any("socket.connect" in line for line in watched)
    assert [line for line in watched if "127.0.0.1" not in line] == []


def test_an_interrupted_demo_ends_there(etl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = Service.sync

    def interrupt_and_sync(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return sync(*given)

    monkeypatch.setattr(Service, "sync", interrupt_and_sync)

    done = etl("demo")

    assert done.code == 130
    assert done.out.count("backfill interrupted") > 0
    assert "Time passes" not in done.out and "etl sync" not in done.out


def test_the_demo_takes_no_file_that_is_not_its_own(etl: Command, project: Project) -> None:
    (project.folder / "mine.db").write_bytes(b"precious")

    etl("demo", "--database", "mine.db").fails(2, "mine.db exists", "another --database")

    assert (project.folder / "mine.db").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["file:x.db", "sqlite:///x.db", "mo%3F.db", "mo?.db", "pipe"])
def test_the_demo_wants_the_plain_name_of_a_file(etl: Command, project: Project, name: str) -> None:
    os.mkfifo(project.folder / "pipe")
    before = project.files()

    etl("demo", "--database", name).fails(2, "another --database")

    assert project.files() == before


def test_the_demo_in_a_folder_that_is_not_there(etl: Command) -> None:
    etl("demo", "--database", "nowhere/x.db").fails(1, "unable to open")
