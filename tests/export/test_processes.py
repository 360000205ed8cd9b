"""`export` as a process that is killed, stopped, or runs out of disk: all of it or none."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from etl.analytics.export.exporter import ExportOptions, export
from etl.clock import utc_now
from etl.store.schema import migrate
from etl.store.store import Store
from tests.export.conftest import parquet
from tests.process.conftest import kept_private
from tests.process.project import REPOSITORY, Project
from tests.support.waiting import PATIENCE, until

ROWS = 20_000
ENOUGH = f"""
INSERT INTO sessions (id, agent_id, name, created_at, first_seen_at, updated_at, as_of)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
SELECT hex(randomblob(16)), 'a', hex(randomblob(60)), '2026-05-01 00:00:00.000000',
    '2026-05-01 00:00:00.000000', '2026-05-01 00:00:00.000000', '2026-05-01 00:00:00.000000' FROM n
"""
AGENT = """
INSERT INTO agents (id, first_seen_at, updated_at)
VALUES ('{}', '2026-05-01 00:00:00.000000', '2026-05-01 00:00:00.000000')
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A folder whose database takes a moment to export."""
    folder = Project(tmp_path)
    folder.configure("http://127.0.0.1:9/api/v1", ["a"])
    with closing(folder.store()) as store:
        migrate.upgrade(store.engine)
        with store.engine.begin() as connection:
            connection.execute(text(AGENT.format("a")))
            connection.execute(text(ENOUGH))
    yield from kept_private(folder)


def whole(lake: Path) -> bool:
    """Whether the folder says that it holds a whole export; if so, it must."""
    if not (lake / "manifest.json").exists():
        return False
    tables = json.loads((lake / "manifest.json").read_text())["tables"]
    for table in tables:
        assert len(parquet(lake, table["name"])) == table["rows"], table
    names = {path.name.removesuffix(".parquet") for path in lake.iterdir()}
    assert names - {".export-partial", "manifest.json"} == {table["name"] for table in tables}
    return True


def in_the_middle(project: Project, lake: Path) -> "subprocess.Popen[str]":
    """An export that was frozen as it wrote sessions; tried again if it was quicker than we."""
    folder = lake / ".export-partial" / "sessions"
    for _ in range(10):
        process = project.start("export", "--output", lake.name)
        begun(process, folder)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if folder.exists():
            return process
        process.send_signal(signal.SIGCONT)
        assert project.finish(process).code == 0
    raise AssertionError("no export could be caught")


def begun(process: "subprocess.Popen[str]", folder: Path) -> None:
    until(lambda: folder.exists() or process.poll() is not None, "the first files")


def test_a_killed_export_leaves_nothing_that_looks_whole(project: Project, lake: Path) -> None:
    process = in_the_middle(project, lake)
    process.kill()

    assert project.finish(process).code == -signal.SIGKILL
    assert not whole(lake)
    assert project.run("export", "--output", lake.name).code == 0
    assert whole(lake) and not (lake / ".export-partial").exists()
    process = in_the_middle(project, lake)
    process.kill()
    assert project.finish(process).code == -signal.SIGKILL
    assert whole(lake)


def test_a_stopped_export_clears_up(project: Project, lake: Path) -> None:
    process = in_the_middle(project, lake)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)

    assert project.finish(process).code == 130
    assert not lake.exists()


@pytest.mark.parametrize("earlier", [True, False], ids=["over another", "first"])
def test_a_full_disk_keeps_the_export_before(project: Project, lake: Path, earlier: bool) -> None:
    if earlier:
        project.run("export", "--output", lake.name)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    process = project.start("export", "--output", lake.name, PYTHONDONTWRITEBYTECODE="1")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, limits[1]))

    project.finish(process).fails(1, "failed", "too large", "make room", "nothing of this export")
    assert whole(lake) is earlier
    assert lake.exists() is earlier and not (lake / ".export-partial").exists()


def test_one_export_at_a_time(project: Project, lake: Path) -> None:
    lake.mkdir()
    handle = os.open(lake, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    project.run("export", "--output", lake.name).fails(1, "another export is writing")

    os.close(handle)
    assert project.run("export", "--output", lake.name, "--table", "agents").code == 0


DYING = """
import os, pathlib, signal, sys
from etl.clock import utc_now
from etl.analytics.export.exporter import ExportOptions, export

url, lake, what, left = *sys.argv[1:4], int(sys.argv[4])
place, name = (os, "fsync") if what == "fsync" else (pathlib.Path, "rename")
real = getattr(place, name)

def dying(*words):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words)

setattr(place, name, dying)
export(url, ExportOptions(pathlib.Path(lake), tables=("agents",)), utc_now())
"""


@pytest.mark.parametrize("what", ["fsync", "rename"])
def test_no_instant_of_an_export_is_a_bad_one_to_die(tmp_path: Path, lake: Path, what: str) -> None:
    """It dies at its first, second, ... call, above an older export of other rows."""
    store = Store(f"sqlite:///{tmp_path / 'it.db'}", utc_now)
    migrate.upgrade(store.engine)
    for left in range(20):
        export(store.url, ExportOptions(lake, tables=["agents"]), utc_now())
        with store.engine.begin() as connection:
            connection.execute(text(AGENT.format(f"{what} {left}")))
        words = [sys.executable, "-c", DYING, store.url, str(lake), what, str(left)]
        env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        code = subprocess.run(words, env=env, check=False, timeout=PATIENCE).returncode
        rows = len(parquet(lake, "agents")) if whole(lake) else None
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert rows in (None, left, left + 1)

    store.close()
    assert rows == left + 1 and left >= 3
