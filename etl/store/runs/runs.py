"""Runs of one agent: how they begin and end, and what they leave for the next one."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from etl.models import Counts, Mode, Status
from etl.planning.coverage import Coverage, forget_freshness, forget_freshness_around
from etl.planning.run_demand import AgentState, StoredDemand
from etl.store.privacy.redaction import redact_sentence, wait_for_lock
from etl.store.runs import lease as leases
from etl.store.runs.agent_state import save_coverage
from etl.store.runs.checkpoint import COUNTED
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write import suspects
from etl.store.write.responses import Run
from etl.store.write.suspects import MissingResult

A_DAY: Final = timedelta(days=1)
RUNS: Final = t.sync_runs


def start_run(
    store: Store,
    lease: Lease,
    mode: Mode,
    state: AgentState,
    started_at: datetime,
    demand: StoredDemand | None = None,
) -> Run:
    """Open a run. Runs of this agent that never ended are marked interrupted: they died.

    A run that has closed itself since, after it had lost its lease, counts as ended now. The
    demand is remembered, so that a run after a crash can go on with it; None leaves the stored one.
    Raises LeaseLost, StoreError.
    """
    c = RUNS.c
    values: dict[str, Any] = {"agent_id": lease.agent_id, "mode": mode, "status": "running"}
    values |= {"started_at": started_at, "watermark_before": state.watermark}
    mine = (c.agent_id == lease.agent_id, c.status == "running")
    remembered: dict[str, Any] = {"history_from": state.history_from}
    if demand is not None:
        remembered |= {"demand_mode": demand.mode, "demand_started_at": demand.started_at}
        remembered |= {"demand_since": demand.since, "demand_until": demand.until}
    died = {"status": "interrupted", "finished_at": started_at, "error": "the process died"}

    def work(connection: Connection) -> int:
        leases.renew(connection, lease, **remembered)
        same = select(c.id).where(*mine, c.started_at == started_at, c.mode == mode)
        found = connection.scalar(same)
        if found is not None:
            return int(found)
        connection.execute(update(RUNS).where(*mine).values(died))
        lately = c.started_at.between(started_at - A_DAY, started_at)
        late = (c.agent_id == lease.agent_id, lately, c.finished_at > started_at)
        connection.execute(update(RUNS).where(*late).values(finished_at=started_at))
        row = values | {"watermark_after": state.watermark}
        key = connection.execute(insert(RUNS).values(row)).inserted_primary_key
        assert key is not None
        return int(key[0])

    return Run(store.transact(work), lease, lease.agent_id, mode, started_at)


def finish_run(
    store: Store, run: Run, status: Status, counts: Counts, error: str | None, now: datetime
) -> None:
    """Close a run, unless another process has taken over and closed it.

    A success clears the demand and notes when it ended. Raises LeaseLost, StoreError.
    """
    ended: dict[str, Any] = {"status": status, "finished_at": now, "error": None}
    ended |= {name: getattr(counts, name) for name in (*COUNTED, "missing")}
    met: dict[str, Any] = {"last_success_at": now, "saves": t.sync_state.c.saves + 1}
    if run.mode == "reconcile":
        met["last_reconciled_at"] = now
    is_met = status == "succeeded" and run.mode != "verify"

    def work(connection: Connection) -> None:
        still_ours = (RUNS.c.id == run.id, RUNS.c.status == "running")
        if error:
            wait_for_lock(connection)
            ended["error"] = store.make_storable(redact_sentence(connection, store.rules, error))
        connection.execute(update(RUNS).where(*still_ours).values(ended))
        if is_met:
            leases.update_state(connection, run.lease, **met)
            _clear_demand(connection, run)

    if is_met:
        # A server that has lost the last save since must not be told of a success.
        store.transact_once(run, work)
    else:
        store.transact(work)
    store.forget_run(run)


def drop_demand(store: Store, run: Run) -> None:
    """Forget what the run wanted proven, though it was no success: the next one starts anew."""
    store.transact(lambda connection: _clear_demand(connection, run))


def save_seek_refused(store: Store, run: Run) -> None:
    """Remember that the server doesn't follow cursors of our own making."""
    at = store.now()
    store.transact(
        lambda connection: leases.update_state(connection, run.lease, seek_refused_at=at)
    )


def mark_missing(
    store: Store, run: Run, coverage: Coverage, proven_since: datetime
) -> MissingResult:
    """Mark this run's suspects missing, or none and claim no freshness for what it proved."""

    def work(connection: Connection) -> MissingResult:
        _count_save(connection, run)
        now = store.now()
        settled = suspects.mark_all_missing(connection, run.agent_id, now, run.started_at)
        if settled.withheld:
            forgotten = forget_freshness(coverage, proven_since)
            save_coverage(connection, run.agent_id, forgotten, now)
        return settled

    return store.transact_once(run, work)


def drop_suspects(store: Store, run: Run, coverage: Coverage, before: datetime) -> Coverage:
    """Give up suspects of earlier runs; where they lie, coverage claims no freshness.

    Returns the coverage that is left.
    """

    def work(connection: Connection) -> Coverage:
        _count_save(connection, run)
        places = suspects.drop_older(connection, run.agent_id, before)
        left = forget_freshness_around(coverage, places)
        save_coverage(connection, run.agent_id, left, store.now())
        return left

    return store.transact_once(run, work)


def _count_save(connection: Connection, run: Run) -> None:
    leases.update_state(connection, run.lease, saves=t.sync_state.c.saves + 1)


def _clear_demand(connection: Connection, run: Run) -> None:
    """The demand is met. An interrupted reconcile's outlives the syncs in between."""
    c = t.sync_state.c
    connection.execute(
        update(t.sync_state)
        .where(c.agent_id == run.agent_id, c.demand_mode == run.mode)
        .values(demand_mode=None, demand_started_at=None)
    )
