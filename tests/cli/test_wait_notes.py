"""Words while a command waits for the API."""

from typing import Any

import pytest

from etl.cli.terminal import SHORTEST_WAIT, describe_wait, note_waits
from etl.errors import Transient
from etl.events import RequestAnswered, RequestRetried


def test_why_nothing_happens() -> None:
    assert describe_wait(Transient("x", status=429), 39.6) == "rate limited, going on in 40 s"
    busy = describe_wait(Transient("x", status=503), 12.0)
    assert busy == "the API answers with HTTP 503, trying again in 12 s"
    assert describe_wait(Transient("x"), 12.0) == "the API doesn't answer, trying again in 12 s"


def test_many_threads_that_wait_for_the_same_are_told_once(monkeypatch: Any) -> None:
    said: list[str] = []
    now = [1000.0]
    monkeypatch.setattr("etl.cli.terminal.steady_clock", lambda: now[0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    observe = note_waits(said.append)
    error = Transient("x", status=429)

    for seconds in (40, 40.5, 39, SHORTEST_WAIT - 0.1):
        observe(RequestRetried("x", error, 1, seconds))
    observe(RequestAnswered(200, 40.0))
    assert said == ["rate limited, going on in 40 s"]

    now[0] += 40
    observe(RequestRetried("x", error, 2, 20))
    assert said[1:] == ["rate limited, going on in 20 s"]


def test_off_a_terminal_nobody_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    note_waits()(RequestRetried("x", Transient("x", status=429), 1, 40))

    assert capsys.readouterr() == ("", "")
