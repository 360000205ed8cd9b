"""Transcripts and `search` as a user meets them."""

import json
import os
import pty
import subprocess
import sys

import pytest

from etl.simulator import Fault, Simulator, World
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.waiting import PATIENCE

NEEDLE = "Please refund the\n credit card of \x1b[31mAda\x07 \u202e now"


@pytest.fixture
def on(project: Project, api: Simulator, world: World) -> Project:
    """The same folder with transcripts switched on."""
    once = {"page_size": 20, "max_attempts": 1}
    wanted = {"walkers": 1, "transcripts": True, "transcripts_per_run": 40}
    project.configure(api.base_url, world.agent_ids(), api=once, sync=wanted)
    return project


@pytest.fixture
def needle(world: World) -> str:
    """A session with something to be found."""
    agent = world.agent_ids()[0]
    id = world.add_session(agent, id="sess_needle", name="Order \x1b[0m #1")
    message = {"id": "m1", "role": "user", "content": NEEDLE, "created_at": "2026-01-02T03:04:05Z"}
    world.set_transcript(id, [{"content": "Hello"}, message])
    return id


def test_a_run_tells_how_many_transcripts_it_retrieved(etl: Command, on: Project) -> None:
    first, second = etl("sync", "--json").json["agents"][0], etl("sync")

    assert first["transcripts"] == {
        "fetched": 40,
        "changed": 40,
        "failed": 0,
        "left": 20,
        "requests": 40,
        "error": None,
    }
    said = "transcripts: 20 retrieved, 20 of them new or changed, 0 failed, 0 left"
    assert second.out.count(said) == 2


def test_off_it_says_nothing_of_transcripts(etl: Command) -> None:
    done = etl("sync")

    assert (done.code, "transcript" in done.out + done.err) == (0, False)
    assert etl("sync", "--json").json["agents"][0]["transcripts"] is None
    assert etl("status", "--json").json["agents"][0]["transcripts"] is None


def test_an_outage_is_a_warning_and_status_says_what_is_left(
    etl: Command, on: Project, api: Simulator
) -> None:
    api.add_fault(Fault("status", status=503, path="^/api/v1/sessions/", times=None))

    done = etl("sync")

    assert done.code == 0
    assert done.err.count("warning: ") == 2
    assert "HTTP 503" in done.err and "the next run goes on" in done.err
    assert etl("status").out.count("60 transcripts to come") == 2
    api.clear_faults()
    for _ in range(2):
        etl("sync")
    found = etl("status", "--json").json["agents"][0]["transcripts"]
    assert found == {"stored": 60, "failed": 0, "left": 0}
    assert "transcripts" not in etl("status").out


def test_explain_counts_them(etl: Command, on: Project) -> None:
    etl("db", "upgrade")

    assert "transcripts of what is new or changed: at most 40" in etl("sync", "--explain").out


def test_search_shows_a_line_per_message(etl: Command, on: Project, needle: str) -> None:
    etl("sync")

    done = etl("search", "REFUND", "credit card")

    head, line = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert head.split() == ["date", "agent", "session", "name", "role", "text"]
    assert line.startswith("2026-01-02 03:04")
    assert needle in line and "user" in line and "Please refund the credit card of" in line
    assert line.isprintable()


def test_search_as_json(etl: Command, on: Project, needle: str, world: World) -> None:
    etl("sync")
    first, second = world.agent_ids()

    hit = etl("search", "credit card", "--json").json["hits"][0]

    begin, end = hit.pop("hit")
    assert hit.pop("snippet")[begin:end] == "credit card"
    assert hit == {
        "at": "2026-01-02T03:04:05Z",
        "agent_id": first,
        "agent": world.agents()[0].name,
        "session_id": needle,
        "name": "Order \x1b[0m #1",
        "position": 1,
        "message_id": "m1",
        "role": "user",
    }
    for words in (("--agent", second), ("--since", "2026-01-03")):
        assert etl("search", "credit", *words, "--json").json == {"hits": []}
    for words in (("--since", "2026-01-02"), ("--limit", "9" * 30)):
        assert len(etl("search", "credit", *words, "--json").json["hits"]) == 1


def test_what_is_not_found(etl: Command, on: Project, project: Project) -> None:
    etl("sync")

    assert etl("search", "nowhere").err == "no message holds that\n"
    assert etl("search", '***"').err == "there is no word in that\n"
    etl("search", "x" * 501).fails(2, "500 characters")
    etl("search", "x", "--since", "whenever").fails(2, "point in time")


def test_search_says_that_transcripts_are_off(etl: Command) -> None:
    etl("sync")

    assert "[sync] transcripts = true" in etl("search", "word").err


def test_search_before_the_first_sync(etl: Command) -> None:
    etl("search", "word").fails(1, "there is no database", "python -m etl sync")


def test_on_a_terminal_the_hit_is_marked(on: Project, needle: str) -> None:
    on.run("sync")
    ours, theirs = pty.openpty()
    env = on.environment(TERM="xterm-256color", COLUMNS="200", NO_COLOR="")

    subprocess.run(
        [sys.executable, "-m", "etl", "search", "credit card"],
        cwd=on.folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        timeout=PATIENCE,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)

    assert "\x1b[1;7mcredit card\x1b[0m" in shown
    assert "\x1b[31m" not in shown and "\u202e" not in shown


def test_no_message_reaches_a_report_or_a_log(etl: Command, on: Project, needle: str) -> None:
    said = etl("sync"), etl("sync", "--json"), etl("status"), etl("runs", "--json")

    assert not any("refund" in done.out + done.err for done in said)
    assert json.dumps(said[1].json)
