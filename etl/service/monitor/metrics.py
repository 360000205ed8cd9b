"""What happened, counted for Prometheus. docs/operations.md tells what each metric means."""

import math
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from typing import Final

import prometheus_client as prometheus
from prometheus_client.exposition import choose_encoder

from etl import __version__, events
from etl.api.rate_limit import steady_clock
from etl.errors import LeaseLost
from etl.models import AgentReport
from etl.service.monitor.web import Reply

PREFIX: Final = "gumloop_etl"
MODES: Final = ("incremental", "reconcile")
STATUSES: Final = ("succeeded", "incomplete", "failed", "interrupted", "skipped")
OUTCOMES: Final = ("inserted", "updated", "unchanged", "rejected", "missing", "partial")
LAKE_ROWS: Final = ("inserted", "updated", "deleted")
TRANSCRIPTS: Final = ("fetched", "changed", "failed")
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COMMON_STATUSES: Final = frozenset({200, 400, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504})
ANY_STATUS: Final = ()
"""The values of a label that nobody knows before they come."""


def label_of(status: int | None) -> str:
    """An HTTP status as a label: a rare one by its class, so that a server can't make up many."""
    if status is None:
        return "none"
    return str(status) if status in COMMON_STATUSES else f"{status // 100 % 10}xx"


