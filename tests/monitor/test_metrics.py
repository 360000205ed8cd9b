"""Counters of what happened, gauges from the database, and labels that stay few."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from etl import events
from etl.clock import utc_now
from etl.errors import LeaseLost, StoreError, Transient
from etl.models import AgentReport, Transcripts
from etl.service.monitor.gauges import DatabaseGauges
from etl.service.monitor.metrics import Metrics, label_of
from etl.store.read.probes import AgentProbe, OpenSessionsProbe, read_agents, read_open_sessions
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.store import Store

Runner = Callable[..., AgentReport]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def samples(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus would read, by name and label values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    text = generate_latest(metrics.registry).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("gumloop_etl_")
            found.setdefault(name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_a_run_is_counted() -> None:
    metrics = Metrics(["a"])
    report = AgentReport("a", "incremental", "succeeded")
    report.counts.pages, report.counts.inserted, report.counts.missing = 3, 70, 2
    report.counts.partial = 30

    metrics.observe(events.RunFinished(report, 1.0))
    report.transcripts = Transcripts(fetched=5, changed=4, failed=1)
    metrics.observe(events.RunFinished(report, 1.0))
    report = AgentReport("a", "reconcile", "failed", cause=LeaseLost("gone"))
    metrics.observe(events.RunFinished(report, 1.0))
    metrics.observe(events.LeaseTakenOver("a"))
    metrics.observe(events.RunUnrecorded("a", "reconcile", StoreError("gone")))

    found = samples(metrics)
    assert found["runs_total"]["a", "incremental", "succeeded"] == 2
    assert found["runs_total"]["a", "reconcile", "failed"] == 1
    assert found["rows_total"]["a", "inserted"] == 140
    assert found["rows_total"]["a", "missing"] == 4
    assert found["rows_total"]["a", "partial"] == 60
    assert found["pages_total"]["a",] == 6
    done = {"fetched": 5, "changed": 4, "failed": 1}
    assert found["transcripts_total"] == {("a", outcome): n for outcome, n in done.items()}
    for name in ("leases_lost_total", "leases_taken_over_total", "runs_unrecorded_total"):
        assert found[name]["a",] == 1, name


def test_requests_and_waits_are_counted() -> None:
    metrics = Metrics([])
    metrics.observe(events.RequestAnswered(200, 0.2))
    metrics.observe(events.RequestAnswered(None, 30.0))
    metrics.observe(events.RequestRetried("x", Transient("slow down", status=429), 1, 7.0))
    metrics.observe(events.RequestRetried("x", Transient("no answer"), 1, 0.5))
    metrics.observe(events.RequestDelayed(0.25))

    found = samples(metrics)
    assert found["request_duration_seconds_count"] == {("200",): 1, ("none",): 1}
    assert found["request_duration_seconds_sum"]["none",] == 30
    assert found["request_retries_total"] == {("429",): 1, ("none",): 1}
    assert found["rate_limit_waits_total"] == {("api",): 1, ("pacer",): 1}
    assert found["rate_limit_wait_seconds_total"] == {("api",): 7, ("pacer",): 0.25}


@given(st.none() | st.integers(100, 999))
def test_a_server_cannot_make_up_many_labels(status: int | None) -> None:
    assert len({label_of(code) for code in range(100, 1000)}) <= 25
    assert label_of(status) in {"none", f"{status}", f"{(status or 0) // 100}xx"}


def test_agents_that_left_vanish_and_new_ones_begin_at_zero() -> None:
    metrics = Metrics(["a", "b"])
    metrics.observe(events.RunFinished(AgentReport("a", "incremental", "succeeded"), 1.0))

    metrics.set_agents(["b", "c"])

    found = samples(metrics)
    per_agent = [name for name in found if any("b" in labels for labels in found[name])]
    assert len(per_agent) >= 6
    for name in per_agent:
        assert {labels[0] for labels in found[name]} == {"b", "c"}, name
        assert set(found[name].values()) == {0}, name


def gauges(
    ids: list[str], ages: dict[str, AgentProbe], opened: dict[str, OpenSessionsProbe] | StoreError
) -> Metrics:
    def ask() -> dict[str, OpenSessionsProbe]:
        if isinstance(opened, StoreError):
            raise opened
        return opened

    metrics = Metrics([])
    metrics.registry.register(DatabaseGauges(lambda: ids, lambda: ages, ask, lambda: NOW))
    return metrics


def test_ages_are_counted_from_now_and_never_is_infinite() -> None:
    hour = NOW - timedelta(hours=1)
    found = samples(gauges(["a", "new"], {"a": AgentProbe(hour, hour, hour, hour, "other")}, {}))

    assert found["database_up"] == {(): 1}
    assert found["watermark_age_seconds"] == {("a",): 3600}
    for name in ("last_success", "last_reconcile", "coverage"):
        assert found[f"{name}_age_seconds"] == {("a",): 3600, ("new",): math.inf}
    assert found["lease"]["a", "other"] == found["lease"]["new", "free"] == 1
    assert sum(found["lease"].values()) == 2
    assert found["open_sessions"] == {("a",): 0, ("new",): 0}


def test_a_success_of_the_future_is_no_sign_of_freshness() -> None:
    wrong, differs = NOW + timedelta(hours=1), NOW + timedelta(seconds=5)
    probes = {
        "wrong": AgentProbe(wrong, wrong, wrong, wrong),
        "differs": AgentProbe(differs, differs, differs, differs),
    }
    found = samples(gauges(["wrong", "differs"], probes, {}))

    for name in ("last_success", "last_reconcile", "coverage"):
        assert found[f"{name}_age_seconds"] == {("wrong",): math.inf, ("differs",): 0}
    assert found["watermark_age_seconds"] == {("wrong",): 0, ("differs",): 0}


def test_the_clock_and_the_time_to_come_back_are_shown() -> None:
    metrics = Metrics([])
    before = samples(metrics)
    assert before["retry_later_seconds"] == {(): 0}
    assert math.isnan(before["clock_skew_seconds"][()])

    metrics.observe(events.RequestAnswered(200, 0.2, timedelta(seconds=-7)))
    metrics.observe(events.RequestAnswered(None, 0.2))
    metrics.observe(events.ApiClosed(500.0, Transient("later")))
    metrics.observe(events.ApiClosed(5.0, Transient("later")))
    metrics.observe(events.ClockStepped(timedelta(hours=-1)))

    found = samples(metrics)
    assert 400 < found["retry_later_seconds"][()] <= 500
    assert found["clock_skew_seconds"] == {(): -7}
    assert found["clock_steps_total"] == {("back",): 1, ("forward",): 0}


def test_what_the_database_does_not_tell_is_left_out() -> None:
    found = samples(gauges(["a"], {}, StoreError("slow")))

    assert found["database_up"] == {(): 1}
    assert "last_success_age_seconds" in found
    assert "open_sessions" not in found


def test_hostile_agent_ids_come_back_as_they_are() -> None:
    ids = ['a"b\\c\nd', "\u0000\u202e{}=,", "агент", "x" * 5000]
    found = samples(gauges(ids, {}, {}))

    assert {id for (id,) in found["open_sessions"]} == set(ids)


def test_the_database_tells_of_its_agents(store: Store, run_agent: Runner, world: Any) -> None:
    agent, other = world.agent_ids()
    assert run_agent(agent).status == "succeeded"
    began = utc_now()

    found = read_agents(store, [agent, other, "none"])
    opened = read_open_sessions(store, [agent, other], utc_now(), timedelta(days=7))

    assert set(found) == {agent}
    probe = found[agent]
    assert probe.watermark == store.load_state(agent).watermark
    assert probe.last_success_at == store.load_state(agent).last_success_at
    assert probe.proven_at is not None
    assert probe.proven_at <= began
    assert (probe.last_reconciled_at, probe.lease) == (None, "free")
    is_open = [s for s in world.sessions(agent) if s["state"] not in ("completed", "failed")]
    assert opened[agent].sessions == len(is_open) > 0
    confirmed = opened[agent].confirmed_at
    assert confirmed is not None
    assert confirmed <= began


def test_a_span_without_a_proof_makes_the_whole_unknown(
    store: Store, run_agent: Runner, world: Any
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    with store.engine.begin() as connection:
        connection.execute(update(t.coverage).values(proven_at=None))

    assert read_agents(store, [agent])[agent].proven_at is None


def test_sessions_left_idle_are_open_but_not_watched(
    store: Store, run_agent: Runner, world: Any
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    with store.engine.begin() as connection:
        connection.execute(update(t.sessions).values(state="idle"))

    later = utc_now() + timedelta(days=8)
    found = read_open_sessions(store, [agent], later, timedelta(days=7))[agent]

    assert found == OpenSessionsProbe(len(world.sessions(agent)), None)


def test_the_lease_is_ours_anothers_or_free(store: Store) -> None:
    lease = store.claim("a")
    assert isinstance(lease, Lease)
    assert read_agents(store, ["a"])["a"].lease == "us"

    def set_to(**values: Any) -> str:
        with store.engine.begin() as connection:
            connection.execute(update(t.sync_state).values(**values))
        return read_agents(store, ["a"])["a"].lease

    assert set_to(lease_holder="tok@elsewhere/0:1:2") == "other"
    assert set_to(lease_expires_at=utc_now() - timedelta(minutes=5)) == "free"
    store.release(lease)
    assert read_agents(store, ["a"])["a"].lease == "free"
