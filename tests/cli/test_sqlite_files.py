"""The files that `database.url` can name: any character, any folder that can be written."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from urllib.parse import quote

import pytest

from etl.simulator import World
from tests.cli.conftest import Command, is_root
from tests.process.project import Project
from tests.support.audit import differences

NAMES = ("a b#c.db", "100%.db", "a%b'c.db", "Привет-日本.db", "file:x.db", "a@b:c;d&e=f.db")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name(etl: Command, project: Project, world: World, name: str) -> None:
    env = {"ETL_DATABASE__URL": f"sqlite:///{name}"}

    for words in (["check"], ["sync"], ["status"], ["export"], ["db", "compact"], ["check"]):
        done = etl(*words, **env)
        assert done.code == 0, (words, done)

    assert project.folder.joinpath(name).is_file()
    project.database = f"sqlite:///{name}"
    with closing(project.store()) as store:
        agent = world.agent_ids()[0]
        assert differences(store, world.sessions(agent), agent) == []


def test_a_question_mark_is_encoded(etl: Command, project: Project) -> None:
    """Unencoded, what follows would be taken for options, and another file for this one."""
    before = project.files()
    for words in (["check"], ["sync"], ["status"], ["db", "upgrade"]):
        done = etl(*words, ETL_DATABASE__URL="sqlite:///a?b.db")
        assert done.code == 2
        assert "%3F" in done.out + done.err
    assert project.files() == before

    assert etl("sync", ETL_DATABASE__URL=f"sqlite:///{quote('a?b.db')}").code == 0

    assert project.folder.joinpath("a?b.db").is_file()


@pytest.mark.parametrize("url", ["sqlite://folder/file.db", "sqlite://usr:xKw9v@h/file.db"])
def test_a_host_is_refused(etl: Command, url: str) -> None:
    for words in (["check"], ["sync"], ["status"]):
        done = etl(*words, ETL_DATABASE__URL=url)
        assert done.code == 2
        assert "sqlite:///FILE" in done.out + done.err
        assert "xKw9v" not in done.out + done.err


def test_the_environment_of_sqlite_changes_nothing(etl: Command, project: Project) -> None:
    env = {"SQLITE_TMPDIR": "/nowhere", "TMPDIR": "/nowhere", "SQLITE_HISTORY": "/nowhere"}

    for words in (["sync"], ["reconcile"], ["db", "compact"], ["report", "--output", "r.html"]):
        assert etl(*words, **env).code == 0, words


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_file_that_can_only_be_read(etl: Command, project: Project, what: str) -> None:
    assert etl("sync").code == 0
    file = project.folder / "gumloop.db"
    (project.folder if what == "folder" else file).chmod(0o555)
    # Root writes everywhere, unless it gives that up.
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] if is_root else []

    for words in (["sync"], ["check"]):
        command = [*drop, sys.executable, "-m", "etl", *words]
        done = subprocess.run(
            command,
            cwd=project.folder,
            env=project.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done
        assert "can't be written by this user" in done.stdout + done.stderr
        assert "bug" not in done.stderr
    project.folder.chmod(0o755)


@pytest.mark.parametrize("command", ["status", "db current", "sync"])
def test_another_programs_file_is_told_from_an_empty_one(
    etl: Command, project: Project, command: str
) -> None:
    with closing(sqlite3.connect(project.folder / "other.db")) as connection:
        connection.execute("CREATE TABLE sessions (a)")

    done = etl(*command.split(), ETL_DATABASE__URL="sqlite:///other.db")

    assert done.code == 2
    assert "has a table 'sessions' that isn't ours" in done.err


def test_a_folder_is_no_database(etl: Command, project: Project) -> None:
    (project.folder / "data").mkdir()

    done = etl("sync", ETL_DATABASE__URL="sqlite:///data")

    assert done.code == 1
    assert "hint: it is a folder: name a file in it\n" in done.err
