"""What several commands share: settings, signals, times, the JSON of a run."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from etl.config import Settings
from etl.errors import ConfigError
from etl.input.config_file import find_config, read_settings
from etl.models import AgentReport, Counts, Status, Transcripts
from etl.wording import suggest_agent

if TYPE_CHECKING:
    from etl.privacy import Rules
    from etl.store.store import Store

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
REPEAT_WINDOW: Final = 0.3
"""Seconds within which a second signal counts as a repeat: `timeout` sends two at once."""

AGE_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60))
EXIT_CODES: Final[dict[Status, int]] = {"succeeded": 0, "interrupted": 130}


def load_settings(args: argparse.Namespace) -> Settings:
    """The configuration that the command line names."""
    return read_settings(find_config(args.config))


@contextmanager
def open_store(url: str, rules: "Rules | None" = None) -> "Iterator[Store]":
    """The database of a command that needs its tables, closed at the end, whatever happens.

    Raises ConfigError, StoreError, and SchemaMismatch for one that this program can't read.
    """
    from etl.clock import utc_now
    from etl.privacy import Rules
    from etl.store.read import status
    from etl.store.store import Store

    with Store(url, utc_now, rules or Rules()) as store:
        status.require_schema(store)
        yield store


def find_agents(store: "Store", wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The agents of `--agent`, else all stored ones. Raises ConfigError for one not stored."""
    from etl.store.read import status

    known = status.read_agent_names(store)
    for id in wanted or ():
        if id not in known:
            hint = suggest_agent(id, known) or "sync it first"
            raise ConfigError(f"agent {id!r:.80} is not in the database", hint)
    return tuple(dict.fromkeys(wanted)) if wanted else tuple(known)


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises ConfigError where there is none."""
    if not sys.stdin.isatty():
        hint = "--yes answers beforehand"
        raise ConfigError("this can't be undone, and there is no terminal to ask on", hint)
    print(f"{question} It can't be undone. [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_stderr(text: str) -> None:
    """Print a line on stderr; one that a full disk doesn't take is dropped."""
    with suppress(OSError):
        print(text, file=sys.stderr)


@contextmanager
def stop_on_signals(
    on_first_signal: Callable[[], None] = lambda: print_stderr("stopping"),
) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a later signal ends the process at once.

    A thread of its own reads them. Python runs handlers in the main thread: they would never run
    while it waits for a lock and the kernel hands the signal to another thread, and they must not
    set an event whose lock that thread may hold.
    """
    stop = threading.Event()
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    fd_before = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(read_fd, stop, on_first_signal), daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(write_fd)
        listener.join(1)  # it may be blocked writing to a pipe that nobody reads
        if not listener.is_alive():
            os.close(read_fd)


def _listen(read_fd: int, stop: threading.Event, on_first: Callable[[], None]) -> None:
    """Until the pipe is closed: the first signal asks for a stop, a later one ends the process."""
    asked_at: float | None = None
    while heard := os.read(read_fd, 1):
        if heard[0] not in SIGNALS:
            continue
        if asked_at is None:
            asked_at = time.monotonic()
            stop.set()
            on_first()
        elif time.monotonic() - asked_at > REPEAT_WINDOW:
            os._exit(130)


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, so that `finally` blocks run."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def to_exit_code(status: Status) -> int:
    """0 all done, 130 interrupted, 1 anything else."""
    return EXIT_CODES.get(status, 1)


def report_json(
    reports: Sequence[AgentReport],
    status: Status,
    errors: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> str:
    """A run as one JSON document; docs/cli.md keeps its fields stable."""
    messages = {"errors": list(errors), "warnings": list(warnings)}
    agents = [_agent_to_json(report) for report in reports]
    return json.dumps({"status": status, "agents": agents, **messages}, indent=1)


def _agent_to_json(one: AgentReport) -> dict[str, Any]:
    counts = {name: getattr(one.counts, name) for name in Counts.__slots__}
    head = {"agent_id": one.agent_id, "mode": one.mode, "status": one.status}
    tail = {"watermark": to_iso(one.watermark), "error": one.error, "warnings": one.warnings}
    names = [name for name in Transcripts.__slots__ if name != "cause"]
    transcripts = one.transcripts and {name: getattr(one.transcripts, name) for name in names}
    counts["repeated"] = one.counts.repeated
    return head | counts | tail | {"transcripts": transcripts}


def to_iso(instant: datetime | None) -> str | None:
    """An instant as JSON has it."""
    return instant.isoformat().replace("+00:00", "Z") if instant else None


def to_second(instant: datetime | None) -> str:
    """An instant as a person reads it: UTC, to the second."""
    return instant.strftime("%Y-%m-%d %H:%M:%S") if instant else "-"


def to_minute(instant: datetime | None) -> str:
    """An instant as a table has room for it: UTC, to the minute."""
    return instant.strftime("%Y-%m-%d %H:%M") if instant else "-"


def format_age(instant: datetime | None, now: datetime) -> str:
    """How far an instant is from now, in the greatest unit that it fills: `5 min ago`, `in 2 h`."""
    if instant is None:
        return "-"
    seconds = (now - instant).total_seconds()
    if abs(seconds) < 1:
        return "now"
    unit, length = next((u for u in AGE_UNITS if abs(seconds) >= u[1]), ("s", 1))
    text = f"{abs(seconds) // length:.0f} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"
