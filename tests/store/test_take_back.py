"""What a clock that was ahead has left: it must not outweigh what is fetched from now on."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from etl.clock import utc_now
from etl.models import CLOCKS_DIFFER
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, World
from etl.store.runs.lease import LEASE, Lease, LeaseHolder
from etl.store.runs.take_back import load_repaired_state
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.conftest import Runner

AHEAD = timedelta(days=1500)
TIMES: dict[str, Any] = {
    "sessions": ("as_of", "updated_at", "first_seen_at"),
    "creators": ("as_of",),
    "retrievals": ("retrieved_at",),
    "transcripts": ("as_of", "retrieved_at", "retry_at"),
    "sync_state": ("last_success_at", "last_reconciled_at", "demand_started_at"),
    "coverage": ("newest_created_at", "proven_at"),
    "sync_runs": ("started_at",),
}


@pytest.fixture
def world() -> World:
    """One agent with a history of two pages."""
    return World.generate(agents=1, sessions=80, seed=3)


def move(store: Store, by: timedelta) -> None:
    """As if it had all been written by a clock that was so far ahead."""
    with store.engine.begin() as connection:
        for table in (table for table in t.metadata.sorted_tables if table.name in TIMES):
            for name in TIMES[table.name]:
                column = table.c[name]
                for at in set(connection.execute(select(column)).scalars()) - {None}:
                    values = {name: at + by}
                    connection.execute(update(table).where(column == at).values(values))


def latest(store: Store) -> dict[str, datetime]:
    found = {}
    with store.connect() as connection:
        for table in (table for table in t.metadata.sorted_tables if table.name in TIMES):
            for name in TIMES[table.name]:
                times = [at for at in connection.execute(select(table.c[name])).scalars() if at]
                found |= {f"{table.name}.{name}": max(times)} if times else {}
    return found


def names(store: Store) -> dict[str, str]:
    with store.connect() as connection:
        query = select(t.sessions.c.id, t.sessions.c.name)
        return {row.id: row.name for row in connection.execute(query)}


@pytest.mark.parametrize("mode", ["incremental", "reconcile"])
def test_newer_responses_count_again(
    store: Store, world: World, run_agent: Runner, mode: Any
) -> None:
    agent = world.agent_ids()[0]
    assert run_agent(agent, RunOptions("reconcile", transcripts=100)).status == "succeeded"
    move(store, AHEAD)
    newest = world.sessions(agent)[0]["id"]
    world.change(newest, name="Changed")

    report = run_agent(agent, RunOptions(mode))

    assert report.status == "succeeded"
    assert names(store)[newest] == "Changed"
    left = {name: at for name, at in latest(store).items() if at > utc_now()}
    assert set(left) <= {"sync_runs.started_at"}
    assert run_agent(agent, RunOptions(mode)).counts.updated == 0


def test_a_demand_of_the_future_is_none(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    demand = {"demand_mode": "reconcile", "demand_started_at": utc_now() + AHEAD}
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(demand))

    report = run_agent(agent, RunOptions("reconcile", resume_within=timedelta(days=1)))

    assert (report.status, report.error) == ("succeeded", None)


def test_transcripts_that_were_up_to_date_stay_so(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    assert run_agent(agent, RunOptions(transcripts=100)).transcripts.fetched == 80
    move(store, AHEAD)

    report = run_agent(agent, RunOptions(transcripts=100))

    assert report.transcripts.fetched == 0


def test_a_retry_of_years_is_one_of_now(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, RunOptions(transcripts=100))
    move(store, AHEAD)
    with store.engine.begin() as connection:
        connection.execute(update(t.transcripts).values(retry_at=utc_now() + AHEAD))

    assert run_agent(agent, RunOptions(transcripts=100)).transcripts.fetched == 80


def test_a_suspect_of_the_future_does_not_outlive_its_return(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    move(store, AHEAD)
    suspect = {"agent_id": agent, "session_id": world.sessions(agent)[0]["id"]}
    with store.engine.begin() as connection:
        connection.execute(insert(t.suspects).values(**suspect, suspected_at=utc_now() + AHEAD))

    assert run_agent(agent, RunOptions("reconcile")).counts.missing == 0


def test_hosts_may_disagree_a_little(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    move(store, CLOCKS_DIFFER / 2)
    lease, before = store.claim(agent), store.load_state(agent)
    assert isinstance(lease, Lease)
    assert before.last_success_at is not None
    assert before.last_success_at > utc_now()

    assert load_repaired_state(store, lease, utc_now()) == (before, set())


def test_what_one_process_has_seen_itself_is_no_newer_either(
    store: Store, world: World, run_agent: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is set back while the process works: what it remembers lies ahead then."""
    agent = world.agent_ids()[0]
    ahead = timedelta(hours=1)
    monkeypatch.setattr(store, "_clock", lambda: utc_now() + ahead)
    monkeypatch.setattr(store._responses, "_clock", lambda: utc_now() + ahead)
    run_agent(agent, clock=lambda: utc_now() + ahead)
    newest = world.sessions(agent)[0]["id"]
    world.change(newest, name="Changed")
    ahead = timedelta(0)

    assert run_agent(agent).status == "succeeded"

    assert names(store)[newest] == "Changed"


def test_a_lease_never_lasts_longer_than_a_lease(store: Store) -> None:
    taken = store.claim("a")
    assert isinstance(taken, Lease)
    frozen = {"lease_holder": "tok@elsewhere/0:1:2", "lease_expires_at": utc_now() + AHEAD}
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(frozen))

    for _ in range(2):
        held = store.claim("a")
        assert isinstance(held, LeaseHolder)
        assert held.seconds <= LEASE.total_seconds()
    with store.connect() as connection:
        ends = connection.execute(select(t.sync_state.c.lease_expires_at)).scalar()
    assert ends is not None
    assert ends < utc_now() + 2 * LEASE
    store.renew(taken)
