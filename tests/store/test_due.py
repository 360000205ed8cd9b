"""Which transcripts are due: the rule, on both databases, for any histories of rows and markers."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.clock import utc_now
from etl.store.runs.lease import Lease
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.transcripts import (
    Due,
    count_transcripts,
    note_failure,
    save_transcript,
    select_due,
)
from tests.support.postgres import Cluster

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
times = st.sampled_from([NOW + timedelta(microseconds=n) for n in (-5, -1, 0, 1, 5)])
numbers = count()


class Row(NamedTuple):
    """A session and, unless `marked` is None, its marker."""

    as_of: datetime
    created_at: datetime | None
    missing: bool
    marked: datetime | None
    retry_at: datetime | None


rows = st.builds(Row, times, st.none() | times, st.booleans(), st.none() | times, st.none() | times)


def wanted(row: Row) -> bool:
    """The rule in words: never asked for, changed since, or failed and its time has come."""
    is_again = row.retry_at is not None and row.retry_at <= NOW
    return not row.missing and (row.marked is None or row.marked != row.as_of or is_again)


def rank(row: Row) -> tuple[bool, datetime]:
    """Failed ones come last; else the newest first, undated ones after them."""
    failed = row.marked is not None and row.retry_at is not None
    return not failed, row.created_at or datetime.min.replace(tzinfo=UTC)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A database for all examples."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('due') / 'test.db'}"
        with closing(Store(url, utc_now)) as store:
            migrate.upgrade(store.engine)
            yield store
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh(request.getfixturevalue("postgres_template"))
    with closing(Store(url, utc_now)) as store:
        yield store
    cluster.drop(url)


def plant(store: Store, history: list[Row]) -> tuple[Lease, dict[str, Row]]:
    """These sessions of a new agent, with their markers as the program writes them."""
    agent = f"agent {next(numbers)}"
    lease = store.claim(agent)
    assert isinstance(lease, Lease)
    planted = {f"{agent}/{number}": row for number, row in enumerate(history)}
    with store.engine.begin() as connection:
        for id, row in planted.items():
            gone = NOW if row.missing else None
            stamps = {"first_seen_at": NOW, "updated_at": NOW, "missing_since": gone}
            values = {"id": id, "agent_id": agent, "as_of": row.as_of, **stamps}
            connection.execute(t.sessions.insert().values(created_at=row.created_at, **values))
    for id, row in planted.items():
        if row.marked is not None:
            save_transcript(store, lease, Due(id, row.marked), [], NOW)
            if row.retry_at is not None:
                note_failure(store, lease, Due(id, row.marked), "no", row.retry_at)
    return lease, planted


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(rows, max_size=8), st.integers(0, 9))
def test_due_are_those_never_asked_for_changed_or_to_be_tried_again(
    kept: Store, history: list[Row], most: int
) -> None:
    lease, planted = plant(kept, history)
    due = {id: row for id, row in planted.items() if wanted(row)}

    with kept.connect() as connection:
        chosen, left = select_due(connection, lease.agent_id, most, NOW)
        counted: Any = count_transcripts(connection, lease.agent_id, NOW)

    assert len({one.session_id for one in chosen}) == len(chosen) == min(most, len(due))
    assert left == len(due) - len(chosen)
    assert counted.left == len(due)
    assert all(due[one.session_id].as_of == one.as_of for one in chosen)
    ranks = [rank(due[one.session_id]) for one in chosen]
    assert ranks == sorted(map(rank, due.values()), reverse=True)[:most]


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(rows, min_size=1, max_size=6))
def test_once_each_was_retrieved_none_is_due_ever(kept: Store, history: list[Row]) -> None:
    lease, _ = plant(kept, history)
    with kept.connect() as connection:
        chosen, _ = select_due(connection, lease.agent_id, 100, NOW)
    for due in chosen:
        save_transcript(kept, lease, due, [], NOW)

    with kept.connect() as connection:
        again = select_due(connection, lease.agent_id, 100, NOW)

    assert again == ([], 0)
