"""Whatever went wrong before: the next run makes it right, or says what to do."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from sqlalchemy import text, update

from etl.analytics.export.snapshot import open_snapshot
from etl.analytics.lake import run as lake_run
from etl.analytics.lake.lock import LakeBusy, lock_file, lock_server
from etl.clock import utc_now
from etl.config import Privacy
from etl.errors import ConfigError, EtlError
from etl.privacy import make_rules
from etl.store.lakes import list_lakes
from etl.store.privacy.forget import forget
from etl.store.privacy.rules_change import apply_rules_change
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.export.conftest import fill
from tests.lake.conftest import Carry, assert_equal, changed, kept, versions
from tests.process.project import REPOSITORY

DYING = """
import os, signal, sys
from etl.analytics.lake import delta, files, run
from etl.clock import utc_now
from etl.store.store import Store

url, target, what, left = *sys.argv[1:4], int(sys.argv[4])
place, name = {
    "write": (files.MonthWriter, "_finish_file"),
    "commit": (delta.DeltaFolder, "commit"),
    "committed": (delta.DeltaFolder, "list_files"),
    "purge": (delta.DeltaFolder, "purge"),
}[what]
real = getattr(place, name)

def dying(*words, **more):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words, **more)

setattr(place, name, dying)
run.update_lake(Store(url, utc_now), target)
"""


def die(url: str, lake: Path, what: str, left: int) -> bool:
    """Run until the call of that number, and die there; False if there are fewer."""
    words = [sys.executable, "-c", DYING, url, str(lake), what, str(left)]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(words, env=env, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Store]:
    """A database of hostile values in a file."""
    with Store(f"sqlite:///{tmp_path / 'it.db'}", utc_now) as store:
        migrate.upgrade(store.engine)
        fill(store)
        yield store


def change(store: Store, number: int) -> None:
    """A change in several tables and months."""
    with store.engine.begin() as connection:
        connection.execute(text(f"UPDATE sessions SET credit_cost = {number}"))
        connection.execute(text(f"UPDATE creators SET first_name = 'n{number}'"))


@pytest.mark.parametrize("what", ["write", "commit", "committed", "purge"])
@pytest.mark.parametrize("left", [0, 2, 5])
def test_a_killed_run_is_made_good_by_the_next(
    small: Store, lake: Path, what: str, left: int
) -> None:
    killed = die(small.url, lake, what, left)
    change(small, 1)
    lake_run.carry(small.url, str(lake), utc_now)
    assert_equal(small, lake)
    change(small, 2)
    killed |= die(small.url, lake, what, left)
    assert killed or what == "purge"
    change(small, 3)

    lake_run.carry(small.url, str(lake), utc_now)

    assert_equal(small, lake)
    small.close()


def test_two_runs_at_once_take_turns(
    store: Store, lake: Path, carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock_file(store.url), open_snapshot(store.url) as connection:
        lock_server(connection)
        with pytest.raises(LakeBusy):
            carry()
    carry()

    assert_equal(store, lake)
    assert [one.error for one in list_lakes(store)] == [None]


def test_a_writer_that_comes_between_makes_the_run_fail_not_double(
    store: Store, lake: Path, carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host with a copy of the database: no lock tells of it, the table's version does."""
    fill(store)
    carry()
    with store.engine.begin() as connection:
        connection.execute(update(t.creators).values(first_name="x"))
    real = lake_run._find_changes

    def slow(*words: object) -> object:
        found = real(*words)  # type: ignore[arg-type]
        if words[2].name == "creators":  # type: ignore[attr-defined]
            table = DeltaTable(lake / "creators")
            table.create_write_transaction([], "append", table.schema())
        return found

    monkeypatch.setattr(lake_run, "_find_changes", slow)
    with pytest.raises(EtlError, match="another writer"):
        carry()
    monkeypatch.undo()
    assert "another writer" in (list_lakes(store)[0].error or "")

    carry()
    assert_equal(store, lake)
    assert list_lakes(store)[0].error is None


def test_a_database_restored_from_a_backup_is_what_the_lake_shows(
    small: Store, lake: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(backup)) as to, closing(sqlite3.connect(tmp_path / "it.db")) as of:
        of.backup(to)
    change(small, 1)
    with small.engine.begin() as connection:
        connection.execute(text("UPDATE agents SET name = 'newer'"))
    lake_run.carry(small.url, str(lake), utc_now)
    small.close()
    for path in tmp_path.glob("it.db*"):
        path.unlink()
    backup.rename(tmp_path / "it.db")

    lake_run.carry(small.url, str(lake), utc_now)

    assert_equal(small, lake)
    small.close()


@pytest.mark.parametrize("what", ["sessions", "sessions/_delta_log", "creators"])
def test_what_was_deleted_by_hand_comes_back(
    store: Store, lake: Path, carry: Carry, what: str
) -> None:
    fill(store)
    carry()
    shutil.rmtree(lake / what)

    carry()

    assert_equal(store, lake)


