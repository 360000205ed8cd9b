"""Words on a terminal while a command waits for the API, so that no wait is a silent one."""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from etl.api.rate_limit import steady_clock
from etl.cli.common import print_stderr
from etl.errors import ApiError
from etl.events import Event, Observe, Retried, ignore

if TYPE_CHECKING:
    from etl.api.client import Client
    from etl.config import Settings

SHORTEST_WAIT: Final = 3.0
"""Seconds. Shorter waits are over before anybody wonders."""


def note_waits(write: Callable[[str], None] | None = None) -> Observe:
    """Tell of long waits on stderr, or by `write`, if that is a terminal; else nobody."""
    if not sys.stderr.isatty():
        return ignore
    return _WaitNotes(write or print_stderr).observe


def open_client(settings: "Settings", stop: threading.Event | None = None) -> "Client":
    """Make a client whose long waits are noted on stderr. Raises ConfigError."""
    from etl.api.client import Client
    from etl.api.credentials import source_of

    return Client(settings.api, source_of(settings.api, stop), stop, observe=note_waits())


def describe_wait(error: Exception, seconds: float) -> str:
    """Why nothing happens, and for how long."""
    status = error.status if isinstance(error, ApiError) else None
    if status == 429:
        return f"rate limited, going on in {seconds:.0f} s"
    reason = f"the API answers with HTTP {status}" if status else "the API doesn't answer"
    return f"{reason}, trying again in {seconds:.0f} s"


class _WaitNotes:
    """Many threads wait at once for the same: a wait is shown if it ends later than all before."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._until = 0.0
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        """Tell of a wait that begins."""
        if not isinstance(event, Retried) or event.seconds < SHORTEST_WAIT:
            return
        with self._lock:
            until = steady_clock() + event.seconds
            is_news = until > self._until + SHORTEST_WAIT
            self._until = max(self._until, until)
        if is_news:
            self._write(describe_wait(event.error, event.seconds))
