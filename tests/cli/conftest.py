"""Fixtures: a small API, a user's folder configured for it, and commands run in this process."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etl import cli
from etl.simulator import Simulator, World
from tests.process.conftest import kept_private
from tests.process.project import SECRET, Done, Project, checked
from tests.support.waiting import PATIENCE

Command = Callable[..., Done]


@pytest.fixture
def world() -> World:
    """Two agents with a short history."""
    return World.generate(agents=2, sessions=60, seed=5)


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    """The API over real HTTP, with our credential."""
    with Simulator(world, token=SECRET) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, api: Simulator, world: World) -> Iterator[Project]:
    """A folder whose config.toml names both agents; nothing is retried or walked from two ends."""
    folder = Project(tmp_path / "home")
    folder.folder.mkdir()
    once = {"page_size": 20, "max_attempts": 1}
    folder.configure(api.base_url, world.agent_ids(), api=once, sync={"walkers": 1})
    yield from kept_private(folder)


@pytest.fixture
def etl(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command in that folder without a process of its own."""
    monkeypatch.chdir(project.folder)

    def run(*words: str, **env: str) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            for name in {**project.env, **env}:
                patch.delenv(name, raising=False)
            for name, value in {**project.env, **env}.items():
                if value:
                    patch.setenv(name, value)
            code = _run(words)
        out, err = capsys.readouterr()
        return checked(Done(code, out, err))

    return run


def _run(words: tuple[str, ...]) -> int:
    try:
        return cli.main(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)


is_root = os.geteuid() == 0


def at_a_terminal(project: Project, typed: bytes, *words: str) -> tuple[int, str]:
    """Run a command whose input is a terminal, and type into it."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    process = subprocess.run(
        [sys.executable, "-m", "etl", *words],
        cwd=project.folder,
        env=project.environment(),
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    for end in (ours, theirs):
        os.close(end)
    return process.returncode, process.stdout + process.stderr
