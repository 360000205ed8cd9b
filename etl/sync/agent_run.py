"""One agent's part of a run: take the lease, settle the demand, walk, close the run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from etl.api.client import Client
from etl.api.clock_skew import skew_warnings
from etl.errors import CutShort, EtlError, LeaseHeld, Malformed, Stopped, StoreError
from etl.events import LeaseTakenOver, Observe, RunUnrecorded, ignore
from etl.invocation import program_name
from etl.models import BEGINNING, AgentReport, Mode, Progress, Status
from etl.planning import demand as demands
from etl.planning.coverage import up_to
from etl.planning.demand import Demand
from etl.store.store import Run, Store
from etl.store.write import freshness
from etl.store.write.agent_state import AgentState, StoredDemand
from etl.store.write.lease import LEASE, Lease, LeaseHolder
from etl.store.write.take_back import load_truthful_state
from etl.sync.open_sessions import freshen, retrieve_all
from etl.sync.parallel_walks import ParallelWalks
from etl.sync.readability import require_readable
from etl.sync.verify import Sample, verify_agent

DEMAND_LASTS: Final = timedelta(days=7)
"""An interrupted reconcile older than this is forgotten."""

__all__ = ["AgentSync", "RunOptions", "demand_of"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for. `since` and `until` bound a backfill; None: all history.

    `waits` tells whether to wait for another process that works on the agent, or to skip it.
    `patience` is the age up to which an unfinished demand of the same kind is taken up again.
    `transcripts` is how many are retrieved at most once the run has succeeded (0: none are kept),
    none of them begun later than `transcripts_within` after that.
    """

    mode: Mode = "incremental"
    since: datetime | None = None
    until: datetime | None = None
    restart: bool = False
    lookback: timedelta = timedelta(hours=1)
    walkers: int = 2
    patience: timedelta = timedelta(minutes=15)
    idle_recheck: timedelta = timedelta(days=7)
    waits: bool = True
    seek: bool = False
    transcripts: int = 0
    transcripts_within: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AgentSync:
    """Runs one agent. Never raises an EtlError: the report tells it."""

    client: Client
    store: Store
    clock: Callable[[], datetime]
    stop: threading.Event
    on_progress: Callable[[Progress], None] = lambda _: None
    on_message: Callable[[str], None] = lambda _: None
    observe: Observe = ignore

    def run(self, agent_id: str, options: RunOptions, name: str | None = None) -> AgentReport:
        """Do what is wished for one agent, and report how it went."""
        report = AgentReport(agent_id, options.mode)
        with self._leased(report, name, waits=options.waits) as lease:
            if lease is not None:
                self._run(lease, options, report)
        return report

    def verify(self, agent_id: str, size: int) -> tuple[AgentReport, Sample | None]:
        """Check a random sample of what is stored; differences are repaired and counted."""
        report, sample = AgentReport(agent_id, "verify"), None
        with self._leased(report, None) as lease:
            if lease is not None:
                state = self.store.state(agent_id)
                run = self.store.start_run(lease, "verify", state, self.clock())
                with self._closing(run, report):
                    sample = verify_agent(self.client, self.store, run, size)
                    report.counts.add(sample.counts)
        return report, sample

    @contextmanager
    def _leased(
        self, report: AgentReport, name: str | None, *, waits: bool = True
    ) -> Iterator[Lease | None]:
        """Hold the agent's lease; whatever an EtlError ends is told in the report."""
        lease = None
        try:
            lease = self._claim(report.agent_id, name, waits=waits)
            yield lease
        except EtlError as error:
            _record_error(report, error)
            if lease is None:
                yield None
        finally:
            if lease is not None:
                self._release(lease)

    def _run(self, lease: Lease, options: RunOptions, report: AgentReport) -> None:
        now = self.clock()
        state = load_truthful_state(self.store, lease, now)
        state.coverage = up_to(state.coverage, now)
        report.watermark = state.watermark
        run = self.store.start_run(lease, options.mode, state, now)
        state.history_from = _history_from(state, options)
        stored = _stored_demand(state, options, now)
        demand = _demand(state, options, stored, now)
        kept = _kept_demand(state, options, stored, now)
        self.store.keep_demand(run, kept, state.history_from)
        walkers = 1 if self._needs_one_chain(lease.agent_id, options) else options.walkers
        crew = ParallelWalks(
            self.client, self.store, run, state, demand, options.lookback, walkers, self.on_progress
        )
        report.counts = crew.counts
        try:
            with self._closing(run, report):
                self._work(crew, options)
        finally:
            report.watermark = state.watermark
            report.warnings = sorted(crew.warnings | skew_warnings(self.client.clock_skew))
        if options.transcripts and report.status == "succeeded":
            self._retrieve_transcripts(lease, options, report)

    def _retrieve_transcripts(self, lease: Lease, options: RunOptions, report: AgentReport) -> None:
        from etl.sync.transcripts import TranscriptSync

        after = TranscriptSync(self.client, self.store, lease, self.clock, self.on_progress)
        report.transcripts = after.done
        after.run(options.transcripts, options.transcripts_within)

    def _look_again(self, crew: ParallelWalks) -> None:
        """Suspects of an interrupted run that this one goes on from may have returned since."""
        run = crew.run
        with self.store.reading() as connection:
            since, before = crew.demand.started_at, run.started_at
            ids = freshness.old_suspects(connection, run.agent_id, since, before)
        crew.counts.add(retrieve_all(self.client, self.store, run, ids).counts)

    @contextmanager
    def _closing(self, run: Run, report: AgentReport) -> Iterator[None]:
        """Close the run with whatever the block comes to."""
        report.status = "succeeded"
        try:
            yield
            require_readable(self.store, run, report.counts)
        except EtlError as error:
            _record_error(report, error)
        except BaseException as error:
            report.status, report.error = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            self._close(run, report)

    def _needs_one_chain(self, agent_id: str, options: RunOptions) -> bool:
        """Only one walk of the whole list can tell that a session without a date is gone."""
        return options.mode == "reconcile" and self.store.has_undated(agent_id)

    def _work(self, crew: ParallelWalks, options: RunOptions) -> None:
        """Walk; in a sync, look after the open sessions; then settle who is missing."""
        if options.seek and not crew.state.bookmarks:
            crew.seek()
        crew.fill()
        if options.mode == "incremental":
            freshen(crew, options.idle_recheck, self.clock())
        self._look_again(crew)
        settled = self.store.settle(crew.run, crew.state.coverage, crew.demand)
        crew.counts.missing += settled.marked
        if settled.withheld:
            raise CutShort(
                f"{settled.withheld} stored sessions are not listed any more, too many to believe",
                "none is marked missing; has the credential lost access?",
            )

    def _close(self, run: Run, report: AgentReport) -> None:
        try:
            self.store.finish_run(run, report.status, report.counts, report.error, self.clock())
        except StoreError as failure:
            # The next run marks this one interrupted; what it saved is saved.
            report.status, report.error = "failed", report.error or str(failure)
            report.cause = report.cause or failure
            self.observe(RunUnrecorded(run.agent_id, run.mode, failure))

    def _claim(self, agent_id: str, name: str | None, *, waits: bool) -> Lease:
        """Take the lease, waiting at most for one that runs out."""
        waited, told = 0.0, False
        while True:
            lease = self.store.claim(agent_id, name)
            if isinstance(lease, Lease):
                if lease.taken_over:
                    self.observe(LeaseTakenOver(agent_id))
                return lease
            if not waits or waited > LEASE.total_seconds():
                raise _lease_held(agent_id, lease)
            if not told:
                self.on_message(
                    f"agent {agent_id}: waiting for {_who(lease)}, which works on it now"
                )
                told = True
            pause = min(1.0, max(0.05, lease.seconds))
            if self.stop.wait(pause):
                raise Stopped("asked to stop while waiting for another process")
            waited += pause

    def _release(self, lease: Lease) -> None:
        try:
            self.store.release(lease)
        except StoreError:
            # It runs out by itself.
            return


