"""What happened, as lines of the log."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import msgspec

from etl import events
from etl.clock import utc_now
from etl.errors import LeaseLost
from etl.models import AgentReport, Transcripts
from etl.service.monitor import logs
from etl.service.monitor.logs import describe_error, log

PLAIN_LINES: Final[dict[type[events.Event], tuple[str, str]]] = {
    events.RunStarted: ("info", "run_started"),
    events.RunUnrecorded: ("error", "run_unrecorded"),
    events.LeaseTakenOver: ("warning", "lease_taken_over"),
    events.OutageBegan: ("error", "outage_began"),
    events.OutageEnded: ("warning", "outage_ended"),
    events.AgentFound: ("info", "agent_found"),
    events.AgentGone: ("info", "agent_gone"),
    events.DiscoveryIncomplete: ("warning", "discovery_incomplete"),
    events.DiscoveryFailed: ("error", "discovery_failed"),
    events.RetentionFailed: ("error", "retention_failed"),
    events.LakeUpdated: ("info", "lake_updated"),
    events.LakeFailed: ("error", "lake_failed"),
    events.ServiceStopping: ("info", "service_stopping"),
}
"""Level and name of the lines that hold the fields of their events and nothing else."""


def write(event: events.Event) -> None:
    """Write an event that is worth a line."""
    match event:
        case events.RunFinished(report, seconds):
            _write_finished(report, seconds)
        case events.RunCrashed(agent_id, mode, error):
            lines = {"reason": logs.name_error(error), "where": logs.locate_error(error)}
            log.error("run_crashed", agent=agent_id, mode=mode, **lines)
        case events.RequestRetried(what, error, attempt, seconds):
            fields = {"what": _hide_session(what), "attempt": attempt, "wait_seconds": seconds}
            fields |= describe_error(error)
            if fields.get("http_status") == 429:
                log.warning("rate_limited", **fields)
            else:
                log.warning("request_retried", **fields)
        case events.RequestGivenUp(what, error):
            log.warning("request_given_up", what=_hide_session(what), **describe_error(error))
        case events.ApiClosed(seconds, error):
            until = (utc_now() + timedelta(seconds=seconds)).isoformat(timespec="seconds")
            log.warning("retry_later", until=until, wait_seconds=seconds, **describe_error(error))
        case events.ClockStepped(step):
            log.warning("clock_stepped", step_seconds=step.total_seconds())
        case events.RetentionApplied(done):
            log.info("retention_applied", **asdict(done))
        case events.PingSent(error, status) if error is not None or (status and status >= 300):
            log.warning("ping_failed", **(describe_error(error) or {"http_status": status}))
        case _ if type(event) in PLAIN_LINES:
            level, name = PLAIN_LINES[type(event)]
            getattr(log, level)(name, **_list_fields(event))


def _list_fields(event: events.Event) -> dict[str, Any]:
    fields = msgspec.structs.asdict(event)
    error = fields.pop("error", None)
    if "agent_id" in fields:
        fields["agent"] = fields.pop("agent_id")
    return fields | describe_error(error)


def _write_finished(report: AgentReport, seconds: float) -> None:
    """One line of counts per run, and one of its transcripts."""
    if isinstance(report.cause, LeaseLost):
        log.error("lease_lost", agent=report.agent_id)
    fields: dict[str, Any] = {"agent": report.agent_id, "mode": report.mode}
    fields |= {"status": report.status, "seconds": seconds}
    fields |= {name: getattr(report.counts, name) for name in logs.COUNT_FIELDS}
    if report.watermark is not None:
        fields["watermark"] = report.watermark.isoformat()
    if report.warnings:
        fields["warnings"] = "; ".join(report.warnings)
    is_well = report.status in ("succeeded", "skipped", "interrupted")
    write_line = log.info if is_well else log.warning
    write_line("run_finished", **fields, **describe_error(report.cause))
    if report.transcripts is not None:
        _write_transcripts(report.agent_id, report.transcripts)


def _write_transcripts(agent_id: str, done: Transcripts) -> None:
    """What came of transcripts, where any were to be retrieved."""
    fields = {name: getattr(done, name) for name in logs.TRANSCRIPT_FIELDS}
    if any(fields.values()):
        write_line = log.warning if done.error else log.info
        write_line("transcripts_finished", agent=agent_id, **fields, **describe_error(done.cause))


def _hide_session(what: str) -> str:
    """What was requested. An agent's id is the configuration's; a session's came from outside."""
    return "session" if what.startswith("session ") else what
