"""One agent's part of a run: take the lease, state the demand, walk, close the run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from etl.api.client import Client
from etl.api.clock_skew import describe_skew
from etl.errors import CutShort, EtlError, LeaseHeld, LeaseLost, Malformed, Stopped, StoreError
from etl.events import LeaseTakenOver, Observe, RunUnrecorded, ignore
from etl.invocation import program_name
from etl.models import AgentReport, Progress, Status
from etl.planning.coverage import clip_to_now
from etl.planning.freshness import MOST_MISSING
from etl.planning.run_demand import (
    AgentState,
    RunOptions,
    StoredDemand,
    choose_demand,
    choose_history_from,
    choose_saved_demand,
)
from etl.store.read.sessions import count_sessions, has_undated
from etl.store.runs.lease import LEASE, Lease, LeaseHolder
from etl.store.runs.runs import finish_run, save_seek_refused, start_run
from etl.store.runs.take_back import load_repaired_state
from etl.store.store import Store
from etl.store.write.responses import Run
from etl.sync.open_sessions import refresh_open_sessions
from etl.sync.readability import require_readable
from etl.sync.run_context import RunContext
from etl.sync.suspects import judge_suspects
from etl.sync.verify import SampleResult, verify_agent
from etl.sync.walk_setup import make_tracker
from etl.sync.walks.page_batch import PageBatcher
from etl.sync.walks.parallel_walks import ParallelWalks
from etl.sync.walks.walk_budget import WalkBudget


@dataclass(frozen=True, slots=True)
class AgentSync:
    """Runs one agent. Never raises an EtlError: the report holds it."""

    client: Client
    store: Store
    clock: Callable[[], datetime]
    stop: threading.Event
    on_progress: Callable[[Progress], None] = lambda _: None
    on_message: Callable[[str], None] = lambda _: None
    observe: Observe = ignore
    budget: WalkBudget = field(default_factory=lambda: WalkBudget(1_000))
    """How the agents of the process share the requests in flight."""

    def run(self, agent_id: str, options: RunOptions, name: str | None = None) -> AgentReport:
        """Run one agent by these options, and report how it went."""
        report = AgentReport(agent_id, options.mode)
        with self._hold_lease(report, name, wait=options.wait_for_lease) as lease:
            if lease is not None:
                self._run(lease, options, report)
        return report

    def verify(self, agent_id: str, size: int) -> tuple[AgentReport, SampleResult | None]:
        """Compare a random sample of what is stored with the API; repair and count differences."""
        report, sample = AgentReport(agent_id, "verify"), None
        with self._hold_lease(report, None) as lease:
            if lease is not None:
                state = self.store.load_state(agent_id)
                run = start_run(self.store, lease, "verify", state, self.clock())
                context = self._make_context(run, state, RunOptions(), report)
                with self._close_at_end(run, report):
                    sample = verify_agent(context, size)
                report.warnings = self._list_warnings(context)
        return report, sample

    @contextmanager
    def _hold_lease(
        self, report: AgentReport, name: str | None, *, wait: bool = True
    ) -> Iterator[Lease | None]:
        """Hold the agent's lease; an EtlError goes into the report."""
        lease = None
        try:
            lease = self._claim(report.agent_id, name, wait=wait)
            yield lease
        except EtlError as error:
            _record_error(report, error)
            if lease is None:
                yield None
        finally:
            if lease is not None:
                with suppress(StoreError):
                    # If that fails, it runs out by itself.
                    self.store.release(lease)

    def _run(self, lease: Lease, options: RunOptions, report: AgentReport) -> None:
        now = self.clock()
        state, warnings = load_repaired_state(self.store, lease, now)
        state.coverage = clip_to_now(state.coverage, now)
        report.watermark = state.watermark
        state.history_from = choose_history_from(state, options)
        stored = choose_demand(state, options, now)
        saved = choose_saved_demand(state, options, stored, now)
        run = start_run(self.store, lease, options.mode, state, now, saved)
        context = self._make_context(run, state, options, report)
        context.warnings |= warnings
        try:
            with self._close_at_end(run, report):
                self._work(self._open_walks(context, stored))
        finally:
            self.budget.leave(lease.agent_id)
            report.watermark = state.watermark
            report.warnings = self._list_warnings(context)
        if options.transcripts and report.status == "succeeded":
            self._retrieve_transcripts(context, report)

    def _make_context(
        self, run: Run, state: AgentState, options: RunOptions, report: AgentReport
    ) -> RunContext:
        return RunContext(
            self.client,
            self.store,
            run,
            state,
            options,
            self.clock,
            self.on_progress,
            report.counts,
        )

    def _list_warnings(self, context: RunContext) -> list[str]:
        return sorted(context.warnings | describe_skew(self.client.clock_skew))

    def _open_walks(self, context: RunContext, stored: StoredDemand) -> ParallelWalks:
        store, run, options = context.store, context.run, context.options
        tracker = make_tracker(context, stored)
        # Only one walk of the whole list can tell that a session without a date is gone.
        is_one_chain = options.mode == "reconcile" and has_undated(store, run.agent_id)
        most = 1 if is_one_chain else options.walkers or self.client.api.concurrency
        number = count_sessions(store, run.agent_id, MOST_MISSING + 1)
        batcher = PageBatcher(
            context.state,
            tracker.demand,
            run.started_at,
            options.lookback,
            tracker.hints,
            has_stored=number > 0,
        )

        def allow(pages_left: float) -> int:
            return min(most, self.budget.allow(run.agent_id, pages_left))

        return ParallelWalks(context, tracker, batcher, number, allow)

    def _retrieve_transcripts(self, context: RunContext, report: AgentReport) -> None:
        from etl.sync.transcripts import TranscriptSync

        after = TranscriptSync(context)
        report.transcripts = after.done
        after.run(context.options.transcripts, context.options.transcripts_within)

    @contextmanager
    def _close_at_end(self, run: Run, report: AgentReport) -> Iterator[None]:
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

    def _work(self, walks: ParallelWalks) -> None:
        """Walk; in a sync, look after the open sessions; then judge the suspects."""
        context, hints = walks.context, walks.tracker.hints
        try:
            walks.fill()
            if context.options.mode == "incremental":
                refresh_open_sessions(context, hints)
        finally:
            if hints.built_works is False and not hints.may_be_outage:
                # If it isn't remembered, another trial costs a request.
                with suppress(StoreError):
                    save_seek_refused(self.store, context.run)
        judge_suspects(walks)

    def _close(self, run: Run, report: AgentReport) -> None:
        try:
            try:
                self._finish(run, report)
            except LeaseLost as error:
                # Taken over at the last moment: it is no success.
                _record_error(report, error)
                self._finish(run, report)
        except StoreError as failure:
            # The next run marks this one interrupted; what it saved is saved.
            report.status, report.error = "failed", report.error or str(failure)
            report.cause = report.cause or failure
            self.observe(RunUnrecorded(run.agent_id, run.mode, failure))

    def _finish(self, run: Run, report: AgentReport) -> None:
        finish_run(self.store, run, report.status, report.counts, report.error, self.clock())

    def _claim(self, agent_id: str, name: str | None, *, wait: bool) -> Lease:
        """Take the lease, waiting at most for one that runs out."""
        waited, announced = 0.0, False
        while True:
            lease = self.store.claim(agent_id, name)
            if isinstance(lease, Lease):
                if lease.taken_over:
                    self.observe(LeaseTakenOver(agent_id))
                return lease
            if not wait or waited > LEASE.total_seconds():
                raise _make_lease_error(agent_id, lease)
            if not announced:
                self.on_message(f"agent {agent_id}: waiting for {lease}, which works on it now")
                announced = True
            pause = min(1.0, max(0.05, lease.seconds))
            if self.stop.wait(pause):
                raise Stopped("asked to stop while waiting for another process")
            waited += pause


def _make_lease_error(agent_id: str, held: LeaseHolder) -> LeaseHeld:
    return LeaseHeld(
        f"another process works on agent {agent_id!r:.80}: {held}",
        f"one at a time; `{program_name()} runs` shows its run",
    )


def _record_error(report: AgentReport, error: EtlError) -> None:
    report.status, report.error, report.cause = _choose_status(error), str(error), error


def _choose_status(error: EtlError) -> Status:
    if isinstance(error, Stopped):
        return "interrupted"
    if isinstance(error, LeaseHeld):
        return "skipped"
    return "incomplete" if isinstance(error, CutShort | Malformed) else "failed"
