"""What a quiet sync costs the database doesn't grow with the history."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, text

from etl.store.store import Store
from tests.sync.lab import RESTART, Lab

SHORT, LONG = 500, 5000


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
    """The rows of sessions that were read so far, by connections that are closed."""
    store.engine.dispose()
    counters = "seq_tup_read + coalesce(idx_tup_fetch, 0)"
    query = f"SELECT {counters} FROM pg_stat_user_tables WHERE relname = 'sessions'"
    with store.reading() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_a_quiet_sync_reads_no_more_of_a_long_history(lab: Lab) -> None:
    lab.page_size = 100
    amounts = []
    for size in (SHORT, LONG):
        lab.spread(size - len(lab.rows()), ago=7200 + 60 * len(lab.rows()))
        assert lab.run(RESTART).status == "succeeded"
        assert len(lab.rows()) == size
        if lab.store.engine.dialect.name == "postgresql":
            with lab.store.engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
        lab.run()

        with measured(lab) as work:
            assert lab.run().status == "succeeded"
        amounts.append(work.amount)

    assert amounts[1] < 1.5 * amounts[0], amounts
