"""What stderr shows of a command at work, if it is a terminal: progress bars, and long waits.

No wait for the API is a silent one.
"""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from etl.api.rate_limit import steady_clock
from etl.cli.common import print_stderr
from etl.cli.table import make_printable
from etl.errors import ApiError
from etl.events import Event, Observe, RequestRetried, ignore
from etl.models import Progress

if TYPE_CHECKING:
    from etl.api.client import Client
    from etl.config import Settings

LONGEST_LABEL: Final = 32
"""Characters of a label."""

SHORTEST_WAIT: Final = 3.0
"""Seconds. Shorter waits are over before anybody wonders."""


class ProgressBars:
    """A bar for each thing worked on and each unit counted: share, number, rate, time left.

    `labels` are names for what `Progress.of` tells; it may be filled later.
    """

    def __init__(self, labels: dict[str, str], *, quiet: bool = False) -> None:
        self._labels = labels
        self._tasks: dict[tuple[str, str], Any] = {}
        self._bars: Any = None
        if not quiet and sys.stderr.isatty():
            self._bars = _make_bars()

    def __enter__(self) -> "ProgressBars":
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the bars as they are; later progress is not shown."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def print(self, sentence: str) -> None:
        """Print a sentence on stderr, above the bars."""
        if self._bars is None:
            print_stderr(sentence)
        else:
            self._bars.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def update(self, progress: Progress) -> None:
        """Move a bar."""
        bars, key = self._bars, (progress.of, progress.unit)
        if bars is None:
            return
        if key not in self._tasks:
            label = make_printable(self._labels.get(progress.of, progress.of))[:LONGEST_LABEL]
            self._tasks[key] = bars.add_task(label, total=None, unit=progress.unit, number=0)
        bars.update(
            self._tasks[key],
            total=None if progress.share is None else 1.0,
            completed=progress.share or 0,
            number=progress.number,
        )


def _make_bars() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Rate(ProgressColumn):
        """What is done a second since the bar appeared."""

        def render(self, task: Task) -> Text:
            seconds = task.finished_time or task.elapsed
            return Text(f"{task.fields['number'] / seconds:.0f}/s" if seconds else "-/s")

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[number]} {task.fields[unit]}", markup=False),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )


def note_waits(write: Callable[[str], None] | None = None) -> Observe:
    """An observer that writes of long waits, to stderr by default; none if that is no terminal."""
    if not sys.stderr.isatty():
        return ignore
    return _WaitNotes(write or print_stderr).observe


def open_client(settings: "Settings", stop: threading.Event | None = None) -> "Client":
    """Make a client whose long waits are noted on stderr. Raises ConfigError."""
    from etl.api.client import Client
    from etl.api.credentials import make_source

    return Client(settings.api, make_source(settings.api, stop), stop, observe=note_waits())


def describe_wait(error: Exception, seconds: float) -> str:
    """Why nothing happens, and for how long."""
    status = error.status if isinstance(error, ApiError) else None
    if status == 429:
        return f"rate limited, going on in {seconds:.0f} s"
    reason = f"the API answers with HTTP {status}" if status else "the API doesn't answer"
    return f"{reason}, trying again in {seconds:.0f} s"


class _WaitNotes:
    """Many threads wait at once: a wait is shown only if it ends later than all before it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._until = 0.0
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        """Write of a wait that begins, if it is long."""
        if not isinstance(event, RequestRetried) or event.seconds < SHORTEST_WAIT:
            return
        with self._lock:
            until = steady_clock() + event.seconds
            is_news = until > self._until + SHORTEST_WAIT
            self._until = max(self._until, until)
        if is_news:
            self._write(describe_wait(event.error, event.seconds))
