"""Progress bars on stderr, if that is a terminal; else nothing."""

import sys
from typing import Any

from etl.cli.common import print_stderr
from etl.cli.table import make_printable
from etl.models import Progress

LONGEST_LABEL = 32
"""Characters of a label."""


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
