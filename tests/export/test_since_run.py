"""A chain of incremental exports, merged by key, is the database: whatever ran meanwhile."""

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from etl.analytics.export import rules
from etl.analytics.export.exporter import ExportOptions, export
from etl.clock import utc_now
from etl.errors import ConfigError
from etl.models import Counts
from etl.planning.run_demand import RunOptions as SyncWish
from etl.simulator import Simulator, World
from etl.simulator.http.server import RequestRecord
from etl.store.runs.lease import Lease
from etl.store.runs.runs import finish_run, start_run
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.responses import Run
from tests.conftest import Runner
from tests.export.conftest import NOON, Export, add_session, parquet, same, stored

KEYS = {
    "creators": ("id",),
    "sessions": ("id",),
    "session_states": ("session_id", "observed_at"),
    "sync_runs": ("id",),
    "rejected_records": ("id",),
}


class Chain:
    """Exports, each from where the one before says, merged as docs/export.md tells."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.next: int | None = None
        self.sizes: list[int] = []
        self._folders = (folder / str(number) for number in itertools.count())
        self._merged: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in KEYS}
        self._turn = threading.Lock()

    def go_on(self) -> dict[str, Any]:
        """Export what changed, and merge it."""
        with self._turn:
            options = ExportOptions(
                next(self._folders), tables=[*KEYS, "coverage"], since_run=self.next
            )
            told = export(self.store.url, options, utc_now())
            for name, keys in KEYS.items():
                rows = parquet(options.output, name)
                self._merged[name] |= {tuple(row[key] for key in keys): row for row in rows}
            self.sizes.append(sum(table["rows"] for table in told["tables"]))
            self.next = told["next_since_run"]
            return told

    def holds_all(self) -> None:
        """Check that the merged rows are the stored ones."""
        for name in KEYS:
            same(list(self._merged[name].values()), stored(self.store, name))


def test_exports_amid_runs_lose_nothing(
    store: Store, run_agent: Runner, api: Simulator, world: World, tmp_path: Path
) -> None:
    chain, agents = Chain(store, tmp_path / "chain"), world.agent_ids()
    world.add_raw(agents[0], {"id": "odd", "created_at": "last Tuesday"}, world.now)
    requests = itertools.count()

    def export_now_and_then(_: RequestRecord) -> None:
        if next(requests) % 6 == 0:
            chain.go_on()

    api.on_request = export_now_and_then
    both_at_once(lambda agent: run_agent(agent, SyncWish("backfill"), timeout=60.0), agents)
    for agent in agents:
        changed, gone = [row["id"] for row in world.sessions(agent)[100:102]]
        world.change(changed, usage={"credit_cost": 99.5}, name="another")
        world.remove(gone)
        world.add_session(agent, created_at=world.now)
    both_at_once(lambda agent: run_agent(agent, SyncWish("reconcile"), timeout=60.0), agents)
    chain.go_on()

    assert len(chain.sizes) > 5
    chain.holds_all()


def both_at_once(work: Callable[[str], Any], agents: list[str]) -> None:
    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_export_after_a_quiet_run_is_small(
    store: Store, run_agent: Runner, world: World, tmp_path: Path
) -> None:
    chain = Chain(store, tmp_path / "chain")
    for agent in world.agent_ids():
        run_agent(agent, SyncWish("backfill"))
    whole = chain.go_on()
    run_agent(world.agent_ids()[0])
    chain.go_on()

    told = chain.go_on()

    rows = {table["name"]: table["rows"] for table in told["tables"]}
    assert (rows["sessions"], rows["sync_runs"]) == (0, 1)
    assert {table["name"]: table["whole"] for table in told["tables"]}["coverage"]
    assert whole["since_run"] is None and told["since_run"] == 3
    chain.holds_all()


def start(store: Store, agent: str, at: datetime) -> Run:
    lease = store.claim(agent)
    assert isinstance(lease, Lease)
    return start_run(store, lease, "incremental", store.load_state(agent), at)


def end(store: Store, run: Run, at: datetime) -> None:
    finish_run(store, run, "succeeded", Counts(), None, at)


def after(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_rows_that_a_run_under_way_commits_later_are_in_the_next_export(
    store: Store, tmp_path: Path
) -> None:
    """They are older than a later run that ended before the export."""
    chain = Chain(store, tmp_path / "chain")
    slow = start(store, "slow", after(0))
    end(store, start(store, "quick", after(2)), after(3))
    chain.go_on()

    assert chain.next == slow.id
    with store.engine.begin() as connection:
        late(connection, "slow", slow.id, after(1))
    end(store, slow, after(4))
    chain.go_on()

    chain.holds_all()
    assert chain.next == slow.id + 1


def late(connection: Connection, agent: str, run_id: int | None, at: datetime) -> None:
    """What a transaction leaves that began long before it was committed."""
    fields = {"agent_id": agent, "creator_id": None, "updated_at": at, "as_of": at}
    add_session(connection, 1, id="late", **fields)
    state = {"session_id": "late", "state": "idle", "observed_at": at, "run_id": run_id}
    connection.execute(insert(t.state_changes).values(state))
    bad = {"agent_id": agent, "run_id": run_id, "received_at": at, "payload": "x"}
    connection.execute(
        insert(t.rejected_records).values(bad | {"payload_sha256": "0", "reason": "bad"})
    )


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_run_that_was_not_committed_yet_is_in_the_next_export(
    store: Store, tmp_path: Path
) -> None:
    """SQLite's writers take turns."""
    chain = Chain(store, tmp_path / "chain")
    first = start(store, "first", after(-9))
    end(store, first, after(-8))
    store.release(first.lease)
    end(store, start(store, "slow", after(-7)), after(-6))
    run = {"agent_id": "slow", "mode": "incremental", "status": "running", "started_at": after(0)}
    with closing(store.engine.connect()) as connection, connection.begin():
        statement = insert(t.sync_runs).values(run)
        (id,) = connection.execute(statement).inserted_primary_key or ()
        end(store, start(store, "quick", after(2)), after(3))
        chain.go_on()
        assert chain.next is not None and chain.next < id
        late(connection, "slow", id, after(1))
    ended = {"status": "succeeded", "finished_at": after(1)}
    store.transact(
        lambda c: c.execute(update(t.sync_runs).where(t.sync_runs.c.id == id).values(ended))
    )
    chain.go_on()

    chain.holds_all()


