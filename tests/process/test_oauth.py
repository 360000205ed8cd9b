"""One OAuth grant, several processes: each renewal happens once, and no token is lost."""

import json
import signal
from pathlib import Path

import pytest

from etl.simulator import Fault, Simulator, World
from tests.process.project import Project
from tests.support.waiting import until


@pytest.fixture
def world() -> World:
    """One agent with a short history."""
    return World.generate(agents=1, sessions=60, seed=11)


@pytest.fixture
def file(project: Project, world: World, api: Simulator) -> Path:
    """The file of the refresh token, named in config.toml."""
    file = project.folder / "refresh-token"
    file.write_text(api.credentials.refresh_token)
    keys = {"client_id": "c", "refresh_token_file": file.name}
    project.env = {}
    project.configure(api.base_url, world.agent_ids(), **{"api.oauth": keys})
    return file


def renewals(api: Simulator) -> list[int]:
    return [request.status for request in list(api.requests) if request.path == "/oauth/token"]


def test_processes_renew_once_for_all(
    project: Project, world: World, api: Simulator, file: Path
) -> None:
    api.add_fault(Fault("latency", path="/oauth/token", seconds=1.0, times=None))
    for round in (1, 2):
        processes = [project.start("list", world.agent_ids()[0], "--json") for _ in range(5)]
        done = [project.finish(process) for process in processes]

        assert [one.code for one in done] == [0] * 5, done
        assert all(len(one.out.splitlines()) == 60 for one in done)
        assert renewals(api) == [200] * round
        assert file.read_text().strip() == api.credentials.refresh_token
        api.credentials.expire()


def test_a_process_killed_while_it_renews_leaves_no_lock(
    project: Project, world: World, api: Simulator, file: Path
) -> None:
    api.add_fault(Fault("stall", path="/oauth/token", seconds=300.0))
    api.credentials.rotates = False  # what the stalled reply grants dies with its process
    process = project.start("list", world.agent_ids()[0])
    until(lambda: renewals(api), "a renewal")
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert project.run("list", world.agent_ids()[0]).code == 0
    assert sorted(path.name for path in project.folder.glob("*refresh*")) == [
        "refresh-token",
        "refresh-token.access",
        "refresh-token.lock",
    ]


def test_check_says_until_when_and_a_dead_grant_is_exit_code_1(
    project: Project, api: Simulator, file: Path
) -> None:
    told = project.run("check")
    assert told.code == 0
    assert "ok   credential: an OAuth token, valid until " in told.out

    api.credentials.revoke()
    api.credentials.expire()
    again = project.run("sync")
    assert again.code == 1
    assert again.err.count("invalid_grant") == 1
    assert "authorize anew" in again.err

    (project.folder / "refresh-token.access").unlink()
    dead = project.run("check", "--json")
    credential = next(one for one in dead.json["checks"] if one["what"] == "credential")
    assert (dead.code, credential["ok"]) == (1, False)
    assert "invalid_grant" in credential["message"]


def test_a_refresh_token_that_is_not_there_is_exit_code_2(
    project: Project, world: World, file: Path
) -> None:
    file.unlink()

    project.run("sync").fails(2, "refresh_token_file", "can't be read")


def test_a_running_scheduler_outlives_its_token(
    project: Project, world: World, api: Simulator, file: Path
) -> None:
    text = (project.folder / "config.toml").read_text()
    project.write(f'{text}\n[schedule]\nevery = "1s"\n')
    process = project.start("run")
    until(lambda: len(renewals(api)) == 1 and len(api.requests) > 2, "the first sync")

    api.credentials.expire()
    until(lambda: len(renewals(api)) == 2, "the renewal")
    seen = len(api.requests)
    until(lambda: len(api.requests) > seen + 2, "another sync")
    process.send_signal(signal.SIGTERM)
    done = project.finish(process)

    assert done.code == 0
    assert "status=failed" not in done.err
    assert json.loads(project.run("runs", "--json").out)["runs"]
