"""A server that asks for a wait: short ones are waited for, long ones end all requests at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from etl.api.client import Client
from etl.api.credentials.oauth import Grant
from etl.api.errors import describe_time, wait_asked
from etl.api.rate_limit import NEWS, RateLimiter
from etl.api.transport import CALM
from etl.config import Api, Duration, OAuth
from etl.credentials import Credentials
from etl.errors import RetryLater, Transient
from etl.events import ApiClosed, Event, RequestGivenUp, RequestRetried
from etl.models import Counts
from etl.simulator import Fault, Simulator, World

NOW = datetime(2026, 5, 15, 14, 4, 30, tzinfo=UTC)
IN_A_DAY = r"come back at \d\d:\d\d UTC (tomorrow|on \d{4}-\d\d-\d\d)"
"""In the last minute of a day it is the midnight after tomorrow."""
DAY = 86_400


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def client(api: Simulator, events: list[Event]) -> Iterator[Client]:
    settings = Api(base_url=api.base_url, timeout=5.0)
    with Client(settings, Credentials("sim-token"), observe=events.append) as opened:
        yield opened


def slow_down(seconds: object, **more: object) -> Fault:
    fault = {"status": 429, "headers": {"Retry-After": str(seconds)}, **more}
    return Fault("status", **fault)  # type: ignore[arg-type]


REQUESTS: list[Callable[[Client, World], object]] = [
    lambda client, world: client.fetch_page(world.agent_ids()[0], Counts()),
    lambda client, world: client.fetch_session("s", world.agent_ids()[0], Counts()),
    lambda client, _: client.fetch_transcript("s", Counts()),
    lambda client, _: client.fetch_agents(None, None, Counts()),
    lambda client, _: client.fetch_teams(Counts()),
    lambda client, world: list(client.each_record(world.agent_ids()[0], "newest", {}, None)),
]


@pytest.mark.parametrize("ask", REQUESTS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_too_long_ends_each_request_at_once_and_those_after_it_unsent(
    ask: Callable[[Client, World], object],
    status: int,
    client: Client,
    api: Simulator,
    world: World,
    events: list[Event],
) -> None:
    api.add_fault(slow_down(DAY, status=status, times=None))

    with pytest.raises(RetryLater, match=IN_A_DAY) as first:
        ask(client, world)
    for again in REQUESTS:
        with pytest.raises(RetryLater, match="come back"):
            again(client, world)

    assert first.value.status == status
    assert len(api.requests) == 1
    assert DAY - 60 < client.closed_for <= DAY
    assert [event.seconds for event in events if isinstance(event, ApiClosed)] == [DAY]
    assert not [event for event in events if isinstance(event, RequestGivenUp | RequestRetried)]


def test_the_longest_wait_that_is_waited_for_is_a_setting(api: Simulator, world: World) -> None:
    settings = Api(base_url=api.base_url, max_wait=Duration(seconds=1))
    api.add_fault(slow_down(1), slow_down(2))
    with Client(settings, Credentials("sim-token")) as client:
        with pytest.raises(RetryLater):
            client.fetch_page(world.agent_ids()[0], Counts())

    assert [request.status for request in api.requests] == [429, 429]


def test_a_thread_that_waits_already_learns_it(
    client: Client, api: Simulator, world: World, events: list[Event]
) -> None:
    first, second = world.agent_ids()
    api.add_fault(slow_down(250, path=first), slow_down(DAY, path=second))
    found: list[BaseException] = []

    def ask() -> None:
        try:
            client.fetch_page(first, Counts())
        except RetryLater as error:
            found.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while not [event for event in events if isinstance(event, RequestRetried)]:
        threading.Event().wait(0.01)
    limiter = client._waits._limiter
    limiter._next = 0.0
    with pytest.raises(RetryLater):
        client.fetch_page(second, Counts())
    waiting.join(30)

    assert len(found) == 1
    assert len(api.requests) == 2


def test_a_thread_that_waits_for_a_connection_learns_it(api: Simulator, world: World) -> None:
    """Two may be in flight; nothing is sent once the first of them is answered."""
    settings = Api(base_url=api.base_url, concurrency=2)
    api.add_fault(slow_down(DAY, times=None))
    api.latency = 0.2
    found: list[BaseException] = []
    with Client(settings, Credentials("sim-token")) as client:

        def ask() -> None:
            try:
                client.fetch_page(world.agent_ids()[0], Counts())
            except RetryLater as error:
                found.append(error)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert len(found) == 6
    assert len(api.requests) == 2


def test_after_a_429_fewer_requests_are_in_flight_and_later_as_many_as_before(
    api: Simulator, world: World
) -> None:
    settings = Api(base_url=api.base_url, concurrency=2)
    api.add_fault(slow_down(0))
    with Client(settings, Credentials("sim-token")) as client:

        def ask(*_: object) -> None:
            client.fetch_page(world.agent_ids()[0], Counts(), page_size=1)

        def ask_side_by_side() -> int:
            api.latency = 0.2
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(ask, range(2)))
            api.latency = 0.0
            return int(api.stats()["peak_in_flight"])

        ask()
        assert ask_side_by_side() == 1
        for _ in range(CALM):
            ask()
        assert ask_side_by_side() == 2


def test_once_the_time_has_come_requests_are_sent_again(api: Simulator, world: World) -> None:
    settings = Api(base_url=api.base_url, max_wait=Duration(milliseconds=100))
    api.add_fault(slow_down(1))
    with Client(settings, Credentials("sim-token")) as client:
        with pytest.raises(RetryLater):
            client.fetch_page(world.agent_ids()[0], Counts())
        while client.closed_for > 0:
            threading.Event().wait(0.05)

        assert client.fetch_page(world.agent_ids()[0], Counts()).content.listed

    assert api.requests[1].time - api.requests[0].time >= 1


def test_without_a_wish_it_backs_off_as_ever(client: Client, api: Simulator, world: World) -> None:
    api.add_fault(Fault("status", status=429))

    assert client.fetch_page(world.agent_ids()[0], Counts()).content.listed
    assert client.closed_for == 0


def test_the_renewal_of_a_token_is_a_request_like_any(
    api: Simulator, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "refresh-token"
    file.write_text(api.credentials.refresh_token)
    oauth = OAuth(client_id="c", refresh_token_file=str(file))
    settings = Api(base_url=api.base_url, oauth=oauth)
    api.add_fault(slow_down(DAY, path="/oauth/token", times=None))
    with Client(settings, Grant(settings)) as client:
        for _ in range(2):
            with pytest.raises(RetryLater, match=IN_A_DAY):
                client.fetch_page(world.agent_ids()[0], Counts())

        assert client.closed_for > DAY - 60
    grant = Grant(settings)
    for _ in range(2):
        with pytest.raises(RetryLater, match="renewing the access token"):
            grant.get_current()

    assert [request.path for request in api.requests] == ["/oauth/token"] * 2


def test_a_token_that_is_still_valid_outlasts_a_renewal_that_must_wait(
    api: Simulator, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "refresh-token"
    file.write_text(api.credentials.refresh_token)
    oauth = OAuth(client_id="c", refresh_token_file=str(file))
    settings = Api(base_url=api.base_url, oauth=oauth)
    ahead = timedelta(0)
    grant = Grant(settings, clock=lambda: datetime.now(UTC) + ahead)
    before = grant.get_current()
    api.add_fault(slow_down(DAY, path="/oauth/token", times=None))
    ahead = timedelta(minutes=58)

    assert [grant.get_current() for _ in range(3)] == [before] * 3
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "at 14:05 UTC today"),
        (30, "at 14:05 UTC today"),
        (31, "at 14:06 UTC today"),
        (35_730, "at 00:00 UTC tomorrow"),
        (DAY, "at 14:05 UTC tomorrow"),
        (2 * DAY, "at 14:05 UTC on 2026-05-17"),
    ],
)
def test_the_time_is_told_as_people_say_it_and_never_too_early(seconds: float, said: str) -> None:
    assert describe_time(NOW, seconds) == said


def test_a_date_is_compared_with_the_servers_own_clock() -> None:
    ours_is_behind = NOW - timedelta(hours=3)
    headers = {"date": format_datetime(NOW, usegmt=True)}
    headers["retry-after"] = format_datetime(NOW + timedelta(seconds=90), usegmt=True)

    assert wait_asked(headers, ours_is_behind) == 90
    assert wait_asked({"retry-after": headers["retry-after"]}, NOW) == 90


def test_a_wish_beyond_the_calendar_is_told_too() -> None:
    seconds = wait_asked({"retry-after": "9" * 400}, NOW)

    assert seconds is not None
    assert "2036" in describe_time(NOW, seconds)


def test_only_a_later_end_is_news() -> None:
    now = [100.0]
    limiter = RateLimiter(clock=lambda: now[0])

    assert limiter.close(DAY)
    now[0] += 5
    assert not limiter.close(DAY)
    assert not limiter.close(10)
    assert limiter.closed_for == DAY
    assert limiter.close(DAY + 2 * NEWS)
    now[0] += 2 * DAY
    assert limiter.closed_for == 0
    assert limiter.close(1)


def test_a_failure_without_a_wish_stays_what_it_is(client: Client) -> None:
    for wish in (None, 0, 300):
        error = Transient("no", status=503)
        error.retry_after = wish
        assert client._waits.limit_wait("x", error) is error
