"""Runs and their transactions: the rows of a page and the checkpoint that follows it, together."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from etl.errors import StoreError
from etl.models import Counts, Entry, Session
from etl.planning.coverage import Coverage
from etl.planning.run_demand import AgentState
from etl.planning.walks.absence import AbsenceCheck
from etl.privacy import Rules
from etl.store.privacy.redaction import redact_responses
from etl.store.runs import checkpoint
from etl.store.runs import lease as leases
from etl.store.runs.agent_state import drop_bookmarks, load_state, save_bookmarks, save_coverage
from etl.store.runs.lease import Lease, LeaseHolder
from etl.store.schema import tables as t
from etl.store.schema.engine import insert_into, open_engine, translate_errors
from etl.store.schema.url import mask_password
from etl.store.write import suspects
from etl.store.write.postgres_copy import PostgresRows
from etl.store.write.responses import (
    ConcurrentWrite,
    Response,
    ResponseWriter,
    Run,
    save_retrievals,
)
from etl.store.write.row_writer import RowWriter
from etl.store.write.sqlite_upsert import SqliteRows

SAVE_ATTEMPTS: Final = 6
TIMEOUT_STATES: Final = ("55P03", "57014")
"""PostgreSQL's SQLSTATEs of a lock timeout and of a cancelled statement."""

KEEP_ALL: Final = Rules()
T = TypeVar("T")


@dataclass(slots=True)
class Batch:
    """What one transaction saves: responses, and where the walks then stand."""

    responses: list[Response] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    coverage: Coverage | None = None
    last_cursor: str | None = None
    watermark_bound: datetime | None = None
    bookmarks: list[tuple[Entry, datetime | None]] = field(default_factory=list)
    drops_bookmarks: bool = False
    """Whether the bookmarks stored so far are of no use any more."""
    absences: list[AbsenceCheck] = field(default_factory=list)
    undated: tuple[frozenset[str], datetime] | None = None
    retrieved: list[tuple[str, datetime]] = field(default_factory=list)
    gone: list[tuple[str, datetime]] = field(default_factory=list)


@dataclass(slots=True)
class SaveResult:
    """What became of a batch."""

    counts: Counts
    watermark: datetime | None
    doubtful: frozenset[str] = frozenset()
    """Suspects that have to be looked at by their id before they count as missing."""


