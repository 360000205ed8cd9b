"""What `run` writes to stderr: one line an event, under stable names, with known fields alone.

Nothing that came from outside is written: no response's words, no driver's, no names. An error is
written as its kind, its HTTP status and our own hint; `runs` shows its whole sentence.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from structlog.typing import EventDict

from etl.config import Service
from etl.errors import EtlError

ERROR_FIELDS: Final = ("reason", "http_status", "hint")
COUNT_FIELDS: Final = (
    "requests",
    "pages",
    "inserted",
    "updated",
    "unchanged",
    "rejected",
    "missing",
    "partial",
)
TRANSCRIPT_FIELDS: Final = ("fetched", "changed", "failed", "left", "requests")
RETENTION_FIELDS: Final = ("transcripts", "payloads", "runs")
EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "service_started": ("version", "agents", "schedule"),
    "service_listening": ("address",),
    "service_stopping": (),
    "service_stopped": (),
    "run_started": ("agent", "mode"),
    "run_finished": (
        "agent",
        "mode",
        "status",
        "seconds",
        *COUNT_FIELDS,
        "watermark",
        "warnings",
        *ERROR_FIELDS,
    ),
    "transcripts_finished": ("agent", *TRANSCRIPT_FIELDS, *ERROR_FIELDS),
    "run_unrecorded": ("agent", "mode", *ERROR_FIELDS),
    "run_crashed": ("agent", "mode", "reason", "where"),
    "request_retried": ("what", "attempt", "wait_seconds", *ERROR_FIELDS),
    "request_given_up": ("what", *ERROR_FIELDS),
    "rate_limited": ("what", "attempt", "wait_seconds", *ERROR_FIELDS),
    "retry_later": ("until", "wait_seconds", *ERROR_FIELDS),
    "clock_stepped": ("step_seconds",),
    "lease_taken_over": ("agent",),
    "lease_lost": ("agent",),
    "outage_began": ("of", *ERROR_FIELDS),
    "outage_ended": ("of", "seconds"),
    "agent_found": ("agent",),
    "agent_gone": ("agent",),
    "discovery_incomplete": ("failures", "warnings"),
    "discovery_failed": ERROR_FIELDS,
    "retention_applied": RETENTION_FIELDS,
    "retention_failed": ERROR_FIELDS,
    "lake_updated": ("inserted", "updated", "deleted", "seconds"),
    "lake_failed": ERROR_FIELDS,
    "ping_failed": ERROR_FIELDS,
    "library_warning": ("logger", "message", "reason", "where"),
}
"""Every event and the fields that it may have; docs/operations.md tells what they mean."""

BASE_FIELDS: Final = ("timestamp", "level", "event")
LONGEST_TEXT: Final = 300
EMAIL: Final = re.compile(r"[^\s@<>\"'(),;:=]+@[^\s@<>\"'(),;:=]+")

log: Final = structlog.stdlib.get_logger("etl")


def configure(service: Service, secrets: Iterable[str | None] = ()) -> None:
    """Send this process's events, and its libraries' warnings, to stderr."""
    # A full disk or a closed pipe behind stderr must not hurt the work.
    logging.raiseExceptions = False
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if service.log == "text" or (service.log == "auto" and sys.stderr.isatty()):
        colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        render = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)
    add_time = structlog.processors.TimeStamper(fmt="iso", utc=True)
    guard = _Guard([secret for secret in secrets if secret])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, add_time, _clean_library_record],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                guard,
                render,
            ],
        )
    )
    # Libraries tell no more than warnings: at lower levels they show addresses and headers.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("etl").setLevel(service.log_level.upper())
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            add_time,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def describe_error(error: Exception | None) -> dict[str, Any]:
    """An error in fields that hold no word from outside."""
    if error is None:
        return {}
    status = getattr(error, "status", None)
    hint = error.hint if isinstance(error, EtlError) else None
    fields = {"reason": name_error(error), "http_status": status, "hint": hint}
    return {name: value for name, value in fields.items() if value}


def name_error(error: BaseException) -> str:
    """The name of an error's class, such as `store_error`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def locate_error(error: BaseException) -> str:
    """The lines of this project that an error passed through, innermost last; no values."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if "etl" in path.parts or trace.tb_next is None:
            lines.append(f"{path.parent.name}/{path.name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " ".join(lines[-8:])


def _clean_library_record(_logger: Any, _method: str, fields: EventDict) -> EventDict:
    """A library's record: its sentence without the values put into it, which may be anything."""
    record: logging.LogRecord = fields["_record"]
    error = record.exc_info[1] if record.exc_info else None
    # The text of a Python warning is put together before it becomes a record.
    is_template = isinstance(record.msg, str) and record.name != "py.warnings"
    message = record.msg if is_template else "(its words may hold anything)"
    fields.update(event="library_warning", logger=record.name, message=message)
    if error is not None:
        fields.update(reason=name_error(error), where=locate_error(error))
    return fields


class _Guard:
    """The last gate: unknown events and fields don't pass, values are cleaned."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets

    def __call__(self, _logger: Any, _method: str, fields: EventDict) -> EventDict:
        known = EVENTS.get(fields["event"])
        if known is None:
            known, fields["event"] = (), "unknown_event"
        head = {name: fields[name] for name in BASE_FIELDS if name in fields}
        passed = {name: self._clean(fields[name]) for name in known if name in fields}
        return head | passed

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return round(value, 3)
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = EMAIL.sub("***", text)[:LONGEST_TEXT]
        return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
