"""Probes are bounded in time and threads; readiness; the HTTP server."""

import http.client
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.config import Schedule, Service, Settings, parse_duration
from etl.errors import ConfigError, SchemaMismatch, StoreError
from etl.service.monitor.query_cache import CachedQuery
from etl.service.monitor.readiness import describe_readiness, describe_unreadable
from etl.service.monitor.web import MOST_CONNECTIONS, Reply, Server
from etl.service.schedule import choose_readiness_limit
from tests.support.waiting import PATIENCE, until

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_hanging_question_is_asked_once_and_answered_with_an_error() -> None:
    asked: list[int] = []
    release = threading.Event()

    def ask() -> str:
        asked.append(1)
        release.wait(PATIENCE)
        return "late"

    probe = CachedQuery(ask, lasts=0.0, patience=0.05)
    for _ in range(3):
        with pytest.raises(StoreError, match="in time"):
            probe.answer()

    assert len(asked) == 1
    release.set()
    until(lambda: _answer(probe) == "late", "the answer")


def _answer(probe: CachedQuery[str]) -> str | None:
    try:
        return probe.answer()
    except StoreError:
        return None


def test_an_answer_is_kept_for_a_moment_and_an_error_too() -> None:
    answers = iter([1, 2])
    kept = CachedQuery(lambda: next(answers), lasts=3600.0)
    fresh = iter([3, 4])
    unkept = CachedQuery(lambda: next(fresh), lasts=0.0)

    assert [kept.answer(), kept.answer()] == [1, 1]
    assert [unkept.answer(), unkept.answer()] == [3, 4]

    def fail() -> None:
        raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        CachedQuery(fail).answer()


@given(st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 7200)))
def test_ready_is_when_every_agent_succeeded_within_the_bound(ages: dict[str, int | None]) -> None:
    last = {id: None if age is None else NOW - timedelta(seconds=age) for id, age in ages.items()}
    known = {id: at for id, at in last.items() if at is not None}

    document = describe_readiness(known, list(ages), NOW, HOUR)

    late = [id for id, age in ages.items() if age is None or age > 3600]
    assert document["failing"] == [f"agent {id}" for id in late]
    assert document["ready"] == (not late)
    assert [one["ok"] for one in document["agents"]] == [id not in late for id in ages]


def test_a_database_that_is_away_or_of_another_schema_is_named_without_its_words() -> None:
    gone = describe_unreadable(
        StoreError("postgresql://me@host: refused", "is it running?"), ["a"], HOUR
    )
    other = describe_unreadable(
        SchemaMismatch("the database has schema 0009", "upgrade"), ["a"], HOUR
    )

    assert (gone["ready"], gone["failing"]) == (False, ["database"])
    assert (other["ready"], other["failing"]) == (False, ["schema"])
    assert other["database"] == {"ok": True}
    assert "host" not in str(gone)
    assert gone["database"]["hint"] == "is it running?"


@pytest.mark.parametrize(
    ("schedule", "bound"),
    [
        ({}, "1h"),
        ({"every": "1s"}, "1m"),
        ({"every": "2h"}, "8h"),
        ({"cron": "*/5 * * * *"}, "20m"),
        ({"cron": "0 3 * * *"}, "4d"),
        ({"cron": "0 0 30 2 *"}, "1h"),
    ],
)
def test_the_bound_is_four_turns_of_the_schedule(schedule: dict[str, str], bound: str) -> None:
    every = parse_duration(schedule.get("every", "15m"))
    settings = Settings(schedule=Schedule(every=every, cron=schedule.get("cron")))

    assert choose_readiness_limit(settings) == parse_duration(bound)


def test_a_configured_bound_counts() -> None:
    settings = Settings(service=Service(ready_within=parse_duration("5s")))

    assert choose_readiness_limit(settings) == timedelta(seconds=5)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0))

    def broken(_: str) -> Reply:
        raise ValueError("Jane Doe")

    def fine(accept: str) -> Reply:
        return Reply(200, "text/plain", f"for {accept}".encode())

    running.start({"/fine": fine, "/broken": broken})
    yield running
    running.stop()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*server.socket.getsockname(), timeout=PATIENCE)
    connection.request(method, path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_it_serves_its_paths_by_get_and_head_alone(server: Server) -> None:
    assert ask(server, "/fine?x=1") == (200, b"for text/html")
    assert ask(server, "/fine", "HEAD") == (200, b"")
    assert [ask(server, "/fine", method)[0] for method in ("POST", "PUT", "DELETE")] == [405] * 3
    assert [ask(server, path)[0] for path in ("/", "/none", "/fine/", "/../fine")] == [404] * 4


def test_a_bug_is_a_500_that_says_nothing(server: Server) -> None:
    status, body = ask(server, "/broken")

    assert status == 500
    assert b"Jane" not in body


def test_connections_at_once_are_bounded_and_come_free_again(server: Server) -> None:
    address = server.socket.getsockname()
    idle = [socket.create_connection(address, timeout=PATIENCE) for _ in range(MOST_CONNECTIONS)]
    for one in idle:
        one.sendall(b"GET /fine HTTP/1.0\r\n")
    until(lambda: not server._free._value, "all places taken")

    with socket.create_connection(address, timeout=PATIENCE) as late:
        assert late.recv(100) == b""

    for one in idle:
        one.close()
    until(lambda: server._free._value == MOST_CONNECTIONS, "all places free")
    assert ask(server, "/fine")[0] == 200


def test_an_address_in_use_is_one_sentence(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"service\.listen.*in use"):
        Server(server.socket.getsockname())


@pytest.mark.parametrize("host", ["no.such.host.invalid", "256.256.256.256", "a" * 300, "."])
def test_an_address_that_is_not_ours_is_one_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.listen"):
        Server((host, 0))


def test_ipv6_is_shown_in_brackets() -> None:
    server = Server(("::1", 0))

    assert server.address == f"[::1]:{server.socket.getsockname()[1]}"
    server.stop()
