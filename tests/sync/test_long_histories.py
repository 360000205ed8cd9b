"""What a quiet sync and a scrape cost the database doesn't grow with the history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from etl.clock import utc_now
from etl.store.read import probes
from etl.store.store import Store
from tests.support.waiting import until
from tests.sync.lab import AGENT, RESTART, Lab

SHORT, LONG, IDLE = 500, 5000, 5


@dataclass
class Work:
    """What a database has done: SQLite's steps in hundreds, PostgreSQL's rows read."""

    amount: int = 0


@contextmanager
def measured(lab: Lab) -> Iterator[Work]:
    """Count what the database does meanwhile."""
    work = Work()
    if lab.store.engine.dialect.name == "sqlite":

        def count_steps() -> int:
            work.amount += 1
            return 0

        def watch(connection: Any, *_: Any) -> None:
            connection.set_progress_handler(count_steps, 100)

        lab.store.engine.dispose()
        event.listen(lab.store.engine, "connect", watch)
        yield work
        event.remove(lab.store.engine, "connect", watch)
        lab.store.engine.dispose()
    else:
        before = rows_read(lab.store)
        yield work
        work.amount = rows_read(lab.store) - before


def rows_read(store: Store) -> int:
    """The rows of sessions that were read so far. A connection counts its own as it ends."""
    store.engine.dispose()
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
    until(lambda: not scalar(store, waiting), "the end of other connections")
    counters = "seq_tup_read + coalesce(idx_tup_fetch, 0)"
    query = f"SELECT {counters} FROM pg_stat_user_tables WHERE relname = 'sessions'"
    return scalar(store, query)


def scalar(store: Store, query: str) -> int:
    with store.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def sync(lab: Lab) -> None:
    assert lab.run().status == "succeeded"


def scrape(lab: Lab) -> None:
    """What /metrics reads at each scrape."""
    opened = probes.read_open_sessions(lab.store, [AGENT], utc_now(), timedelta(days=7))
    assert opened[AGENT].sessions == IDLE


def test_a_quiet_sync_takes_ten_transactions(lab: Lab) -> None:
    """However few: on PostgreSQL each costs round trips, and there are agents by the hundred."""
    lab.page_size = 100
    lab.spread(250)
    for _ in range(2):
        sync(lab)
    begun: list[object] = []
    event.listen(lab.store.engine, "begin", lambda connection: begun.append(connection))

    sync(lab)

    assert 0 < len(begun) <= 10


@pytest.mark.parametrize("work", [sync, scrape])
def test_a_long_history_costs_no_more_than_a_short_one(
    lab: Lab, work: Callable[[Lab], None]
) -> None:
    """Nothing has changed; a few sessions are idle, and due in each sync."""
    lab.page_size = 100
    lab.spread(IDLE, ago=864_000, state="idle")
    amounts = []
    for size in (SHORT, LONG):
        stored = len(lab.rows()) or IDLE
        lab.spread(size - stored, ago=7200 + 60 * stored)
        assert lab.run(RESTART).status == "succeeded"
        assert len(lab.rows()) == size
        if lab.store.engine.dialect.name == "postgresql":
            with lab.store.engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
        sync(lab)

        with measured(lab) as done:
            work(lab)
        amounts.append(done.amount)

    assert 0 < amounts[1] < 1.5 * amounts[0], amounts
