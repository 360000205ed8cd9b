"""Reads everything that a report shows in one go, and shapes it."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection

from etl.analytics.figures import period as periods
from etl.analytics.figures import shape
from etl.analytics.figures.period import Period, Step
from etl.analytics.figures.shape import Cell, Tally
from etl.analytics.report import figure_queries
from etl.analytics.report.figure_queries import SettleTimes, TopCreator, TopSession, Window
from etl.analytics.report.health_queries import Health, load_health
from etl.store.read import status
from etl.store.store import Store

RECENT_RUNS: Final = 10
EMPTY_RANGE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What the report covers: which agents, which sessions, and by whose clock."""

    agents: tuple[str, ...]
    period: Period
    zone: tzinfo
    zone_name: str
    now: datetime

    def to_wall(self, instant: datetime) -> datetime:
        """What a clock in the zone shows."""
        return periods.to_wall(instant, self.zone)


@dataclass(frozen=True, slots=True)
class Totals:
    """A period at a glance."""

    tally: Tally
    agents: dict[str, Tally]
    creators: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that a report shows. `before` is None where nothing is stored from then."""

    options: ReportOptions
    names: dict[str, str | None]
    drawn: Period
    step: Step
    bins: list[datetime]
    cells: list[Cell]
    week: dict[tuple[int, int], int]
    now: Totals
    before: Totals | None
    period_before: Period | None
    creators: list[TopCreator]
    costliest: list[TopSession]
    settling: SettleTimes
    undated: int
    health: list[Health]
    runs: list[dict[str, Any]]


def load_figures(store: Store, options: ReportOptions) -> Figures:
    """Read the figures. Raises StoreError."""
    names = status.read_agent_names(store)
    runs = status.list_recent_runs(store, options.agents, RECENT_RUNS) if options.agents else []
    with store.connect() as connection:
        oldest = figure_queries.find_oldest_session(connection, options.agents)
        drawn = _trim_period(options.period, oldest)
        step = periods.choose_step(drawn)
        window = Window(options.agents, drawn)
        cells, week = _load_cells(connection, window, options.zone, step)
        before = _find_before(options, oldest)
        return Figures(
            options,
            names,
            drawn,
            step,
            periods.list_bins(drawn, step, options.zone),
            cells,
            week,
            _load_totals(connection, window, cells),
            _load_totals_before(connection, options, before),
            before,
            figure_queries.find_top_creators(connection, window),
            figure_queries.find_costliest(connection, window),
            figure_queries.find_settle_times(connection, window),
            figure_queries.count_undated(connection, options.agents),
            [load_health(connection, id, options.period, options.now) for id in options.agents],
            runs,
        )


def _trim_period(period: Period, oldest: datetime | None) -> Period:
    """The range without the time before the first session; of an empty one, its end."""
    if oldest is None or oldest >= period.until:
        oldest = period.until - min(EMPTY_RANGE, period.length)
    return Period(max(period.since, oldest), period.until)


def _find_before(options: ReportOptions, oldest: datetime | None) -> Period | None:
    """The range before, as far as sessions go back; None where none does."""
    before = periods.find_period_before(options.period, options.zone)
    if before is None or oldest is None or before.until <= oldest:
        return None
    return Period(max(before.since, oldest), before.until)


def _load_cells(
    connection: Connection, window: Window, zone: tzinfo, step: Step
) -> tuple[list[Cell], dict[tuple[int, int], int]]:
    clock = periods.list_offsets(window.period, zone)
    return shape.fold_hours(figure_queries.count_cells(connection, window, clock), step)


def _load_totals_before(
    connection: Connection, options: ReportOptions, before: Period | None
) -> Totals | None:
    if before is None:
        return None
    window = Window(options.agents, before)
    cells, _ = _load_cells(connection, window, options.zone, "month")
    return _load_totals(connection, window, cells)


def _load_totals(connection: Connection, window: Window, cells: list[Cell]) -> Totals:
    return Totals(
        shape.tally_cells(cells),
        shape.tally_by_agent(cells),
        figure_queries.count_creators(connection, window),
    )