def test_a_file_that_was_deleted_by_hand_is_written_again(
    store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)
    carry()
    [path, *_] = sorted((lake / "sessions").glob("month=*/*.parquet"))
    path.unlink()

    carry()

    assert_equal(store, lake)


def test_rows_that_another_program_doubled_are_single_again(
    store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)
    carry()
    rows = DeltaTable(lake / "sessions").to_pyarrow_table()
    write_deltalake(lake / "sessions", rows, mode="append")

    carry()

    assert_equal(store, lake)


def test_a_lake_is_fed_by_one_database(
    store: Store, small: Store, lake: Path, carry: Carry
) -> None:
    lake_run.carry(small.url, str(lake), utc_now)
    before = versions(lake)

    with pytest.raises(ConfigError, match="another database") as refused:
        carry()

    assert "--take-over" in refused.value.hint
    assert versions(lake) == before
    carry(take_over=True)
    assert_equal(store, lake)
    assert changed(carry()) == {}
    with pytest.raises(ConfigError, match="another database"):
        lake_run.carry(small.url, str(lake), utc_now)
    small.close()


def test_tables_and_files_of_others_are_left_alone(store: Store, lake: Path, carry: Carry) -> None:
    write_deltalake(str(lake / "creators"), pa.table({"id": [1]}))
    with pytest.raises(EtlError, match="isn't ours"):
        carry()
    shutil.rmtree(lake)
    (lake / "creators").mkdir(parents=True)
    (lake / "creators" / "theirs.parquet").write_bytes(b"x")

    with pytest.raises(EtlError, match="no table of ours"):
        carry()

    assert (lake / "creators" / "theirs.parquet").exists()


def test_nothing_of_a_forgotten_person_stays_in_any_file(
    store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)
    with store.engine.begin() as connection:
        person = {"id": "user_secretive", "email": "hush@example.com", "last_name": "Hushhush"}
        row = person | dict.fromkeys(("first_seen_at", "updated_at", "as_of"), utc_now())
        connection.execute(t.creators.insert().values(row))
        theirs = t.sessions.c.id.in_(["plain#0", "/#2"])
        named = {"creator_id": "user_secretive", "name": "Hushhush's trip"}
        connection.execute(update(t.sessions).where(theirs).values(named))
    carry()
    assert traces(lake) != []
    carry()
    forget(store, "user_secretive")

    carry()

    assert_equal(store, lake)
    assert traces(lake) == []


def test_a_purge_that_was_killed_is_done_by_the_next_run(small: Store, lake: Path) -> None:
    lake_run.carry(small.url, str(lake), utc_now)
    with small.engine.begin() as connection:
        connection.execute(update(t.creators).values(last_name="Hushhush"))
    lake_run.carry(small.url, str(lake), utc_now)
    forget(small, "plain")
    assert die(small.url, lake, "purge", 0)
    with small.engine.begin() as connection:
        connection.execute(update(t.creators).values(last_name=None))

    lake_run.carry(small.url, str(lake), utc_now)

    assert traces(lake) == []
    small.close()


def test_other_rules_of_privacy_reach_the_lake_and_its_old_files(small: Store, lake: Path) -> None:
    with small.engine.begin() as connection:
        connection.execute(update(t.creators).values(last_name="Hushhush", email="hush@x.org"))
    lake_run.carry(small.url, str(lake), utc_now)
    assert traces(lake) != []
    strict = Store(small.url, utc_now, make_rules(Privacy(emails="drop", names="drop"), None))
    assert apply_rules_change(strict)
    strict.close()

    lake_run.carry(small.url, str(lake), utc_now)

    assert_equal(small, lake)
    assert traces(lake) == []
    small.close()


def traces(lake: Path) -> list[str]:
    """The files of a lake, of whatever version, that name the person."""
    return [
        path
        for path, content in texts_of(lake)
        if "hush" in content.lower() or "user_secretive" in content
    ]


def texts_of(lake: Path) -> Iterator[tuple[str, str]]:
    """Every file of a lake with all that it holds, those of the log too."""
    for path in lake.rglob("*"):
        if path.suffix == ".parquet":
            yield str(path), str(pq.ParquetFile(path).read().to_pylist())
        elif path.is_file():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")


def test_what_a_lake_holds_is_never_less_after_an_error(
    store: Store, lake: Path, carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    carry()
    rows = kept(lake, "sessions")
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE sessions SET state = 'x'"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("etl.analytics.lake.files.MonthWriter._finish_file", full)
    with pytest.raises(EtlError, match="No space left") as failed:
        carry()
    monkeypatch.undo()

    assert "make room" in failed.value.hint
    assert kept(lake, "sessions") == rows
