"""Runs and their transactions: the rows of a page and the checkpoint that follows it, together."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from etl.errors import StoreError
from etl.models import Counts, Entry, Mode, Session, Status
from etl.planning.coverage import Coverage, forget_freshness
from etl.planning.demand import Demand
from etl.planning.walk import AbsenceCheck
from etl.privacy import Rules
from etl.store.privacy.redaction import redact_responses, redact_sentence, wait_for_lock
from etl.store.schema import tables as t
from etl.store.schema.engine import insert_into, open_engine, translate_errors
from etl.store.schema.url import mask_password
from etl.store.write import checkpoint, freshness
from etl.store.write import lease as leases
from etl.store.write.agent_state import (
    AgentState,
    StoredDemand,
    keep_bookmarks,
    keep_coverage,
    load_state,
)
from etl.store.write.freshness import SettleResult
from etl.store.write.lease import Lease, LeaseHolder
from etl.store.write.postgres_copy import PostgresRows
from etl.store.write.responses import ConcurrentWrite, Response, ResponseWriter, Run
from etl.store.write.sqlite_upsert import SqliteRows

__all__ = ["Batch", "Response", "Run", "SaveResult", "Store"]

ATTEMPTS: Final = 6
WAITED_IN_VAIN: Final = ("55P03", "57014")
"""PostgreSQL's states where a lock was waited for, or a statement took, too long."""

A_DAY: Final = timedelta(days=1)
KEEP_ALL: Final = Rules()
T = TypeVar("T")


@dataclass(slots=True)
class Batch:
    """What one transaction saves: answers, and where the walks then stand."""

    responses: list[Response] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    coverage: Coverage | None = None
    last_cursor: str | None = None
    watermark_bound: datetime | None = None
    bookmarks: list[tuple[Entry, datetime | None]] = field(default_factory=list)
    absences: list[AbsenceCheck] = field(default_factory=list)
    undated: tuple[frozenset[str], datetime] | None = None
    retrieved: list[tuple[str, datetime]] = field(default_factory=list)
    gone: list[tuple[str, datetime]] = field(default_factory=list)


@dataclass(slots=True)
class SaveResult:
    """What became of a batch."""

    counts: Counts
    watermark: datetime | None


