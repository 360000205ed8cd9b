"""Tables that fit the terminal, and progress bars: the rules, and real commands on terminals."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from etl.cli.table import GAP, NARROWEST, fit_columns, print_table
from etl.cli.times import format_age
from etl.simulator import Fault, Simulator, World
from tests.process.project import SECRET, Project
from tests.support.waiting import PATIENCE

NAMES = "abcdefgh"
columns = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 60), min_size=1)


@given(columns, st.integers(1, 250), st.sets(st.sampled_from(NAMES)), st.data())
def test_columns_fit_and_only_what_must_is_lost(
    widths: dict[str, int], room: int, elastic: set[str], data: st.DataObject
) -> None:
    spare = data.draw(st.lists(st.sampled_from(sorted(widths)), unique=True, max_size=6))

    fit = fit_columns(widths, room, elastic, spare)

    lost = [name for name in widths if name not in fit]
    total = sum(fit.values()) + GAP * (len(fit) - 1)
    assert total <= max(room, len(fit) + GAP * (len(fit) - 1))
    assert all(1 <= fit[name] <= widths[name] for name in fit)
    assert sorted(lost) == sorted(spare[: len(lost)])
    assert [name for name in widths if name in fit] == list(fit)
    if sum(widths.values()) + GAP * (len(widths) - 1) <= room:
        assert fit == widths
    if any(fit[name] < widths[name] for name in fit if name not in elastic):
        assert all(fit[name] <= NARROWEST for name in fit if name in elastic)
        assert len(lost) == len(spare)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (-0.5, "now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (7200, "2 h ago"),
        (86_400 * 400, "400 d ago"),
        (-61, "in 1 min"),
        (-86_400, "in 1 d"),
    ],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)

    assert format_age(now - timedelta(seconds=seconds), now) == said
    assert format_age(None, now) == "-"


def on_terminal(project: Project, width: int, *words: str) -> list[str]:
    """What a command prints on a terminal of that width, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", *words],
        cwd=project.folder,
        env=project.environment(TERM="xterm-256color", COLUMNS="", LINES=""),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    out = b""
    while True:
        try:
            out += os.read(ours, 65_536)
        except OSError:
            break
    os.close(ours)
    assert process.wait(PATIENCE) == 0, out
    return strip_codes(out.decode()).replace("\r\n", "\n").splitlines()


def strip_codes(text: str) -> str:
    """The text without what moves the cursor or changes colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_status_fits_and_says_what_matters(
    project: Project, api: Simulator, world: World, width: int
) -> None:
    project.run("backfill")
    api.add_fault(Fault("status", status=500, times=None, path=world.agent_ids()[0]))
    project.run("sync")

    lines = on_terminal(project, width, "status")

    table = lines[: len(world.agent_ids()) + 1]
    assert max(cell_len(line) for line in table) <= width, lines
    assert table[0].split()[:2] == ["agent", "sessions"]
    assert "last run" in table[0]
    assert "watermark" in table[0]
    assert "failed, " in table[1]
    assert "succeeded, " in table[2]
    problems = [line for line in lines if line.startswith("! ")]
    assert len(problems) == 1
    assert world.agents()[0].name in problems[0]
    assert ("(columns left out: " in "\n".join(lines)) == (width < 200)
    assert any("coverage: " in line for line in lines) == ("coverage" in table[0])


def test_columns_without_a_value_are_left_out_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [("some-agent", "", "succeeded"), ("other", "", "failed")]

    print_table(("agent", "error", "status"), rows, spare=("agent",))
    print_table(("agent", "error", "status"), [(*rows[0][:1], "timed out", "failed")])

    first, second = strip_codes(capsys.readouterr().out).split("(columns left out: error)\n", 1)
    assert first.split()[:2] == ["agent", "status"]
    assert second.split()[:3] == ["agent", "error", "status"]


@pytest.mark.parametrize("words", [["runs"], ["list"]])
def test_the_other_tables_fit_too(project: Project, world: World, words: list[str]) -> None:
    project.run("backfill")
    words = [*words, world.agent_ids()[0], "--limit", "3"] if words == ["list"] else words

    lines = on_terminal(project, 80, *words)

    assert max(cell_len(line) for line in lines) <= 80, lines
    assert len(lines) >= 3


def test_bars_tell_what_is_done_how_fast_and_how_long_still(project: Project, world: World) -> None:
    for id in world.agent_ids():
        # No list shows these: they are retrieved one by one.
        world.change(world.sessions(id)[-1]["id"], state="approval_required")
    with Simulator(world, token=SECRET, latency=0.05) as slow:
        project.configure(slow.base_url, world.agent_ids(), api={"page_size": 10})
        walked = "\n".join(on_terminal(project, 110, "backfill"))
        synced = "\n".join(on_terminal(project, 110, "sync"))
    exported = "\n".join(on_terminal(project, 110, "export"))

    for id in world.agent_ids():
        assert re.search(rf"{id} +━.* 100% \d+ sessions +\d+/s +0:00:0\d", walked), walked
    assert re.search(r"\d\d% \d+ sessions +\d+/s +0:00:0\d", walked), walked
    assert re.search(r"100% \d+ open sessions", synced), synced
    assert re.search(r"export +━.* 100% \d+ rows +\d+/s", exported), exported


@pytest.mark.parametrize("command", ["backfill", "sync", "status", "runs", "export"])
def test_no_bar_and_no_colour_in_a_pipe(project: Project, command: str) -> None:
    project.run("backfill")

    done = project.run(command, FORCE_COLOR="", TERM="xterm-256color")

    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert "━" not in done.out + done.err