class Store:
    """The database of all agents. Safe to use from several threads."""

    def __init__(self, url: str, clock: Callable[[], datetime], rules: Rules = KEEP_ALL) -> None:
        self.url = url
        self.rules = rules
        self.engine: Engine = open_engine(url)
        self._clock = clock
        self._is_postgres = self.engine.dialect.name == "postgresql"
        self._rows: RowWriter = PostgresRows() if self._is_postgres else SqliteRows()
        self._responses = ResponseWriter(self._rows, clock)
        self._counted: dict[int, int] = {}
        # SQLite has one writer at a time; waiting here is fairer than its busy handler.
        # PostgreSQL's writers need no turn.
        no_turn = self._is_postgres
        self._turn: AbstractContextManager[Any] = nullcontext() if no_turn else threading.Lock()

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
    def connect(self) -> Iterator[Connection]:
        """A connection for reads. Raises StoreError."""
        with (
            translate_errors(self.url),
            self.engine.connect().execution_options(reads=True) as connection,
        ):
            yield connection

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do work in a transaction; again, if the server went away before it replied.

        So the work must be safe to do twice. Raises StoreError, and what the work raises.
        """

        def attempt() -> T:
            with self._turn, self.engine.begin() as connection:
                return work(connection)

        return self._retry(attempt)

    def claim(self, agent_id: str, name: str | None = None) -> Lease | LeaseHolder:
        """Try to become the one process that works on this agent."""
        me = leases.name_holder()

        def work(connection: Connection) -> Lease | LeaseHolder:
            self._save_agent(connection, agent_id, name)
            return leases.claim(connection, agent_id, me)

        return self.transact(work)

    def renew(self, lease: Lease) -> None:
        """Extend the lease. Raises LeaseLost."""
        self.transact(lambda connection: leases.renew(connection, lease))

    def release(self, lease: Lease) -> None:
        """Give the lease back."""
        self.transact(lambda connection: leases.release(connection, lease))

    def load_state(self, agent_id: str) -> AgentState:
        """What is remembered of an agent."""
        with self.connect() as connection:
            return load_state(connection, agent_id)

    def save(self, run: Run, batch: Batch) -> SaveResult:
        """Save a batch in one transaction; once, even if the server goes away meanwhile.

        Raises LeaseLost if another process has taken over, StoreError if it can't be saved.
        """
        saved = self.transact_once(run, lambda connection: self._save(connection, run, batch))
        self._responses.note(batch.responses)
        return saved

    def transact_once(self, run: Run, work: Callable[[Connection], T]) -> T:
        """Do work that counts itself in `saves`, and do it once, even if its reply is lost.

        Only a server's reply can be lost, so SQLite needs no count. A count that has gone back
        tells of a server that took over without the last commits: what this run believes to be
        saved is not, so it must not go on. Raises StoreError.
        """
        if not self._is_postgres:
            return self.transact(work)
        known = self._counted.get(run.id, 0)
        results: list[T] = []

        def attempt(connection: Connection) -> T:
            nonlocal known
            saves = checkpoint.count_saves(connection, run)
            if saves < known:
                raise _make_loss_error()
            if not results:
                known = saves
            if saves == known:
                # This is the first attempt, or the one before was never committed.
                results.append(work(connection))
            # Else the one before was committed, and only its reply was lost.
            return results[-1]

        result = self.transact(attempt)
        self._counted[run.id] = known + 1
        return result

    def _save(self, connection: Connection, run: Run, batch: Batch) -> SaveResult:
        cursor = batch.last_cursor and self.make_storable(batch.last_cursor)
        before, guard = checkpoint.begin_save(connection, run, cursor)
        responses = redact_responses(connection, guard, self.rules, batch.responses)
        counts = self._responses.save(connection, run, responses)
        doubtful = self._note_absent(connection, run, batch)
        if batch.coverage is not None:
            save_coverage(connection, run.agent_id, batch.coverage, self._clock())
        if batch.drops_bookmarks:
            drop_bookmarks(connection, run.agent_id)
        save_bookmarks(connection, run.agent_id, batch.bookmarks)
        watermark = checkpoint.move_watermark(connection, run, before, batch.watermark_bound)
        counts.add(batch.counts)
        checkpoint.tally(connection, run, counts, watermark)
        return SaveResult(counts, watermark, doubtful)

    def _note_absent(self, connection: Connection, run: Run, batch: Batch) -> frozenset[str]:
        """Note who was looked for in vain, and who has turned up. Returns those in doubt."""
        doubtful: set[str] = set()
        seen_since = partial(self._responses.was_seen_since, Session)
        for check in batch.absences:
            gone = suspects.suspect_absent(
                connection, run.agent_id, check, seen_since, self._clock()
            )
            doubtful.update(() if check.certain else gone)
        if batch.undated is not None:
            suspects.suspect_undated(connection, run.agent_id, *batch.undated, self._clock())
        suspects.add_suspects(connection, run.agent_id, batch.gone)
        save_retrievals(connection, batch.retrieved)
        seen = {s.id: one.requested_at for one in batch.responses for s in one.sessions}
        # What can't be stored is there all the same.
        bad = {b.id: one.requested_at for one in batch.responses for b in one.rejected if b.id}
        if seen or bad:
            suspects.clear_suspects(connection, run.agent_id, bad | seen)
        return frozenset(doubtful - seen.keys())

    def _save_agent(self, connection: Connection, agent_id: str, name: str | None) -> None:
        now, table = self._clock(), t.agents
        found = connection.execute(select(table.c.name).where(table.c.id == agent_id)).first()
        if found is None:
            values = {"id": agent_id, "name": name, "first_seen_at": now, "updated_at": now}
            connection.execute(
                insert_into(connection, table).values(values).on_conflict_do_nothing()
            )

    def forget_run(self, run: Run) -> None:
        """A run is over: its saves need not be counted any more."""
        self._counted.pop(run.id, None)

    def make_storable(self, text: str) -> str:
        """A text as this database can hold it."""
        return self._rows.convert_text(text)

    def _retry(self, attempt: Callable[[], T]) -> T:
        """Try again while a server restarts or fails over, or two agents claim one session's id."""
        with translate_errors(self.url):
            for number in range(1, SAVE_ATTEMPTS + 1):
                try:
                    return attempt()
                except (OperationalError, InterfaceError, IntegrityError, InternalError) as error:
                    if not self._is_postgres or number == SAVE_ATTEMPTS:
                        raise
                    if str(getattr(error.orig, "sqlstate", "")) in TIMEOUT_STATES:
                        self._end_frozen()
                    if isinstance(error, InternalError):
                        # Read-only: the server is a standby now. Connect anew, to its successor.
                        self.engine.dispose()
                except ConcurrentWrite:
                    if number == SAVE_ATTEMPTS:
                        raise
                time.sleep(0.2 * 2**number)
        raise AssertionError

    def _end_frozen(self) -> None:
        """End frozen sessions that may hold what we wait for; if that fails, wait again."""
        with suppress(DBAPIError), self.engine.begin() as connection:
            leases.end_frozen(connection)


def _make_loss_error() -> StoreError:
    hint = "did a standby take over that had not received it? the next run fetches them again"
    return StoreError("the database has lost what was committed to it a moment ago", hint)
