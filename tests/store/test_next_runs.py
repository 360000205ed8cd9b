"""When an agent is synced next, as schedulers keep it and `status` reads it."""

from datetime import UTC, datetime, timedelta

import pytest

from etl.store.runs.lease import name_holder
from etl.store.runs.next_runs import clear_next_runs, find_next_run, save_next_run
from etl.store.store import Store

AGENT = "agent"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
ELSEWHERE = "0@another-host/1:1:1"
DEAD = name_holder().rpartition(":")[0] + ":0"
"""Of a process on this host that had our pid before us."""


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.fixture
def known(store: Store) -> Store:
    """A database that knows the agent."""
    store.claim(AGENT)
    return store


def keep(store: Store, minutes: float, me: str) -> None:
    store.transact(lambda connection: save_next_run(connection, AGENT, at(minutes), me, NOW))


def found(store: Store, now: datetime = NOW) -> datetime | None:
    with store.connect() as connection:
        return find_next_run(connection, AGENT, name_holder(), now)


def test_without_a_scheduler_there_is_no_next_run(known: Store) -> None:
    assert found(known) is None


@pytest.mark.parametrize("me", [name_holder(), ELSEWHERE], ids=["here", "elsewhere"])
def test_a_scheduler_at_work_tells_its_next_run_until_it_is_late(known: Store, me: str) -> None:
    keep(known, 15, me)

    assert found(known) == at(15)
    assert found(known, at(15)) is None


def test_a_scheduler_that_was_killed_on_this_host_tells_none(known: Store) -> None:
    keep(known, 15, DEAD)

    assert found(known) is None


def test_of_several_schedulers_the_soonest_counts(known: Store) -> None:
    keep(known, 10, ELSEWHERE)
    keep(known, 15, name_holder())
    assert found(known) == at(10)

    keep(known, 5, name_holder())
    assert found(known) == at(5)


def test_a_scheduler_moves_its_own_next_run_and_takes_over_from_a_dead_one(known: Store) -> None:
    me = name_holder()
    keep(known, 5, DEAD)
    keep(known, 10, me)
    assert found(known) == at(10)

    keep(known, 25, me)
    assert found(known) == at(25)


@pytest.mark.parametrize("agent", [AGENT, None])
def test_one_that_ends_clears_its_own_alone(known: Store, agent: str | None) -> None:
    me = name_holder()
    keep(known, 10, ELSEWHERE)
    known.transact(lambda connection: clear_next_runs(connection, me, agent))
    assert found(known) == at(10)

    keep(known, 5, me)
    known.transact(lambda connection: clear_next_runs(connection, me, agent))
    assert found(known) is None
