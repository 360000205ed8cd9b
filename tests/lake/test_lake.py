"""A lake after one run and after several: it equals the database, and quiet runs do nothing."""

import gc
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from sqlalchemy import delete, insert, null, update

from etl.analytics.lake import month as months
from etl.analytics.lake.tables import UNDATED
from etl.planning.run_demand import RunOptions
from etl.simulator import World
from etl.store.lakes import list_lakes
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.conftest import Runner
from tests.export.conftest import fill
from tests.lake.conftest import Carry, assert_equal, changed, duck, ids, kept, versions

LATER = datetime(2026, 6, 1, tzinfo=UTC)


def test_the_first_run_carries_over_every_row(filled: Store, lake: Path, carry: Carry) -> None:
    report = carry()

    assert_equal(filled, lake)
    assert {one.name: one.rows for one in report.tables} == {
        one.name: one.inserted for one in report.tables
    }
    assert "session_messages" not in {one.name for one in report.tables}
    [status] = list_lakes(filled)
    assert (status.target, status.as_of, status.error) == (str(lake), report.as_of, None)


def test_a_run_over_unchanged_rows_commits_nothing(filled: Store, lake: Path, carry: Carry) -> None:
    carry()
    before = versions(lake)

    assert changed(carry()) == {}
    assert versions(lake) == before


def test_rows_that_change_appear_vanish_or_go_missing_are_carried_over_in_one_commit(
    filled: Store, lake: Path, carry: Carry
) -> None:
    carry()
    first, second, third, *_ = ids(filled)
    before = versions(lake)["sessions"]
    c = t.sessions.c
    with filled.engine.begin() as connection:
        # Not a timestamp tells of it: `updated_at` stays.
        connection.execute(update(t.sessions).where(c.id == first).values(credit_cost=0.1 + 0.2))
        connection.execute(update(t.sessions).where(c.id == second).values(missing_since=LATER))
        for table in (t.state_changes, t.retrievals, t.suspects):
            connection.execute(delete(table).where(table.c.session_id == third))
        connection.execute(delete(t.sessions).where(c.id == third))
        seen = {"first_seen_at": LATER, "updated_at": LATER, "as_of": LATER}
        agent = {"agent_id": kept(lake, "agents")[0]["id"]}
        connection.execute(insert(t.sessions).values({"id": "new"} | agent | seen))

    report = carry()

    assert changed(report)["sessions"] == (1, 2, 1)
    assert_equal(filled, lake)
    # The change, a vacuum that tells its beginning and its end, and that it was done.
    commits = DeltaTable(lake / "sessions").history()
    data = [commit for commit in commits if commit["operation"] == "WRITE"]
    assert [commit["version"] for commit in data][1] == before + 1
    assert versions(lake)["sessions"] == before + 4


def test_a_session_that_gets_a_date_moves_to_its_month(
    filled: Store, lake: Path, carry: Carry
) -> None:
    carry()
    with filled.engine.begin() as connection:
        is_it = t.sessions.c.id == "undated"
        connection.execute(update(t.sessions).where(is_it).values(created_at=LATER))

    carry()

    assert_equal(filled, lake)
    assert duck(lake, "SELECT month FROM sessions WHERE id = 'undated'") == [{"month": "2026-06"}]


def test_values_as_bad_as_the_tables_take_them_arrive_unharmed(
    store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)

    carry()
    assert changed(carry()) == {}

    assert_equal(store, lake)


def test_credits_that_no_engine_can_hold_are_null_and_told(
    store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)
    some = ids(store)[0]
    with store.engine.begin() as connection:
        is_it = t.sessions.c.id == some
        connection.execute(update(t.sessions).where(is_it).values(credit_cost=1e40))

    report = carry()

    assert {one.name: one.unfit for one in report.tables if one.unfit} == {"sessions": 1}
    [row] = [row for row in kept(lake, "sessions") if row["id"] == some]
    assert row["credit_cost"] is None
    assert changed(carry()) == {}