def _lease_held(agent_id: str, held: LeaseHolder) -> LeaseHeld:
    return LeaseHeld(
        f"another process works on agent {agent_id!r:.80}: {_who(held)}",
        f"one at a time; `{program_name()} runs` shows its run",
    )


def _who(held: LeaseHolder) -> str:
    host, pid, _ = held.holder.rpartition("@")[2].rsplit(":", 2)
    return f"process {pid} on {host}"


def _record_error(report: AgentReport, error: EtlError) -> None:
    report.status, report.error, report.cause = _status(error), str(error), error


def _status(error: EtlError) -> Status:
    if isinstance(error, Stopped):
        return "interrupted"
    if isinstance(error, LeaseHeld):
        return "skipped"
    return "incomplete" if isinstance(error, CutShort | Malformed) else "failed"


def demand_of(state: AgentState, options: RunOptions, now: datetime) -> Demand:
    """What a run with this wish would want proven, were it to start now."""
    state.history_from = _history_from(state, options)
    return _demand(state, options, _stored_demand(state, options, now), now)


def _stored_demand(state: AgentState, options: RunOptions, now: datetime) -> StoredDemand:
    """The demand to remember: an unfinished one of this kind goes on, unless it is too old."""
    since = options.since or BEGINNING
    wanted = StoredDemand(options.mode, since, options.until, now)
    old = state.demand
    if old is None or options.restart or now - old.started_at > options.patience:
        return wanted
    same = (old.mode, old.since, old.until) == (wanted.mode, wanted.since, wanted.until)
    return old if same else wanted


def _kept_demand(
    state: AgentState, options: RunOptions, stored: StoredDemand, now: datetime
) -> StoredDemand | None:
    """The demand to write down; None to leave a reconcile's, which goes on after this sync."""
    old = state.demand
    unmet = old is not None and old.mode == "reconcile" and now - old.started_at < DEMAND_LASTS
    return None if unmet and options.mode == "incremental" else stored


def _history_from(state: AgentState, options: RunOptions) -> datetime | None:
    """Where this agent's history begins: set by its first run, widened by a longer backfill."""
    is_first = not state.coverage and state.watermark is None
    if is_first:
        return options.since
    if options.mode != "backfill" or state.history_from is None or options.until is not None:
        return state.history_from
    return min(options.since, state.history_from) if options.since else None


def _demand(state: AgentState, options: RunOptions, stored: StoredDemand, now: datetime) -> Demand:
    """The wish in terms of coverage."""
    started_at = stored.started_at
    # Of an agent without a watermark, `lookback` reaches below what was looked at last: it may have
    # had no session yet, and they may be dated by the second; or its first backfill was cut short.
    top = state.watermark or max((span.newest for span in state.coverage), default=None)
    if options.mode == "reconcile":
        return demands.reconcile(started_at=started_at, now=now, floor=state.floor)
    if options.mode == "incremental":
        return demands.incremental(
            started_at=started_at,
            now=now,
            watermark=top,
            lookback=options.lookback,
            floor=state.floor,
        )
    return demands.backfill(
        started_at=started_at,
        now=now,
        since=options.since or BEGINNING,
        until=options.until,
        watermark=top,
        lookback=options.lookback,
        restart=options.restart,
    )
