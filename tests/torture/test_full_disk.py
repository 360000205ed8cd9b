"""SQLite on a disk that fills: one clear sentence, nothing corrupt, and it goes on later."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from etl.clock import utc_now
from etl.simulator import Simulator, World
from etl.store.store import Store
from tests.support.audit import differences
from tests.support.waiting import PATIENCE

SESSIONS = 3000
SIZE = 1500
LIMIT = 1_300_000
"""Bytes: some sessions above an empty database, whose calendar takes most of its megabyte."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB; skipped where it can't be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-o", f"size={SIZE}k", "tmpfs", str(folder)]
    done = subprocess.run(["mount", "-t", "tmpfs", *options], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount a tmpfs: root, and CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def backfill(
    folder: Path, config: Path, limit: int | None = None
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GUMLOOP_ACCESS_TOKEN": "sim-token"}

    def shrink() -> None:
        import resource
        import signal

        # Without this the signal kills the process before it sees the error.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit or 0, limit or 0))

    return subprocess.run(
        [sys.executable, "-m", "etl", "--config", str(config), "backfill"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=shrink if limit else None,
    )


def configure(path: Path, api: Simulator, database: Path, walkers: int) -> Path:
    agent = api.world.agent_ids()[0]
    path.write_text(
        f'[api]\nbase_url = "{api.base_url}"\npage_size = 50\n'
        f'[database]\nurl = "sqlite:///{database}"\n'
        f"[sync]\nwalkers = {walkers}\n"
        f'[[agents]]\nid = "{agent}"\n'
    )
    return path


def stored(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def check_refused(done: "subprocess.CompletedProcess[str]") -> None:
    """Exit code 1, and one sentence with the cause and a hint."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1, done.stderr
    assert any(word in lines[0] for word in ("full", "disk", "No space")), lines
    assert "make room" in lines[0] or "nothing stored is lost" in lines[0]


def check_completes(api: Simulator, folder: Path, config: Path, database: Path, kept: int) -> None:
    done = backfill(folder, config)
    assert done.returncode == 0, done.stderr
    store = Store(f"sqlite:///{database}", utc_now)
    agent = api.world.agent_ids()[0]
    assert differences(store, api.world.sessions(agent), agent) == []
    store.close()
    assert stored(database) == SESSIONS
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT sum(inserted), sum(status = 'running') FROM sync_runs"
        assert connection.execute(query).fetchone() == (SESSIONS, 0)
    assert kept <= SESSIONS


@pytest.mark.parametrize("walkers", [1, 3])
def test_a_disk_that_fills(disk: Path, tmp_path: Path, walkers: int) -> None:
    database = disk / "etl.db"
    with Simulator(World.generate(agents=1, sessions=SESSIONS, seed=4)) as api:
        config = configure(tmp_path / "config.toml", api, database, walkers)

        done = backfill(tmp_path, config)

        check_refused(done)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        kept = stored(database)
        assert 0 < kept < SESSIONS
        check_completes(api, tmp_path, config, database, kept)


@pytest.mark.parametrize("walkers", [1, 3])
def test_a_file_that_may_not_grow(tmp_path: Path, walkers: int) -> None:
    database = tmp_path / "etl.db"
    with Simulator(World.generate(agents=1, sessions=SESSIONS, seed=4)) as api:
        config = configure(tmp_path / "config.toml", api, database, walkers)

        done = backfill(tmp_path, config, limit=LIMIT)

        check_refused(done)
        kept = stored(database)
        assert 0 < kept < SESSIONS
        check_completes(api, tmp_path, config, database, kept)