def test_a_table_of_an_older_release_gets_the_columns_that_it_lacks(
    filled: Store, lake: Path, carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from etl.analytics.lake import run as lake_run

    tables = lake_run.list_lake_tables()
    older = [table._replace(columns=table.columns[:-1]) for table in tables]
    monkeypatch.setattr(lake_run, "list_lake_tables", lambda: older)
    carry()
    monkeypatch.undo()

    carry()

    assert_equal(filled, lake)


def test_many_small_changes_leave_few_files(
    filled: Store, lake: Path, carry: Carry, world: World, run_agent: Runner
) -> None:
    carry()
    agent = world.agent_ids()[0]
    for _ in range(months.MOST_FILES + 4):
        world.add_session(agent, created_at=world.now, state="completed")
        run_agent(agent)
        carry()

    assert_equal(filled, lake)
    files = DeltaTable(lake / "sessions").file_uris()
    by_month = [file.split("month=")[1].split("/")[0] for file in files]
    assert max(by_month.count(one) for one in by_month) <= months.MOST_FILES


def test_the_log_names_nobody(filled: Store, lake: Path, carry: Carry) -> None:
    """Statistics of columns stay in the log when their files are long gone."""
    carry()
    people = {row[key] for row in kept(lake, "creators") for key in ("id", "email", "last_name")}
    told = "".join(path.read_text() for path in lake.glob("*/_delta_log/*.json"))

    assert people - {None}
    assert [name for name in people if name and name in told] == []


def test_statistics_tell_which_dates_a_file_holds(filled: Store, lake: Path, carry: Carry) -> None:
    carry()
    for action in pa.table(DeltaTable(lake / "sessions").get_add_actions(flatten=True)).to_pylist():
        path = lake / "sessions" / action["path"]
        dates = pq.ParquetFile(path).read(["created_at"])["created_at"].to_pylist()
        assert action["num_records"] == len(dates)
        if action["partition.month"] == UNDATED:
            assert action["min.created_at"] is None
            continue
        assert action["min.created_at"] <= min(dates) <= max(dates) <= action["max.created_at"]
        assert {f"{date:%Y-%m}" for date in dates} == {action["partition.month"]}


def test_messages_are_carried_over_once_there_are_any_and_deleted_with_them(
    filled: Store, lake: Path, carry: Carry
) -> None:
    some = ids(filled)[0]
    message = {"session_id": some, "role": "user", "content": "Call Ada", "parts": [{"a": 1}]}
    with filled.engine.begin() as connection:
        rows = [message | {"number": n + 1, "position": n} for n in (0, 1, 10)]
        connection.execute(insert(t.session_messages), [row | {"extra": null()} for row in rows])
    carry()
    assert_equal(filled, lake)
    assert len(kept(lake, "session_messages")) == 3

    with filled.engine.begin() as connection:
        connection.execute(delete(t.session_messages))
    carry()

    assert kept(lake, "session_messages") == []
    assert list((lake / "session_messages").rglob("*.parquet")) == []


def test_agent_days_is_the_same_on_either_side(filled: Store, lake: Path, carry: Carry) -> None:
    carry()
    with filled.connect() as connection:
        query = "SELECT agent_id, day, sessions, failed, credit_cost, input_tokens FROM agent_days"
        rows = connection.exec_driver_sql(query).fetchall()
    found = duck(
        lake,
        "SELECT agent_id, CAST(created_at AS DATE) AS day, count(*) AS sessions,"
        " count(*) FILTER (state = 'failed') AS failed, sum(credit_cost) AS credits,"
        " sum(input_tokens) AS tokens FROM sessions WHERE created_at IS NOT NULL GROUP BY 1, 2",
    )

    assert rows
    assert sorted(figures(row.values()) for row in found) == sorted(map(figures, rows))


def figures(row: Iterable[Any]) -> tuple[Any, ...]:
    agent, day, sessions, failed, credits, tokens = row
    return agent, str(day), sessions, failed, round(float(credits or 0), 6), int(tokens or 0)


def test_one_sync_later_the_lake_follows(
    filled: Store, lake: Path, carry: Carry, world: World, run_agent: Runner
) -> None:
    carry()
    for one in world.agent_ids():
        world.add_session(one, created_at=world.now, state="processing")
        run_agent(one, RunOptions("reconcile"))

    assert changed(carry())["sessions"] == (2, 0, 0)
    assert_equal(filled, lake)


def test_an_interrupt_amid_the_rows_leaves_no_cursor_open(filled: Store, carry: Carry) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry(on_progress=interrupt)
    # A generator that is still open would complain now that its connection is closed.
    gc.collect()

    assert carry().tables
