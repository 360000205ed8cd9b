"""A refused database: a command says what is wrong, and closes all that it opened."""

import gc
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl import cli
from etl.clock import utc_now
from etl.store.schema import engine, migrate
from etl.store.store import Store
from tests.process.project import Project
from tests.support.postgres import Cluster, free_port

COMMANDS = (
    "demo --database gumloop.db",
    "check",
    "sync",
    "sync --explain",
    "backfill",
    "reconcile",
    "run",
    "verify",
    "status",
    "runs",
    "report --output report.html",
    "search word",
    "export --output exported",
    "explore",
    "lake lake",
    "forget --creator nobody --yes",
    "db upgrade",
    "db current",
    "db downgrade 0001 --yes",
    "db prune",
    "db compact",
    "db timezone",
    "db timezone Europe/Berlin",
)
WITHOUT_DATABASE = {"init", "agents", "list", "completion"}
MIGRATIONS = {"db upgrade", "db current", "db downgrade 0001 --yes"}


def _missing(_file: Path) -> None: ...


def _empty(file: Path) -> None:
    file.touch()


def _directory(file: Path) -> None:
    file.mkdir()


def _other_kind(file: Path) -> None:
    file.write_bytes(b"certainly no database\n" * 200)


def _damaged(file: Path) -> None:
    _current(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


def _anothers(file: Path) -> None:
    _execute(file, "CREATE TABLE sessions (id)")


def _older(file: Path) -> None:
    _current(file, "0001")


def _newer(file: Path) -> None:
    _current(file)
    _execute(file, "UPDATE alembic_version SET version_num = '9999'")


def _unknown(file: Path) -> None:
    _current(file)
    _execute(file, "DELETE FROM alembic_version")


def _strange(file: Path) -> None:
    _execute(file, "CREATE VIEW alembic_version AS SELECT 1 AS version")


def _locked(file: Path) -> Iterator[None]:
    _current(file)
    holding = sqlite3.connect(file, isolation_level=None)
    holding.execute("PRAGMA locking_mode=EXCLUSIVE")
    holding.execute("DELETE FROM agents")
    yield
    holding.close()


FILES: dict[str, tuple[Callable[[Path], Iterator[None] | None], set[str]]] = {
    "missing": (_missing, {"sync --explain", "db upgrade", "db timezone Europe/Berlin"}),
    "empty": (
        _empty,
        {"verify", "sync --explain", "db upgrade", "db current", COMMANDS[-1]},
    ),
    "directory": (_directory, set()),
    "other kind": (_other_kind, set()),
    "damaged": (_damaged, set()),
    "another's": (_anothers, set()),
    "older": (_older, MIGRATIONS),
    "newer": (_newer, {"db current"}),
    "unknown revision": (_unknown, set()),
    "strange": (_strange, set()),
    "locked": (_locked, set()),
}
"""How a file is made, and the commands that don't refuse it."""

ENDLESS = {("missing", "run"), ("empty", "run"), ("missing", COMMANDS[0]), ("empty", COMMANDS[0])}
"""These are no refusals: they would go on."""


def _current(file: Path, revision: str = "head") -> None:
    file.write_bytes(_database(revision))


@cache
def _database(revision: str) -> bytes:
    """A database with that schema."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made.db"
        with Store(f"sqlite:///{file}", utc_now) as store:
            migrate.upgrade(store.engine, revision)
        return file.read_bytes()


def _execute(file: Path, sql: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(sql)
    connection.commit()
    connection.close()


class Opened(sqlite3.Connection):
    """A connection that is in `left` until it is closed."""

    left: set[int]

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.left.add(id(self))

    def close(self) -> None:
        super().close()
        self.left.discard(id(self))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder configured for an API that isn't there; nobody waits long for a lock."""
    (tmp_path / "home").mkdir()
    project = Project(tmp_path / "home")
    base_url = f"http://127.0.0.1:{free_port()}/api/v1"
    project.configure(base_url, ["some-agent"], api={"max_attempts": 1})
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("GUMLOOP_ACCESS_TOKEN", "some-token")
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 1)
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    return project


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[object]]]:
    """Tells what was opened since and not closed: connections, and whatever Python warns of."""
    opened = type("Opened", (Opened,), {"left": set()})
    connect = sqlite3.dbapi2.connect
    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(
            module, "connect", lambda *args, **keys: connect(*args, **{"factory": opened, **keys})
        )
    warned: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: warned.append(found.exc_value))

    def collect() -> list[object]:
        gc.collect()
        return [*warned, *opened.left]

    gc.freeze()  # collecting what a command left takes long if it looks at all modules too
    yield collect
    gc.unfreeze()


def _refuse(words: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Run a command with the collector's warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = cli.main(words.split())
    out, err = capsys.readouterr()
    assert "this is a bug" not in err
    assert (code == 0) or "error: " in err or "FAIL" in out, (out, err)
    return code


def test_every_command_is_tried() -> None:
    tried = {command.split()[0] for command in COMMANDS}

    missing = "a new command goes into COMMANDS or WITHOUT_DATABASE above"
    assert {command.NAME for command in cli.COMMANDS} == tried | WITHOUT_DATABASE, missing


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", FILES)
def test_a_refused_file_is_closed(
    home: Project,
    lost: Callable[[], list[object]],
    capsys: pytest.CaptureFixture[str],
    kind: str,
    command: str,
) -> None:
    make, accepted = FILES[kind]
    if (kind, command) in ENDLESS:
        return
    made = make(home.folder / "gumloop.db")
    if made is not None:
        next(made)
    held = set(lost())

    code = _refuse(command, capsys)

    assert (code == 0) == (command in accepted)
    assert set(lost()) - held == set()
    if made is not None:
        next(made, None)


@pytest.fixture
def servers(postgres: Cluster, postgres_template: str) -> Iterator[dict[str, str]]:
    """Databases on a server that are no good, by what is wrong with them."""
    here = postgres.admin_url.rsplit("/", 1)[0]
    newer = postgres.fresh(postgres_template)
    with psycopg.connect(newer, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    yield {
        "unreachable": f"postgresql://me@127.0.0.1:{free_port()}/etl",
        "no such database": f"{here}/no_such_database",
        "no such role": f"{here.replace('postgres@', 'nobody_by_that_name@')}/postgres",
        "newer": newer,
    }
    postgres.drop(newer)


@pytest.mark.parametrize("kind", ["unreachable", "no such database", "no such role", "newer"])
def test_a_refused_server_is_left(
    home: Project,
    servers: dict[str, str],
    lost: Callable[[], list[object]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setenv("ETL_DATABASE__URL", servers[kind])
    for command in COMMANDS[1:]:
        code = _refuse(command, capsys)

        assert (code == 0) == (kind == "newer" and command == "db current"), command
        assert lost() == [], command
