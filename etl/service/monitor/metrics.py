"""What happened, counted for Prometheus. docs/operations.md tells what each metric means."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from etl import __version__
from etl.api.rate_limit import steady_clock
from etl.errors import LeaseLost
from etl.events import (
    Answered,
    ClockStepped,
    DatabaseFailed,
    Event,
    GaveUp,
    HeldOff,
    LakeFailed,
    LakeSeen,
    LakeUpdated,
    LeaseTakenOver,
    OutageBegan,
    OutageEnded,
    Paced,
    Pinged,
    Retried,
    RunCrashed,
    RunFinished,
    RunUnrecorded,
)
from etl.models import AgentReport

PREFIX: Final = "gumloop_etl"
MODES: Final = ("incremental", "reconcile")
STATUSES: Final = ("succeeded", "incomplete", "failed", "interrupted", "skipped")
OUTCOMES: Final = ("inserted", "updated", "unchanged", "rejected", "missing", "partial")
LAKE_ROWS: Final = ("inserted", "updated", "deleted")
TRANSCRIPTS: Final = ("fetched", "changed", "failed")
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COMMON: Final = frozenset({200, 400, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504})


def label_of(status: int | None) -> str:
    """An HTTP status as a label: a rare one by its class, so that a server can't make up many."""
    if status is None:
        return "none"
    return str(status) if status in COMMON else f"{status // 100 % 10}xx"