class Store:
    """The database of all agents. Safe to use from several threads."""

    def __init__(self, url: str, clock: Callable[[], datetime], rules: Rules = KEEP_ALL) -> None:
        self.url = url
        self.rules = rules
        self.engine: Engine = open_engine(url)
        self._clock = clock
        self._is_postgres = self.engine.dialect.name == "postgresql"
        self._rows: Any = PostgresRows() if self._is_postgres else SqliteRows()
        self._answers = ResponseWriter(self._rows, clock)
        self._counted: dict[int, int] = {}
        # SQLite has one writer at a time; waiting here is fairer than its busy handler.
        self._turn = threading.Lock() if not self._is_postgres else _NoLock()

    @property
    def shown_url(self) -> str:
        """The database's URL without its password."""
        return mask_password(self.url)

    def now(self) -> datetime:
        """The time by this machine's clock, as rows are dated."""
        return self._clock()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reads. Raises StoreError."""
        with (
            translate_errors(self.url),
            self.engine.connect().execution_options(reads=True) as connection,
        ):
            yield connection

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do work in a transaction; again, if the server went away before it answered.

        So the work must bear being done twice. Raises StoreError, and what the work raises.
        """

        def attempt() -> T:
            with self._turn, self.engine.begin() as connection:
                return work(connection)

        return self._persistently(attempt)

    def claim(self, agent_id: str, name: str | None = None) -> Lease | LeaseHolder:
        """Try to become the one process that works on this agent."""
        me = leases.holder()

        def work(connection: Connection) -> Lease | LeaseHolder:
            self._know_agent(connection, agent_id, name)
            return leases.claim(connection, agent_id, me)

        return self.transact(work)

    def renew(self, lease: Lease) -> None:
        """Extend the lease. Raises LeaseLost."""
        self.transact(lambda connection: leases.renew(connection, lease))

    def release(self, lease: Lease) -> None:
        """Give the lease back."""
        self.transact(lambda connection: leases.release(connection, lease))

    def state(self, agent_id: str) -> AgentState:
        """What is remembered of an agent."""
        with self.reading() as connection:
            return load_state(connection, agent_id)

    def start_run(self, lease: Lease, mode: Mode, state: AgentState, started_at: datetime) -> Run:
        """Open a run. Runs of this agent that never ended are marked interrupted: they died.

        One that closed itself since, without the lease that it had lost, ended now.
        """
        c = t.sync_runs.c
        values: dict[str, Any] = {"agent_id": lease.agent_id, "mode": mode, "status": "running"}
        values |= {"started_at": started_at, "watermark_before": state.watermark}
        mine = (c.agent_id == lease.agent_id, c.status == "running")
        died = {"status": "interrupted", "finished_at": started_at, "error": "the process died"}

        def work(connection: Connection) -> int:
            leases.renew(connection, lease)
            same = select(c.id).where(*mine, c.started_at == started_at, c.mode == mode)
            found = connection.execute(same).scalar()
            if found is not None:
                return int(found)
            connection.execute(update(t.sync_runs).where(*mine).values(died))
            lately = c.started_at.between(started_at - A_DAY, started_at)
            connection.execute(
                update(t.sync_runs)
                .where(c.agent_id == lease.agent_id, lately, c.finished_at > started_at)
                .values(finished_at=started_at)
            )
            row = values | {"watermark_after": state.watermark}
            key = connection.execute(insert(t.sync_runs).values(row)).inserted_primary_key
            assert key is not None
            return int(key[0])

        return Run(self.transact(work), lease, lease.agent_id, mode, started_at)

    def keep_demand(
        self, run: Run, demand: StoredDemand | None, history_from: datetime | None
    ) -> None:
        """Remember what the run wants proven, so that one after a crash can take it up."""
        kept: dict[str, Any] = {"history_from": history_from}
        if demand is not None:
            kept |= {"demand_mode": demand.mode, "demand_started_at": demand.started_at}
            kept |= {"demand_since": demand.since, "demand_until": demand.until}

        def work(connection: Connection) -> None:
            self._keep_state(connection, run, **kept)
            if demand is not None:
                freshness.forget_suspects(connection, run.agent_id, demand.started_at)

        self.transact(work)

    def drop_demand(self, run: Run) -> None:
        """Forget what the run wanted proven, though it was no success: the next one starts anew."""
        self.transact(lambda connection: self._clear_demand(connection, run))

    def save(self, run: Run, batch: Batch) -> SaveResult:
        """Save a batch in one transaction; once, even if the server goes away meanwhile.

        Raises LeaseLost if another process has taken over, StoreError if it can't be saved.
        """
        saved = self._once(run, lambda connection: self._save(connection, run, batch))
        self._answers.note(batch.responses)
        return saved

    def settle(self, run: Run, coverage: Coverage, demand: Demand) -> SettleResult:
        """Mark the demand's suspects missing, or none and claim no freshness for what it proved."""

        def work(connection: Connection) -> SettleResult:
            self._keep_state(connection, run, saves=t.sync_state.c.saves + 1)
            settled = freshness.settle(connection, run.agent_id, self._clock(), demand.started_at)
            if settled.withheld:
                forgotten = forget_freshness(coverage, demand.started_at)
                keep_coverage(connection, run.agent_id, forgotten)
            return settled

        return self._once(run, work)

    def _once(self, run: Run, work: Callable[[Connection], T]) -> T:
        """Do work that counts itself in `saves`, and do it once, even if its answer is lost.

        Only a server's answer can be lost, so SQLite needs no count. A count that has gone back
        tells of a server that took over without the last commits: what this run believes to be
        saved is not, so it must not go on. Raises StoreError.
        """
        if not self._is_postgres:
            return self.transact(work)
        before = self._counted.get(run.id, 0)
        done: list[T] = []

        def attempt(connection: Connection) -> T:
            nonlocal before
            now = checkpoint.saves(connection, run)
            if now < before:
                raise _went_back()
            if not done:
                before = now
            if now == before:
                done.append(work(connection))
            return done[-1]

        result = self.transact(attempt)
        self._counted[run.id] = before + 1
        return result

    def finish_run(
        self, run: Run, status: Status, counts: Counts, error: str | None, now: datetime
    ) -> None:
        """Close a run, unless another process has taken over and closed it.

        A success clears the demand and notes when it began. Raises LeaseLost, StoreError.
        """
        runs = t.sync_runs
        ended: dict[str, Any] = {"status": status, "finished_at": now, "requests": counts.requests}
        ended |= {"missing": counts.missing, "error": None}
        met: dict[str, Any] = {"last_success_at": now}
        if run.mode == "reconcile":
            met["last_reconciled_at"] = now

        def work(connection: Connection) -> None:
            still_ours = (runs.c.id == run.id, runs.c.status == "running")
            if error:
                wait_for_lock(connection)
                said = redact_sentence(connection, self.rules, error)
                ended["error"] = self._rows.text(said)
            connection.execute(update(runs).where(*still_ours).values(ended))
            if status == "succeeded" and run.mode != "verify":
                self._keep_state(connection, run, **met)
                self._clear_demand(connection, run)

        self.transact(work)
        self._counted.pop(run.id, None)

    def count(self, agent_id: str, most: int) -> int:
        """How many sessions of an agent are stored; counting stops at `most`."""
        some = select(t.sessions.c.id).where(t.sessions.c.agent_id == agent_id).limit(most)
        with self.reading() as connection:
            return int(
                connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
            )

    def has_undated(self, agent_id: str) -> bool:
        """Whether sessions without `created_at` are stored of an agent."""
        c = t.sessions.c
        query = select(c.id).where(c.agent_id == agent_id, c.created_at.is_(None)).limit(1)
        with self.reading() as connection:
            return connection.execute(query).first() is not None

    def _save(self, connection: Connection, run: Run, batch: Batch) -> SaveResult:
        cursor = batch.last_cursor and self._rows.text(batch.last_cursor)
        before, guard = checkpoint.check(connection, run, cursor)
        responses = redact_responses(connection, guard, self.rules, batch.responses)
        counts = self._answers.save(connection, run, responses)
        self._judge(connection, run, batch)
        if batch.coverage is not None:
            keep_coverage(connection, run.agent_id, batch.coverage)
        keep_bookmarks(connection, run.agent_id, batch.bookmarks)
        watermark = checkpoint.move_watermark(connection, run, before, batch.watermark_bound)
        counts.add(batch.counts)
        checkpoint.tally(connection, run, counts, watermark)
        return SaveResult(counts, watermark)

    def _judge(self, connection: Connection, run: Run, batch: Batch) -> None:
        """Note who was looked for in vain, and who has turned up."""
        for verdict in batch.absences:
            seen_since = partial(self._answers.seen_since, Session)
            freshness.suspect_absent(connection, run.agent_id, verdict, seen_since)
        if batch.undated is not None:
            freshness.suspect_undated(connection, run.agent_id, *batch.undated)
        freshness.suspect_gone(connection, run.agent_id, batch.gone)
        freshness.keep_retrievals(connection, batch.retrieved)
        seen = {
            s.id: response.requested_at for response in batch.responses for s in response.sessions
        }
        if seen:
            freshness.clear_suspects(connection, run.agent_id, seen)

    def _know_agent(self, connection: Connection, agent_id: str, name: str | None) -> None:
        now, table = self._clock(), t.agents
        found = connection.execute(select(table.c.name).where(table.c.id == agent_id)).first()
        if found is None:
            values = {"id": agent_id, "name": name, "first_seen_at": now, "updated_at": now}
            connection.execute(
                insert_into(connection, table).values(values).on_conflict_do_nothing()
            )

    def _keep_state(self, connection: Connection, run: Run, **values: Any) -> None:
        state = t.sync_state
        mine = (state.c.agent_id == run.agent_id, state.c.fence == run.lease.fence)
        if connection.execute(update(state).where(*mine).values(**values)).rowcount != 1:
            raise checkpoint.lost(run)

    def _clear_demand(self, connection: Connection, run: Run) -> None:
        """The demand is met. An interrupted reconcile's outlives the syncs in between."""
        c = t.sync_state.c
        connection.execute(
            update(t.sync_state)
            .where(c.agent_id == run.agent_id, c.demand_mode == run.mode)
            .values(demand_mode=None, demand_started_at=None)
        )

    def _persistently(self, attempt: Callable[[], T]) -> T:
        """Try again while a server restarts or fails over, or two agents claim one session's id."""
        with translate_errors(self.url):
            for number in range(1, ATTEMPTS + 1):
                try:
                    return attempt()
                except (OperationalError, InterfaceError, IntegrityError, InternalError) as error:
                    if not self._is_postgres or number == ATTEMPTS:
                        raise
                    if str(getattr(error.orig, "sqlstate", "")) in WAITED_IN_VAIN:
                        self._end_frozen()
                    if isinstance(error, InternalError):
                        # Read-only: the server is a standby now. Connect anew, to its successor.
                        self.engine.dispose()
                except ConcurrentWrite:
                    if number == ATTEMPTS:
                        raise
                time.sleep(0.2 * 2**number)
        raise AssertionError

    def _end_frozen(self) -> None:
        """Who holds what we waited for may be frozen. If that can't be helped, we wait again."""
        with suppress(DBAPIError), self.engine.begin() as connection:
            leases.end_frozen(connection)


def _went_back() -> StoreError:
    hint = "did a standby take over that had not got them yet? the next run fetches them again"
    return StoreError("the database has lost what was committed to it a moment ago", hint)


class _NoLock:
    """PostgreSQL's writers need no turn."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
