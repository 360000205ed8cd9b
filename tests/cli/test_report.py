"""`report`: what it writes, where, and what it says if it can't."""

import os
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.process.project import Project

PAGE = "report.html"
OLD = "<!doctype html>old"


@pytest.fixture
def synced(etl: Command, project: Project) -> Project:
    """The folder, after a backfill."""
    assert etl("backfill").code == 0
    return project


def written(project: Project) -> str:
    return (project.folder / PAGE).read_text(encoding="utf-8")


def left_over(project: Project) -> list[str]:
    return [name for name in project.files() if name.startswith(".report-")]


def test_one_file_is_written(etl: Command, synced: Project) -> None:
    done = etl("report", "--output", PAGE)

    assert (done.code, done.out) == (0, "")
    assert PAGE in done.err
    assert written(synced).startswith("<!doctype html>")
    assert written(synced).rstrip().endswith("</html>")
    assert "2 agents" in written(synced)
    assert left_over(synced) == []


def test_it_can_be_printed(etl: Command, synced: Project) -> None:
    done = synced.run("report", "--output", "-")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("<!doctype html>")
    assert PAGE not in synced.files()


def test_range_agent_and_zone(etl: Command, synced: Project) -> None:
    with closing(synced.store()) as store, store.connect() as connection:
        id, name = connection.exec_driver_sql("SELECT id, name FROM agents").first() or ("", "")
    words = ["--since", "2026-01-01", "--until", "2026-03-01", "--timezone", "Asia/Tokyo"]

    assert etl("report", "--output", PAGE, "--agent", id, *words).code == 0

    assert "1 Jan \N{EN DASH} 28 Feb 2026" in written(synced)
    assert "Asia/Tokyo" in written(synced)
    assert name in written(synced)
    assert "2 agents" not in written(synced)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--agent", "nobody<b>"], "nobody<b>"),
        (["--timezone", "Europe/Wien"], "Europe/Wien"),
        (["--timezone", "../../etc/passwd"], "time zone"),
        (["--since", "someday"], "someday"),
        (["--since", "2026-03-01", "--until", "2026-02-01"], "--since"),
    ],
)
def test_a_wish_that_makes_no_sense(
    etl: Command, synced: Project, words: list[str], said: str
) -> None:
    etl("report", "--output", PAGE, *words).fails(2, said)

    assert PAGE not in synced.files()


@pytest.mark.parametrize("word", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_no_trouble(etl: Command, synced: Project, word: str) -> None:
    words = ["--until", word] if word.startswith("9") else ["--since", word]

    assert etl("report", "--output", PAGE, "--timezone", "Pacific/Kiritimati", *words).code == 0


@pytest.mark.parametrize(
    ("output", "said"), [("there/is/none.html", "there/is"), (".", "folder"), ("/dev/full", "full")]
)
def test_a_place_that_takes_no_file(etl: Command, synced: Project, output: str, said: str) -> None:
    etl("report", "--output", output).fails(2, said)


@pytest.mark.parametrize("name", ["gumloop.db", "config.toml"])
def test_a_report_takes_the_place_of_no_other_file(
    etl: Command, synced: Project, name: str
) -> None:
    before = (synced.folder / name).read_bytes()

    etl("report", "--output", name).fails(2, f"{name} is no report", "choose another")

    assert (synced.folder / name).read_bytes() == before


def test_there_must_be_a_database(etl: Command, project: Project) -> None:
    etl("report", "--output", PAGE).fails(1, "no database")

    assert PAGE not in project.files()


@pytest.mark.parametrize("missing", ["altair", "jinja2", "vl_convert"])
def test_a_library_that_is_not_installed(
    etl: Command, project: Project, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    etl("report", "--output", PAGE).fails(2, missing, ".[report]")


def test_the_old_file_stays_if_the_new_one_cannot_be_finished(
    etl: Command, synced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (synced.folder / PAGE).write_text(OLD)
    monkeypatch.setattr(Path, "replace", full)

    etl("report", "--output", PAGE).fails(1, "No space left", "make room")

    assert written(synced) == OLD
    assert left_over(synced) == []


def full(*_: object) -> None:
    raise OSError(28, os.strerror(28))


def test_rights_are_those_of_the_file_before(etl: Command, synced: Project) -> None:
    file = synced.folder / PAGE
    file.write_text(OLD)
    file.chmod(0o600)

    assert etl("report", "--output", PAGE).code == 0

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert written(synced) != OLD
