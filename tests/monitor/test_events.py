"""What the floors tell of a run, on real databases and over real HTTP."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Agent, Api, Settings
from etl.credentials import Credentials
from etl.errors import LeaseLost, Malformed, StoreError, Transient
from etl.events import (
    DatabaseFailed,
    Event,
    LeaseTakenOver,
    RequestAnswered,
    RequestDelayed,
    RequestGivenUp,
    RequestRetried,
    RunFinished,
    RunStarted,
    RunUnrecorded,
)
from etl.models import AgentReport
from etl.service.monitor.monitor import Monitor
from etl.service.runs import Service, run_options
from etl.simulator import Fault, Simulator, World
from etl.store.schema import tables as t
from etl.store.store import Store

Sync = Callable[[], AgentReport]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def sync(store: Store, api: Simulator, world: World, events: list[Event]) -> Iterator[Sync]:
    """Syncs the first agent; retries cost no time."""
    settings = Settings(api=Api(base_url=api.base_url, max_attempts=3, timeout=60.0, page_size=50))
    agent, stop = Agent(world.agent_ids()[0]), threading.Event()
    limiter = RateLimiter(per_second=200, draw=lambda: 0.0)
    credentials = Credentials("sim-token")
    with Client(settings.api, credentials, stop, limiter, events.append) as client:
        service = Service(settings, client, store, stop, observe=events.append)
        yield lambda: service.sync_agent(agent, run_options(settings, "incremental"))


def of(kind: type, events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_a_run_tells_its_beginning_its_requests_and_its_end(
    sync: Sync, world: World, events: list[Event]
) -> None:
    report = sync()

    assert events[0] == RunStarted(world.agent_ids()[0], "incremental")
    assert isinstance(events[-1], RunFinished)
    assert events[-1].report is report
    assert report.cause is None
    answers = of(RequestAnswered, events)
    assert len(answers) == report.counts.requests
    assert all(
        isinstance(a, RequestAnswered) and a.status == 200 and a.seconds > 0 for a in answers
    )
    assert of(RequestDelayed, events)


def test_retries_and_giving_up_are_told(sync: Sync, api: Simulator, events: list[Event]) -> None:
    api.add_fault(Fault("status", status=503, times=None))

    report = sync()

    assert report.status == "failed"
    assert isinstance(report.cause, Transient)
    assert {event.status for event in of(RequestAnswered, events)} == {503}  # type: ignore[union-attr]
    retried = [event for event in events if isinstance(event, RequestRetried)]
    gave_up = of(RequestGivenUp, events)
    assert len(retried) == 2 * len(gave_up) > 0
    assert {event.attempt for event in retried} == {1, 2}
    assert {type(event.error) for event in retried} == {Transient}


def test_an_answer_that_makes_no_sense_is_told(
    sync: Sync, api: Simulator, events: list[Event]
) -> None:
    api.add_fault(Fault("status", status=200, message="no sessions here", times=None))

    report = sync()

    assert isinstance(report.cause, Malformed)
    assert {event.status for event in of(RequestAnswered, events)} == {200}  # type: ignore[union-attr]
    assert of(RequestGivenUp, events)


def test_a_lease_taken_away_is_told(
    sync: Sync, store: Store, api: Simulator, events: list[Event]
) -> None:
    def take_over(_: object) -> None:
        with store.engine.begin() as connection:
            connection.execute(update(t.sync_state).values(fence=t.sync_state.c.fence + 1))

    api.on_request = take_over

    report = sync()

    assert report.status == "failed"
    assert isinstance(report.cause, LeaseLost)
    assert not of(LeaseTakenOver, events)


def test_a_lease_of_the_dead_is_told_of_when_taken(
    sync: Sync, store: Store, events: list[Event], world: World
) -> None:
    agent = world.agent_ids()[0]
    store.claim(agent)
    with store.engine.begin() as connection:
        run_out = {"lease_holder": "tok@elsewhere/0:1:2", "lease_expires_at": utc_now()}
        connection.execute(update(t.sync_state).values(run_out))

    assert sync().status == "succeeded"
    assert sync().status == "succeeded"

    assert of(LeaseTakenOver, events) == [LeaseTakenOver(agent)]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_run_whose_end_cannot_be_written_is_told(
    sync: Sync, store: Store, api: Simulator, world: World, events: list[Event]
) -> None:
    monitor = Monitor(
        Settings(), world.agent_ids(), run_options(Settings(), "incremental").lookback
    )
    monitor.observe = events.append  # type: ignore[method-assign]
    monitor.start(store)

    def break_it(_: object) -> None:
        api.on_request = None
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE sync_runs RENAME TO away")

    api.on_request = break_it

    report = sync()

    assert report.status == "failed"
    assert isinstance(report.cause, StoreError)
    (unrecorded,) = of(RunUnrecorded, events)
    assert isinstance(unrecorded, RunUnrecorded)
    assert (unrecorded.agent_id, unrecorded.mode) == (world.agent_ids()[0], "incremental")
    assert of(DatabaseFailed, events)
