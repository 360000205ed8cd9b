"""What happened, as lines of the log."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import msgspec

from etl.clock import utc_now
from etl.errors import LeaseLost
from etl.events import (
    AgentFound,
    AgentGone,
    ClockStepped,
    DiscoveryFailed,
    DiscoveryIncomplete,
    Event,
    GaveUp,
    HeldOff,
    LakeFailed,
    LakeUpdated,
    LeaseTakenOver,
    OutageBegan,
    OutageEnded,
    Pinged,
    RetentionApplied,
    RetentionFailed,
    Retried,
    RunCrashed,
    RunFinished,
    RunStarted,
    RunUnrecorded,
    Stopping,
)
from etl.models import AgentReport, Transcripts
from etl.service.monitor.logs import COUNTS, TRANSCRIPTS, describe_error, kind, log, where


def write(event: Event) -> None:
    """Write an event that is worth a line."""
    match event:
        case RunStarted(agent_id, mode):
            log.info("run_started", agent=agent_id, mode=mode)
        case RunFinished(report, seconds):
            _finished(report, seconds)
        case RunUnrecorded(agent_id, mode, error):
            log.error("run_unrecorded", agent=agent_id, mode=mode, **describe_error(error))
        case RunCrashed(agent_id, mode, error):
            lines = {"reason": kind(error), "where": where(error)}
            log.error("run_crashed", agent=agent_id, mode=mode, **lines)
        case Retried():
            _retried(event)
        case GaveUp(what, error):
            log.warning("request_given_up", what=_asked(what), **describe_error(error))
        case LeaseTakenOver(agent_id):
            log.warning("lease_taken_over", agent=agent_id)
        case OutageBegan(of, error):
            log.error("outage_began", of=of, **describe_error(error))
        case OutageEnded(of, seconds):
            log.warning("outage_ended", of=of, seconds=seconds)
        case Pinged(error, status) if error is not None or (status and status >= 300):
            log.warning("ping_failed", **(describe_error(error) or {"http_status": status}))
        case AgentFound() | AgentGone() | DiscoveryIncomplete() | DiscoveryFailed():
            _discovered(event)
        case _:
            _served(event)


def _discovered(event: AgentFound | AgentGone | DiscoveryIncomplete | DiscoveryFailed) -> None:
    match event:
        case AgentFound(agent_id):
            log.info("agent_found", agent=agent_id)
        case AgentGone(agent_id):
            log.info("agent_gone", agent=agent_id)
        case DiscoveryIncomplete(failures, warnings):
            log.warning("discovery_incomplete", failures=failures, warnings=warnings)
        case DiscoveryFailed(error):
            log.error("discovery_failed", **describe_error(error))


def _served(event: Event) -> None:
    """What the service does beside its runs."""
    match event:
        case HeldOff(seconds, error):
            until = (utc_now() + timedelta(seconds=seconds)).isoformat(timespec="seconds")
            log.warning("retry_later", until=until, wait_seconds=seconds, **describe_error(error))
        case ClockStepped(step):
            log.warning("clock_stepped", step_seconds=step.total_seconds())
        case RetentionApplied(done):
            log.info("retention_applied", **asdict(done))
        case RetentionFailed(error):
            log.error("retention_failed", **describe_error(error))
        case LakeUpdated():
            log.info("lake_updated", **msgspec.structs.asdict(event))
        case LakeFailed(error):
            log.error("lake_failed", **describe_error(error))
        case Stopping():
            log.info("service_stopping")


def _finished(report: AgentReport, seconds: float) -> None:
    """One line of counts per run, and one of its transcripts."""
    if isinstance(report.cause, LeaseLost):
        log.error("lease_lost", agent=report.agent_id)
    fields: dict[str, Any] = {"agent": report.agent_id, "mode": report.mode}
    fields |= {"status": report.status, "seconds": seconds}
    fields |= {name: getattr(report.counts, name) for name in COUNTS}
    if report.watermark is not None:
        fields["watermark"] = report.watermark.isoformat()
    if report.warnings:
        fields["warnings"] = "; ".join(report.warnings)
    is_well = report.status in ("succeeded", "skipped", "interrupted")
    write_line = log.info if is_well else log.warning
    write_line("run_finished", **fields, **describe_error(report.cause))
    if report.transcripts is not None:
        _after(report.agent_id, report.transcripts)


def _after(agent_id: str, done: Transcripts) -> None:
    """What came of transcripts, where any were to be retrieved."""
    fields = {name: getattr(done, name) for name in TRANSCRIPTS}
    if any(fields.values()):
        write_line = log.warning if done.error else log.info
        write_line("transcripts_finished", agent=agent_id, **fields, **describe_error(done.cause))


def _retried(event: Retried) -> None:
    fields = {"what": _asked(event.what), "attempt": event.attempt, "wait_seconds": event.seconds}
    fields |= describe_error(event.error)
    if fields.get("http_status") == 429:
        log.warning("rate_limited", **fields)
    else:
        log.warning("request_retried", **fields)


def _asked(what: str) -> str:
    """What was requested. An agent's id is the configuration's; a session's came from outside."""
    return "session" if what.startswith("session ") else what