def test_what_was_settled_meanwhile_comes_again(store: Store, tmp_path: Path) -> None:
    """An older record and an older run that a later run, named by hand, saw the end of."""
    chain = Chain(store, tmp_path / "chain")
    older = start(store, "other", after(-1))
    first = start(store, "one", after(0))
    with store.engine.begin() as connection:
        late(connection, "one", first.id, after(1))
    end(store, first, after(2))
    store.release(first.lease)
    chain.go_on()
    second = start(store, "one", after(10))
    with store.engine.begin() as connection:
        connection.execute(update(t.rejected_records).values(resolved_at=after(11)))
    end(store, second, after(12))
    end(store, older, after(12))
    chain.next = second.id

    chain.go_on()

    chain.holds_all()


def test_a_small_export_takes_no_big_ones_place(
    store: Store, exported: Export, lake: Path, tmp_path: Path
) -> None:
    runs = [start(store, f"agent {number}", after(number)) for number in range(3)]
    for run in runs:
        end(store, run, after(9))
    exported()
    with pytest.raises(ConfigError, match="does not contain"):
        exported(since_run=runs[0].id)

    exported(tmp_path / "delta", since_run=runs[1].id)
    exported(tmp_path / "delta", since_run=runs[1].id)
    exported(tmp_path / "delta", since_run=runs[0].id)
    with pytest.raises(ConfigError, match="does not contain"):
        exported(tmp_path / "delta", since_run=runs[1].id)


def test_every_table_that_is_exported_by_changes_says_how() -> None:
    for name, columns in rules.CHANGES.items():
        assert set(columns) <= set(getattr(t, name).c.keys())
    assert set(rules.CHANGES) == set(KEYS)
