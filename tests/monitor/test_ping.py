"""Whom the ping tells what, and that it neither hurts nor betrays anything."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.config import Service
from etl.errors import ConfigError
from etl.events import Event, PingSent, RunCrashed, RunFinished
from etl.models import AgentReport, Status
from etl.service.monitor.ping import (
    PING_PAUSE,
    Pinger,
    is_due,
    judge_runs,
    make_fail_url,
    read_ping_url,
)
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://hc-ping.com/id", "https://hc-ping.com/id/fail"),
        ("https://hc-ping.com/id/", "https://hc-ping.com/id/fail"),
        ("https://push.example/p?token=1", "https://push.example/p/fail?token=1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/fail"),
    ],
)
def test_failure_goes_to_the_path(url: str, wanted: str) -> None:
    assert make_fail_url(url) == wanted


@given(st.dictionaries(st.sampled_from("abc"), st.booleans(), min_size=1), st.data())
def test_one_agents_success_never_hides_anothers_failure(
    last: dict[str, bool], data: st.DataObject
) -> None:
    agent = data.draw(st.sampled_from(sorted(last)))

    says = judge_runs(agent, last)

    assert (says is True) == all(last.values())
    assert (says is False) == (not last[agent])


@given(st.sampled_from([None, True, False]), st.booleans(), st.floats(0, 1e6), st.floats(0, 1e6))
def test_news_is_told_at_once_and_the_same_rarely(
    said: bool | None, says: bool, at: float, later: float
) -> None:
    assert is_due(said, at, says, at + later) == (said is not says or at + later - at >= PING_PAUSE)


def test_the_url_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("https://hc-ping.com/id\n")

    assert read_ping_url(Service(ping_url_file=str(file))) == "https://hc-ping.com/id"
    assert (
        read_ping_url(Service(ping_url="https://x.example", ping_url_file="/none"))
        == "https://x.example"
    )
    assert read_ping_url(Service()) is None


@pytest.mark.parametrize("text", ["", "http://ping.example/s3cret", "s3cret\nhttps://a.example"])
def test_a_bad_url_in_a_file_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "url"
    file.write_text(text)

    with pytest.raises(ConfigError, match="ping_url_file") as caught:
        read_ping_url(Service(ping_url_file=str(file)))

    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ping_url_file"):
        read_ping_url(Service(ping_url_file=str(tmp_path / "none")))


class Switch(ThreadingHTTPServer):
    """A dead man's switch: remembers the paths that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_address[1]}/s3cret"


class _Handler(BaseHTTPRequestHandler):
    server: Switch

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch() as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def ended(agent: str, status: Status) -> RunFinished:
    return RunFinished(AgentReport(agent, "incremental", status), 1.0)


def test_it_tells_of_success_and_of_failure(switch: Switch) -> None:
    told: list[Event] = []
    pinger = Pinger(switch.url, told.append)

    steps: list[tuple[Event, int]] = [
        (ended("a", "succeeded"), 1),
        (ended("a", "succeeded"), 1),
        (ended("a", "skipped"), 1),
        (ended("b", "incomplete"), 2),
        (ended("a", "succeeded"), 2),
        (ended("b", "succeeded"), 3),
        (RunCrashed("a", "incremental", ValueError()), 4),
    ]
    for event, count in steps:
        pinger.observe(event)
        until(lambda count=count: len(told) == count, f"ping {count}")

    assert switch.asked == ["/s3cret", "/s3cret/fail", "/s3cret", "/s3cret/fail"]
    assert told == [PingSent(None, 200)] * 4


def test_a_redirect_is_not_followed(switch: Switch) -> None:
    told: list[Event] = []
    switch.status = 302

    Pinger(switch.url, told.append).observe(ended("a", "succeeded"))

    until(lambda: told, "the ping")
    assert (switch.asked, told) == (["/s3cret"], [PingSent(None, 302)])


def test_a_ping_that_nobody_takes_is_told_and_not_repeated(switch: Switch) -> None:
    told: list[Event] = []
    switch.shutdown()
    switch.server_close()
    pinger = Pinger(switch.url, told.append)

    pinger.observe(ended("a", "succeeded"))
    until(lambda: told, "the failure")
    pinger.observe(ended("a", "succeeded"))
    pinger.observe(ended("a", "failed"))
    until(lambda: len(told) == 2, "the next failure")

    assert all(isinstance(event, PingSent) and event.error is not None for event in told)
