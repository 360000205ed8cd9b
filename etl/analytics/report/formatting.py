"""Names and times of a report in words. Names are untrusted text of any length."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from etl.analytics.figures.words import format_elapsed, format_minute, format_span
from etl.analytics.report.figure_queries import TopCreator
from etl.analytics.report.load_figures import Figures

LONGEST_NAME: Final = 200
"""Characters of a name that the page holds; CSS shows as many as there is room for."""

JUST_NOW: Final = timedelta(minutes=1)


def shorten(text: str) -> str:
    """A name that fits the page, on one line."""
    line = " ".join(text[: LONGEST_NAME * 4].split())
    fits = len(line) <= LONGEST_NAME
    return line if fits else line[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def label_agents(names: Mapping[str, str | None]) -> dict[str, str]:
    """A label for each agent: its name; its id too where others have the name, or alone."""
    shown = {id: shorten(name or "") or shorten(id) for id, name in names.items()}
    times = Counter(shown.values())
    return {
        id: label if times[label] == 1 else shorten(f"{label} ({shorten(id)})")
        for id, label in shown.items()
    }


def label_creator(creator: TopCreator) -> str:
    """A person's name, else the address, else the id."""
    return shorten(creator.name or creator.email or creator.id or "No creator named")


class Formatter:
    """The figures, and the words for their agents and times."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.labels = label_agents(figures.names)

    def format_minute(self, instant: datetime | None) -> str:
        """An instant as wall time, in words; without the year if it is this one."""
        options = self.figures.options
        clock = None if instant is None else options.to_wall(instant)
        return format_minute(clock, options.to_wall(options.now).year)

    def format_span(self, since: datetime, until: datetime) -> str:
        """A period as wall time, in words."""
        wall = self.figures.options.to_wall
        return format_span(wall(since), wall(until))

    def format_ago(self, instant: datetime | None) -> str:
        """How long before the page was made."""
        if instant is None:
            return "never"
        span = self.figures.options.now - instant
        return "just now" if span < JUST_NOW else f"{format_elapsed(span)} ago"
