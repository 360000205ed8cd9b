"""What a log line may hold: known events, known fields, and nothing that came from outside."""

import ast
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

import etl
from etl.config import Service
from etl.errors import Denied, LeaseLost, StoreError, Transient
from etl.events import (
    OutageBegan,
    PingSent,
    RequestGivenUp,
    RequestRetried,
    RunCrashed,
    RunFinished,
    RunUnrecorded,
)
from etl.models import AgentReport, Transcripts
from etl.service.monitor import log_events, logs
from etl.service.monitor.logs import EVENTS, configure, log

TOKEN, EMAIL, NAME = "tok-5ecret", "jane.doe@example.com", "Jane Doe"
HOSTILE = f'"{NAME}" <{EMAIL}> {TOKEN}\x1b[31m\n\x00'


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The logging of the test run itself, as it was."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines on stderr, none of which shows what it must not."""
    text = capsys.readouterr().err
    for secret in (TOKEN, EMAIL, NAME, "Jane", "\x1b"):
        assert secret not in text, text
    return [json.loads(line) for line in text.splitlines()]


def crashed() -> Exception:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        return error


def hostile_events() -> list[Any]:
    denied = Denied(HOSTILE, status=403)
    stored = StoreError(HOSTILE, "is PostgreSQL running at that host and port?")
    slow = Transient(HOSTILE, "slow down", status=429)
    report = AgentReport("a", "incremental", "failed", error=HOSTILE, cause=denied)
    return [
        RunFinished(report, 1.0),
        RunFinished(AgentReport("a", "reconcile", "failed", cause=LeaseLost(HOSTILE)), 1.0),
        RunUnrecorded("a", "incremental", stored),
        RunCrashed("a", "incremental", crashed()),
        RequestRetried(f"session {HOSTILE!r}", slow, 1, 0.5),
        RequestRetried(f"session {HOSTILE!r}", Transient(HOSTILE), 1, 0.5),
        RequestGivenUp(f"session {HOSTILE!r}", slow),
        OutageBegan("database", OSError(HOSTILE)),
        PingSent(OSError(HOSTILE)),
    ]


@pytest.mark.parametrize("event", hostile_events(), ids=lambda e: type(e).__name__)
def test_no_error_brings_its_words_along(capsys: pytest.CaptureFixture[str], event: Any) -> None:
    configure(Service(log="json"), [TOKEN])

    log_events.write(event)

    lines = written(capsys)
    assert lines
    assert all(line["event"] in EVENTS for line in lines)
    assert all(line.get("reason") or line["event"] == "lease_lost" for line in lines)


def test_an_error_is_told_by_kind_status_and_our_hint(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"))

    log_events.write(RequestGivenUp("session 's'", Transient(HOSTILE, "slow down", status=429)))

    (line,) = written(capsys)
    assert line["reason"] == "transient"
    assert (line["http_status"], line["hint"]) == (429, "slow down")


def test_a_bug_is_told_by_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"))

    log_events.write(RunCrashed("a", "incremental", crashed()))

    (line,) = written(capsys)
    assert line["level"] == "error"
    assert (line["reason"], "test_logs.py:" in line["where"]) == ("value_error", True)


def test_unknown_fields_and_events_do_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"), [TOKEN])

    log.info("run_started", agent="a", mode="incremental", creator=NAME, body=HOSTILE)
    log.info(HOSTILE, agent=NAME)

    started, unknown = written(capsys)
    assert set(started) == {"timestamp", "level", "event", "agent", "mode"}
    assert set(unknown) == {"timestamp", "level", "event"}
    assert unknown["event"] == "unknown_event"


@pytest.mark.parametrize(("no_color", "colors"), [("", True), ("1", False)])
def test_a_terminal_has_colors_unless_its_user_wants_none(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    no_color: str,
    colors: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", no_color)
    configure(Service())

    log.info("run_started", agent="x")

    assert ("\x1b[" in capsys.readouterr().err) is colors


@pytest.mark.parametrize("form", ["json", "text"])
def test_values_of_known_fields_are_cleaned(capsys: pytest.CaptureFixture[str], form: Any) -> None:
    configure(Service(log=form), [TOKEN])

    log.info("run_started", agent=f"a {EMAIL} {TOKEN}\x1b[31m\n\udc80" + "x" * 9999, mode={"k": 1})

    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert len(text) < 600
    assert "***" in text
    assert not [secret for secret in (TOKEN, EMAIL, "\x1b") if secret in text]


def test_libraries_warn_through_the_same_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"), [TOKEN])

    logging.getLogger("apscheduler.x").warning("Job %s was missed by %s", NAME, EMAIL)
    logging.getLogger("httpx").info("HTTP Request: %s", HOSTILE)
    logging.getLogger("sqlalchemy.pool").error("Closing %r", NAME, exc_info=crashed())
    logging.getLogger("odd").error(ValueError(HOSTILE))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(HOSTILE, UserWarning, stacklevel=1)

    first, *rest = written(capsys)
    assert (first["event"], first["logger"]) == ("library_warning", "apscheduler.x")
    assert first["message"] == "Job %s was missed by %s"
    assert [line.get("reason") for line in rest] == ["value_error", None, None]
    assert {line["event"] for line in rest} == {"library_warning"}


def test_the_level_is_the_configured_one(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json", log_level="warning"))

    log.info("run_started", agent="a", mode="incremental")
    log.warning("lease_taken_over", agent="a")

    assert [line["event"] for line in written(capsys)] == ["lease_taken_over"]


def test_a_run_is_one_line_of_counts(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"))
    report = AgentReport(
        "a", "incremental", "succeeded", watermark=datetime(2026, 1, 1, tzinfo=UTC)
    )
    report.counts.inserted = 7

    log_events.write(RunFinished(report, 1.23456))

    (line,) = written(capsys)
    assert (line["level"], line["inserted"], line["seconds"]) == ("info", 7, 1.235)
    assert line["watermark"] == "2026-01-01T00:00:00+00:00"


def test_what_came_of_transcripts_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Service(log="json"), [TOKEN])
    report = AgentReport("a", "incremental", "succeeded", transcripts=Transcripts())
    log_events.write(RunFinished(report, 1.0))
    report.transcripts = Transcripts(7, 5, 2, 9, 11)
    log_events.write(RunFinished(report, 1.0))
    report.transcripts = Transcripts(failed=5, error=HOSTILE, cause=Denied(HOSTILE, status=403))
    log_events.write(RunFinished(report, 1.0))

    lines = [one for one in written(capsys) if one["event"] == "transcripts_finished"]
    well, ill = lines
    assert (well["level"], well["agent"], well["fetched"], well["left"]) == ("info", "a", 7, 9)
    assert (ill["level"], ill["reason"], ill["http_status"]) == ("warning", "denied", 403)


def test_the_code_writes_the_listed_events_and_no_others() -> None:
    """Every call of the log names an event of the list, and every event is written somewhere."""
    used = {name for _, name in log_events.PLAIN_LINES.values()}
    for path in Path(etl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and node.args
            if is_call and _is_log(ast.unparse(node.func)):
                used.add(ast.literal_eval(node.args[0]))

    assert used | {"library_warning"} == set(logs.EVENTS)


def _is_log(name: str) -> bool:
    holder, _, method = name.rpartition(".")
    is_ours = holder.split(".")[-1] == "log"
    return name == "write_line" or (is_ours and method in ("debug", "info", "warning", "error"))
