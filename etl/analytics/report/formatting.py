"""Names and times of a report in words."""

from datetime import datetime, timedelta
from typing import Final

from etl.analytics.figures.words import format_age, format_minute, format_span
from etl.analytics.report.load_figures import Figures
from etl.analytics.report.names import label_agents

JUST: Final = timedelta(minutes=1)


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
        return "just now" if span < JUST else f"{format_age(span)} ago"
