"""Privacy as a user meets it: `forget`, `db prune`, `db compact`, `check`, a salt that lacks."""

from contextlib import closing

import pytest
from sqlalchemy import select, update

from etl.simulator import World
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.cli.conftest import Command, at_a_terminal
from tests.process.project import Project

SALT = "a-salt-that-nobody-is-shown"
HASHED = {"ETL_PRIVACY__EMAILS": "hash", "ETL_PRIVACY__NAMES": "drop"}


@pytest.fixture
def someone(world: World) -> str:
    """A creator with sessions."""
    return next(
        session["creator"]["id"]
        for session in world.sessions(world.agent_ids()[0])
        if (session.get("creator") or {}).get("id")
    )


def creators(project: Project) -> dict[str, str | None]:
    """The stored creators and their email addresses."""
    with closing(project.store()) as store, store.connect() as connection:
        c = t.creators.c
        return {row.id: row.email for row in connection.execute(select(c.id, c.email))}


def test_without_a_terminal_forget_wants_a_yes(
    etl: Command, project: Project, someone: str
) -> None:
    etl("sync")

    etl("forget", "--creator", someone).fails(2, "no terminal", "--yes")

    assert someone in creators(project)


@pytest.mark.parametrize("typed", [b"\n", b"n\n", b"whatever\n", b"\x04"])
def test_anything_but_yes_erases_nothing(
    etl: Command, project: Project, someone: str, typed: bytes
) -> None:
    etl("sync")

    code, said = at_a_terminal(project, typed, "forget", "--creator", someone)

    assert (code, "nothing was erased" in said, "be undone" in said) == (1, True, True)
    assert someone in creators(project)


def test_yes_erases(etl: Command, project: Project, someone: str) -> None:
    etl("sync")
    address = creators(project)[someone]

    code, said = at_a_terminal(project, b"yes\n", "forget", "--creator", someone)

    assert code == 0, said
    assert "sessions made anonymous" in said and "exported files" in said
    assert address is None or address not in said
    assert someone not in creators(project)


def test_several_people_at_once_and_again(etl: Command, project: Project) -> None:
    etl("sync")
    first, second, *_ = creators(project)
    both = ("--creator", first, "--creator", second, "--yes")

    assert etl("forget", *both).code == 0

    assert not {first, second} & set(creators(project))
    again = etl("forget", *both)
    assert again.code == 0 and again.out.count("was forgotten before") == 2
    etl("reconcile")
    assert not {first, second} & set(creators(project))


def test_an_id_that_is_not_stored_is_remembered_an_address_is_refused(
    etl: Command, project: Project, someone: str
) -> None:
    etl("db", "upgrade")

    done = etl("forget", "--creator", someone, "--yes")

    assert done.code == 0 and "not stored so far" in done.out
    etl("forget", "--creator", "person0@example.com", "--yes").fails(2, "creators")
    etl("forget", "--creator", "", "--yes").fails(2, "creators")
    etl("forget", "--creator", "\udcff", "--yes").fails(2, "UTF-8")
    etl("sync")
    assert someone not in creators(project)


def test_a_name_in_place_of_an_id_is_refused_with_the_ids(etl: Command, project: Project) -> None:
    etl("backfill")
    with closing(project.store()) as store, store.connect() as connection:
        c = t.creators.c
        named = select(c.id, c.first_name, c.last_name).where(c.last_name.is_not(None))
        id, first, last = connection.execute(named).first() or ()

    for name in (first, f"{first} {last}"):
        etl("forget", "--creator", name, "--yes").fails(2, "name of a creator", id)

    assert id in creators(project)


def test_forget_needs_a_database(etl: Command) -> None:
    etl("forget", "--creator", "x", "--yes").fails(1, "no database")
    assert etl("forget").code == 2


def test_reports_exports_and_searches_go_on_without_them(
    etl: Command, project: Project, someone: str
) -> None:
    etl("backfill")
    assert etl("forget", "--creator", someone, "--yes").code == 0

    assert etl("export", "--output", "out", "--format", "csv").code == 0
    assert etl("report", "--output", "report.html").code == 0
    assert etl("status").code == 0
    holding = [name for name, text in project.files().items() if someone.encode() in text]
    assert holding == []


def test_a_salt_that_lacks_is_one_clear_error(etl: Command) -> None:
    etl("sync", **HASHED).fails(2, "ETL_PRIVACY_SALT", "secret")
    etl("backfill", **HASHED, ETL_PRIVACY_SALT="short").fails(2, "16 characters")
    checked = etl("check", **HASHED)
    assert checked.code == 2 and "FAIL privacy: " in checked.out
    assert (
        "ok   privacy: emails: hash, names: drop"
        in etl("check", **HASHED, ETL_PRIVACY_SALT=SALT).out
    )
    assert "privacy" not in etl("check").out


def test_the_salt_may_stand_in_a_file_and_is_not_shown(etl: Command, project: Project) -> None:
    (project.folder / "salt").write_text(f"{SALT}\n")

    done = etl("sync", **HASHED, ETL_PRIVACY_SALT_FILE="salt")

    assert done.code == 0
    assert {len(email or "x" * 64) for email in creators(project).values()} == {64}
    assert SALT not in done.out + done.err
    again = etl("sync", "--json", **HASHED, ETL_PRIVACY_SALT_FILE="salt")
    assert [one["updated"] for one in again.json["agents"]] == [0, 0]
    assert "follows it now" not in again.err


def test_a_change_is_told(etl: Command, project: Project) -> None:
    etl("sync")
    assert any(creators(project).values())

    done = etl("sync", ETL_PRIVACY__EMAILS="drop")

    assert "[privacy] has changed" in done.err
    assert not any(creators(project).values())


def age(store: Store) -> None:
    """Let all that was stored be old."""
    long_ago = store.now().replace(year=2020)
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_runs).values(started_at=long_ago))


def test_what_is_old_goes_at_the_end_of_a_sync_or_by_db_prune(
    etl: Command, project: Project
) -> None:
    def runs() -> int:
        return len(etl("runs", "--json").json["runs"])

    for _ in range(3):
        etl("sync")
    with closing(project.store()) as store:
        age(store)
    assert etl("db", "prune").out.endswith("deleted 0 transcripts, 0 payloads, 0 runs\n")
    assert runs() == 6

    done = etl("db", "prune", ETL_RETENTION__RUNS="30d")

    assert done.out.endswith("deleted 0 transcripts, 0 payloads, 4 runs\n")
    assert runs() == 2
    assert etl("sync", ETL_RETENTION__RUNS="30d").code == 0
    assert runs() == 2, "the new ones alone"


def test_db_compact_makes_the_file_smaller(etl: Command, project: Project) -> None:
    etl("backfill")
    with closing(project.store()) as store, store.engine.begin() as connection:
        connection.execute(t.calendar.delete())
    before = (project.folder / "gumloop.db").stat().st_size

    assert etl("db", "compact").code == 0

    assert (project.folder / "gumloop.db").stat().st_size < before


def test_lake_says_that_changed_rules_are_applied(etl: Command) -> None:
    etl("backfill")

    assert "[privacy] has changed" in etl("lake", "lake", ETL_PRIVACY__NAMES="drop").err
    assert "[privacy]" not in etl("lake", "lake", ETL_PRIVACY__NAMES="drop").err