class Metrics:
    """All counters of a process, in a registry of its own. `observe` is quick and never raises."""

    def __init__(self, agent_ids: Sequence[str]) -> None:
        # Of all that we call of prometheus_client, this alone has no types.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._agents: set[str] = set()
        self.runs = self._counter("runs", "Runs that ended", "agent", "mode", "status")
        self.pages = self._counter("pages", "Pages saved, counted as a run ends", "agent")
        self.rows = self._counter("rows", "Rows, counted as a run ends", "agent", "outcome")
        self.transcripts = self._counter(
            "transcripts", "Transcripts, counted as a run ends", "agent", "outcome"
        )
        self.unrecorded = self._counter(
            "runs_unrecorded", "Runs whose end could not be written to the database", "agent"
        )
        self.taken_over = self._counter(
            "leases_taken_over", "Agents taken over from a process that died or hung", "agent"
        )
        self.lost = self._counter("leases_lost", "Agents that another process took over", "agent")
        self.requests = Histogram(
            f"{PREFIX}_request_duration_seconds",
            "Requests to the API by HTTP status; none: no whole response came",
            ["status"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.retries = self._counter("request_retries", "Requests sent again", "status")
        self.given_up = self._counter(
            "requests_given_up", "Requests that failed as often as they may", "status"
        )
        self.waits = self._counter("rate_limit_waits", "Waits for the rate limit", "cause")
        self.waited = self._counter("rate_limit_wait_seconds", "Time of those waits", "cause")
        self._held_until = 0.0
        self._gauge("retry_later_seconds", "Until the API may be asked again; 0: now").set_function(
            lambda: max(0.0, self._held_until - steady_clock())
        )
        self.clock_skew = self._gauge(
            "clock_skew_seconds", "This machine's clock less the API's; NaN: not known"
        )
        self.clock_skew.set(math.nan)
        self.clock_steps = self._counter("clock_steps", "Steps of the clock", "direction")
        self.outages = self._counter("outages", "Outages that began", "of")
        self.outage = self._gauge("outage", "1 while it can't be used", "of")
        self.database_errors = self._counter("database_errors", "Errors, also of tries repeated")
        self.lake_runs = self._counter("lake_runs", "Runs that carried over to the lake", "outcome")
        self.lake_rows = self._counter("lake_rows", "Rows changed in the lake", "outcome")
        self.lake_as_of = self._gauge(
            "lake_as_of_timestamp_seconds", "The lake shows the database as of then; NaN: not known"
        )
        self.pings = self._counter("pings", "Pings of service.ping_url", "outcome")
        self._gauge("info", "The version", "version").labels(__version__).set(1)
        self._begin_at_zero()
        self.set_agents(agent_ids)

    def observe(self, event: Event) -> None:  # noqa: PLR0912
        """Count an event."""
        match event:
            case Answered(status, seconds, clock_skew):
                self.requests.labels(label_of(status)).observe(seconds)
                if clock_skew is not None:
                    self.clock_skew.set(clock_skew.total_seconds())
            case HeldOff(seconds):
                self._held_until = max(self._held_until, steady_clock() + seconds)
            case ClockStepped(step):
                self.clock_steps.labels("forward" if step > timedelta(0) else "back").inc()
            case Retried(_, error, _, seconds):
                status = getattr(error, "status", None)
                self.retries.labels(label_of(status)).inc()
                if status == 429:
                    self._wait("api", seconds)
            case Paced(seconds):
                self._wait("pacer", seconds)
            case GaveUp(_, error):
                self.given_up.labels(label_of(getattr(error, "status", None))).inc()
            case RunFinished(report):
                self._finished(report)
            case RunCrashed(agent_id, mode):
                self.runs.labels(agent_id, mode, "failed").inc()
            case RunUnrecorded(agent_id):
                self.unrecorded.labels(agent_id).inc()
            case LeaseTakenOver(agent_id):
                self.taken_over.labels(agent_id).inc()
            case DatabaseFailed():
                self.database_errors.inc()
            case OutageBegan(of):
                self.outages.labels(of).inc()
                self.outage.labels(of).set(1)
            case OutageEnded(of):
                self.outage.labels(of).set(0)
            case LakeUpdated():
                self.lake_runs.labels("updated").inc()
                for outcome in LAKE_ROWS:
                    self.lake_rows.labels(outcome).inc(getattr(event, outcome))
            case LakeSeen(as_of):
                self.lake_as_of.set(as_of.timestamp())
            case LakeFailed():
                self.lake_runs.labels("failed").inc()
            case Pinged(error, status):
                delivered = error is None and status is not None and status < 300
                self.pings.labels("delivered" if delivered else "failed").inc()

    def set_agents(self, agent_ids: Sequence[str]) -> None:
        """Have series for these agents, from zero on, and for no others."""
        for left in self._agents.difference(agent_ids):
            several = (self.runs, self.pages, self.rows, self.transcripts)
            for counter in (*several, *self._per_agent):
                counter.remove_by_labels({"agent": left})
        for new in set(agent_ids) - self._agents:
            for mode in MODES:
                for status in STATUSES:
                    self.runs.labels(new, mode, status)
            for outcome in OUTCOMES:
                self.rows.labels(new, outcome)
            for outcome in TRANSCRIPTS:
                self.transcripts.labels(new, outcome)
            for counter in (self.pages, *self._per_agent):
                counter.labels(new)
        self._agents = set(agent_ids)

    @property
    def _per_agent(self) -> tuple[Counter, ...]:
        return self.unrecorded, self.taken_over, self.lost

    def _begin_at_zero(self) -> None:
        """Begin series at once: Prometheus doesn't see the first increase of one that appears."""
        for of in ("api", "database"):
            self.outages.labels(of)
            self.outage.labels(of)
        for cause in ("api", "pacer"):
            self.waits.labels(cause)
            self.waited.labels(cause)
        for direction in ("forward", "back"):
            self.clock_steps.labels(direction)
        self.lake_as_of.set(math.nan)
        for outcome in ("updated", "failed"):
            self.lake_runs.labels(outcome)
        for outcome in LAKE_ROWS:
            self.lake_rows.labels(outcome)
        for outcome in ("delivered", "failed"):
            self.pings.labels(outcome)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _wait(self, cause: str, seconds: float) -> None:
        self.waits.labels(cause).inc()
        self.waited.labels(cause).inc(max(0.0, seconds))

    def _finished(self, report: AgentReport) -> None:
        agent, counts = report.agent_id, report.counts
        self.runs.labels(agent, report.mode, report.status).inc()
        self.pages.labels(agent).inc(counts.pages)
        for outcome in OUTCOMES:
            self.rows.labels(agent, outcome).inc(getattr(counts, outcome))
        for outcome in TRANSCRIPTS if report.transcripts else ():
            self.transcripts.labels(agent, outcome).inc(getattr(report.transcripts, outcome))
        if isinstance(report.cause, LeaseLost):
            self.lost.labels(agent).inc()
