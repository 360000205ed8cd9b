"""Gauges whose truth is in the database: read when Prometheus asks, by two queries at most."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from etl.errors import StoreError
from etl.models import CLOCKS_DIFFER
from etl.service.monitor.metrics import PREFIX
from etl.store.read.probes import AgentProbe, OpenSessionsProbe

HOLDERS: Final = ("us", "other", "free")


class DatabaseGauges(Collector):
    """A collector. What the database doesn't tell now is left out, not made up."""

    def __init__(
        self,
        agents: Callable[[], Sequence[str]],
        probes: Callable[[], dict[str, AgentProbe]],
        open_sessions: Callable[[], dict[str, OpenSessionsProbe]],
        clock: Callable[[], datetime],
    ) -> None:
        self._agents = agents
        self._read_probes = probes
        self._read_open_sessions = open_sessions
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges of the configured agents."""
        up = GaugeMetricFamily(f"{PREFIX}_database_up", "1 if the database answers in time")
        try:
            probes = self._read_probes()
        except StoreError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        ids = self._agents()
        yield from self._measure_ages({id: probes.get(id, AgentProbe()) for id in ids})
        try:
            sessions = self._read_open_sessions()
        except StoreError:
            return
        yield from self._count_open({id: sessions.get(id, OpenSessionsProbe()) for id in ids})

    def _measure_ages(self, probes: dict[str, AgentProbe]) -> Iterator[Metric]:
        newest = self._make_gauge("watermark_age_seconds", "Age of the watermark")
        success = self._make_gauge(
            "last_success_age_seconds", "Since the last success; +Inf: none yet"
        )
        reconciled = self._make_gauge(
            "last_reconcile_age_seconds", "Since the last reconcile; +Inf: none yet"
        )
        proven = self._make_gauge(
            "coverage_age_seconds", "All rows are as the API listed them so long ago; +Inf: unknown"
        )
        lease = GaugeMetricFamily(
            f"{PREFIX}_lease", "1 for who works on the agent now", labels=["agent", "holder"]
        )
        for id, probe in probes.items():
            if probe.watermark is not None:
                # By the API's clock, which may be ahead of ours.
                newest.add_metric([id], self._measure_age(min(probe.watermark, self._clock())))
            success.add_metric([id], self._measure_age(probe.last_success_at))
            reconciled.add_metric([id], self._measure_age(probe.last_reconciled_at))
            proven.add_metric([id], self._measure_age(probe.proven_at))
            for holder in HOLDERS:
                lease.add_metric([id, holder], holder == probe.lease)
        yield from (newest, success, reconciled, proven, lease)

    def _count_open(self, probes: dict[str, OpenSessionsProbe]) -> Iterator[Metric]:
        count = self._make_gauge("open_sessions", "Sessions not completed or failed, nor missing")
        age = self._make_gauge(
            "freshness_age_seconds", "Since the stalest watched open session was confirmed"
        )
        for id, probe in probes.items():
            count.add_metric([id], probe.sessions)
            stalest = probe.confirmed_at
            age.add_metric([id], 0.0 if stalest is None else self._measure_age(stalest))
        yield from (count, age)

    def _make_gauge(self, name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["agent"])

    def _measure_age(self, at: datetime | None) -> float:
        """Seconds since then; infinite for never, and for a time that was told by a wrong clock."""
        now = self._clock()
        if at is None or at > now + CLOCKS_DIFFER:
            return math.inf
        return max(0.0, (now - at).total_seconds())