class Metrics:
    """All counters of a process, in a registry of its own. `observe` is quick and never raises."""

    def __init__(self, agents: Sequence[str]) -> None:
        # Of all that we call of prometheus_client, this alone has no types.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.PlatformCollector(registry=self.registry)
        prometheus.GCCollector(registry=self.registry)
        self._per_agent: list[tuple[prometheus.Counter, dict[str, Sequence[str]]]] = []
        self.runs = self._make_counter(
            "runs", "Runs that ended", agent=agents, mode=MODES, status=STATUSES
        )
        self.pages = self._make_counter("pages", "Pages saved, counted as a run ends", agent=agents)
        self.rows = self._make_counter(
            "rows", "Rows, counted as a run ends", agent=agents, outcome=OUTCOMES
        )
        self.transcripts = self._make_counter(
            "transcripts", "Transcripts, counted as a run ends", agent=agents, outcome=TRANSCRIPTS
        )
        self.unrecorded = self._make_counter(
            "runs_unrecorded", "Runs whose end could not be written to the database", agent=agents
        )
        self.taken_over = self._make_counter(
            "leases_taken_over", "Agents taken over from a process that died or hung", agent=agents
        )
        self.lost = self._make_counter(
            "leases_lost", "Agents that another process took over", agent=agents
        )
        self.requests = prometheus.Histogram(
            f"{PREFIX}_request_duration_seconds",
            "Requests to the API by HTTP status; none: no whole response came",
            ["status"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.retries = self._make_counter(
            "request_retries", "Requests sent again", status=ANY_STATUS
        )
        self.given_up = self._make_counter(
            "requests_given_up", "Requests that failed as often as they may", status=ANY_STATUS
        )
        causes = ("api", "pacer")
        self.waits = self._make_counter(
            "rate_limit_waits", "Waits for the rate limit", cause=causes
        )
        self.waited = self._make_counter(
            "rate_limit_wait_seconds", "Time of those waits", cause=causes
        )
        self._held_until = 0.0
        self._make_gauge(
            "retry_later_seconds", "Until the API may be asked again; 0: now"
        ).set_function(lambda: max(0.0, self._held_until - steady_clock()))
        self.clock_skew = self._make_gauge(
            "clock_skew_seconds", "This machine's clock less the API's; NaN: not known"
        )
        self.clock_skew.set(math.nan)
        self.clock_steps = self._make_counter(
            "clock_steps", "Steps of the clock", direction=("forward", "back")
        )
        self.outages = self._make_counter("outages", "Outages that began", of=("api", "database"))
        self.outage = self._make_gauge("outage", "1 while it can't be used", of=("api", "database"))
        self.database_errors = self._make_counter(
            "database_errors", "Errors, also of tries repeated"
        )
        self.lake_runs = self._make_counter(
            "lake_runs", "Runs that carried over to the lake", outcome=("updated", "failed")
        )
        self.lake_rows = self._make_counter(
            "lake_rows", "Rows changed in the lake", outcome=LAKE_ROWS
        )
        self.lake_as_of = self._make_gauge(
            "lake_as_of_timestamp_seconds", "The lake shows the database as of then; NaN: not known"
        )
        self.lake_as_of.set(math.nan)
        self.pings = self._make_counter(
            "pings", "Pings of service.ping_url", outcome=("delivered", "failed")
        )
        self._make_gauge("info", "The version", version=(__version__,)).labels(__version__).set(1)

    def observe(self, event: events.Event) -> None:  # noqa: PLR0912
        """Count an event."""
        match event:
            case events.RequestAnswered(status, seconds, clock_skew):
                self.requests.labels(label_of(status)).observe(seconds)
                if clock_skew is not None:
                    self.clock_skew.set(clock_skew.total_seconds())
            case events.ApiClosed(seconds):
                self._held_until = max(self._held_until, steady_clock() + seconds)
            case events.ClockStepped(step):
                self.clock_steps.labels("forward" if step > timedelta(0) else "back").inc()
            case events.RequestRetried(_, error, _, seconds):
                status = getattr(error, "status", None)
                self.retries.labels(label_of(status)).inc()
                if status == 429:
                    self._count_wait("api", seconds)
            case events.RequestDelayed(seconds):
                self._count_wait("pacer", seconds)
            case events.RequestGivenUp(_, error):
                self.given_up.labels(label_of(getattr(error, "status", None))).inc()
            case events.RunFinished(report):
                self._count_run(report)
            case events.RunCrashed(agent_id, mode):
                self.runs.labels(agent_id, mode, "failed").inc()
            case events.RunUnrecorded(agent_id):
                self.unrecorded.labels(agent_id).inc()
            case events.LeaseTakenOver(agent_id):
                self.taken_over.labels(agent_id).inc()
            case events.DatabaseFailed():
                self.database_errors.inc()
            case events.OutageBegan(of):
                self.outages.labels(of).inc()
                self.outage.labels(of).set(1)
            case events.OutageEnded(of):
                self.outage.labels(of).set(0)
            case events.LakeUpdated():
                self.lake_runs.labels("updated").inc()
                for outcome in LAKE_ROWS:
                    self.lake_rows.labels(outcome).inc(getattr(event, outcome))
            case events.LakeSeen(as_of):
                self.lake_as_of.set(as_of.timestamp())
            case events.LakeFailed():
                self.lake_runs.labels("failed").inc()
            case events.PingSent(error, status):
                delivered = error is None and status is not None and status < 300
                self.pings.labels("delivered" if delivered else "failed").inc()

    def scrape(self, accept: str) -> Reply:
        """The metrics, in the format that an `Accept` header asks for."""
        encode, content_type = choose_encoder(accept)
        return Reply(200, content_type, encode(self.registry))

    def set_agents(self, agent_ids: Sequence[str]) -> None:
        """Have series for these agents, from zero on, and for no others."""
        for counter, labels in self._per_agent:
            for agent_id in set(labels["agent"]).difference(agent_ids):
                counter.remove_by_labels({"agent": agent_id})
            labels["agent"] = agent_ids
            _begin_series(counter, labels)

    def _make_counter(self, name: str, text: str, **labels: Sequence[str]) -> prometheus.Counter:
        """A counter with these labels, each with its values; those of agents follow them."""
        counter = prometheus.Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)
        _begin_series(counter, labels)
        if "agent" in labels:
            self._per_agent.append((counter, labels))
        return counter

    def _make_gauge(self, name: str, text: str, **labels: Sequence[str]) -> prometheus.Gauge:
        gauge = prometheus.Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)
        _begin_series(gauge, labels)
        return gauge

    def _count_wait(self, cause: str, seconds: float) -> None:
        self.waits.labels(cause).inc()
        self.waited.labels(cause).inc(max(0.0, seconds))

    def _count_run(self, report: AgentReport) -> None:
        agent, counts = report.agent_id, report.counts
        self.runs.labels(agent, report.mode, report.status).inc()
        self.pages.labels(agent).inc(counts.pages)
        for outcome in OUTCOMES:
            self.rows.labels(agent, outcome).inc(getattr(counts, outcome))
        for outcome in TRANSCRIPTS if report.transcripts else ():
            self.transcripts.labels(agent, outcome).inc(getattr(report.transcripts, outcome))
        if isinstance(report.cause, LeaseLost):
            self.lost.labels(agent).inc()


def _begin_series(
    metric: prometheus.Counter | prometheus.Gauge, labels: dict[str, Sequence[str]]
) -> None:
    """Begin at zero with all values of the labels: Prometheus doesn't see a first increase."""
    for values in product(*labels.values()) if labels else ():
        metric.labels(*values)
