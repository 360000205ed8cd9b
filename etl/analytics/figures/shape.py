"""From counted figures to what is drawn: series, shares, rates and classes. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from etl.analytics.figures.period import Step, floor_to
from etl.models import SETTLED_STATES

MOST_SERIES: Final = 5
"""Agents with a colour of their own; more can't be told apart."""

OTHERS: Final = "Other agents"
CLASSES: Final = 5
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

STATES: Final[dict[str, tuple[str | None, ...]]] = {
    "Completed": ("completed",),
    "Failed": ("failed",),
    "Running": ("queued", "processing"),
    "Awaiting approval": ("approval_required",),
    "Idle": ("idle",),
    "Other": (),
}
"""The states in the order in which they are drawn; those that come up later are `Other`."""


class Cell(NamedTuple):
    """Sessions of an agent that began at the same slot of wall time and are in the same state."""

    agent_id: str
    slot: datetime
    state: str | None
    sessions: int
    credits: float
    tokens: int


class Tally(NamedTuple):
    """What a set of sessions came to."""

    sessions: int = 0
    credits: float = 0.0
    tokens: int = 0
    failed: int = 0
    settled: int = 0

    @property
    def failure_rate(self) -> float | None:
        """The share of failed ones among those that are settled; None if none is."""
        return self.failed / self.settled if self.settled else None

    @property
    def each(self) -> float | None:
        """Credits per session; None if there is none."""
        return self.credits / self.sessions if self.sessions else None

    def add_cell(self, cell: Cell) -> "Tally":
        """The tally with the sessions of one more cell."""
        settled = cell.sessions if cell.state in SETTLED_STATES else 0
        failed = cell.sessions if cell.state == "failed" else 0
        return Tally(
            self.sessions + cell.sessions,
            self.credits + cell.credits,
            self.tokens + cell.tokens,
            self.failed + failed,
            self.settled + settled,
        )


class Bar(NamedTuple):
    """A piece of a stacked bar: a series' part of a bin, from `low` to `high`."""

    bin: int
    series: int
    value: float
    low: float
    high: float


class Mix(NamedTuple):
    """How many of a group's sessions are in a group of states, and where its share is drawn."""

    group: str
    state: str
    sessions: int
    low: float
    high: float


class Square(NamedTuple):
    """An hour of the week; its class is 0 if empty, else 1 to 5 by its share of the busiest."""

    weekday: int
    hour: int
    sessions: int
    level: int


def tally_cells(cells: Iterable[Cell]) -> Tally:
    """What all cells come to."""
    total = Tally()
    for cell in cells:
        total = total.add_cell(cell)
    return total


def sum_tallies(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    return Tally(*map(sum, zip(Tally(), *tallies, strict=True)))


def tally_by_agent(cells: Iterable[Cell]) -> dict[str, Tally]:
    """What the cells of each agent come to."""
    found: dict[str, Tally] = {}
    for cell in cells:
        found[cell.agent_id] = found.get(cell.agent_id, Tally()).add_cell(cell)
    return found


def rank_agents(agents: Mapping[str, Tally]) -> list[str]:
    """The agents with the most sessions first."""
    return sorted(agents, key=lambda id: (-agents[id].sessions, -agents[id].credits, id))


def assign_series(agents: Sequence[str]) -> dict[str, int]:
    """The series of each agent, given in their rank; the last series holds those left over."""
    return {id: min(rank, MOST_SERIES) for rank, id in enumerate(agents)}


def fold_hours(hourly: Iterable[Cell], step: Step) -> tuple[list[Cell], dict[tuple[int, int], int]]:
    """Cells of an hour each as cells of a step each; and the sessions by weekday and hour.

    Weekdays are those of ISO: Monday is 1.
    """
    merged: dict[tuple[str, datetime, str | None], Cell] = {}
    week: dict[tuple[int, int], int] = {}
    for cell in hourly:
        at = (cell.slot.isoweekday(), cell.slot.hour)
        week[at] = week.get(at, 0) + cell.sessions
        key = (cell.agent_id, floor_to(cell.slot, step), cell.state)
        merged[key] = _add_cells(merged.get(key), cell._replace(slot=key[1]))
    return list(merged.values()), week


def _add_cells(one: Cell | None, other: Cell) -> Cell:
    if one is None:
        return other
    sums = (one.sessions + other.sessions, one.credits + other.credits, one.tokens + other.tokens)
    return Cell(*one[:3], *sums)


def tally_by_bin(
    cells: Iterable[Cell], series: Mapping[str, int], bins: Sequence[datetime]
) -> list[list[Tally]]:
    """For each bin, the tally of each series. Cells outside the bins belong to none."""
    place = {clock: index for index, clock in enumerate(bins)}
    width = max(series.values(), default=-1) + 1
    table = [[Tally()] * width for _ in bins]
    for cell in cells:
        at = place.get(cell.slot)
        if at is not None:
            number = series[cell.agent_id]
            table[at][number] = table[at][number].add_cell(cell)
    return table


def stack_bars(table: Sequence[Sequence[float]]) -> list[Bar]:
    """The pieces of the bars, the first series at the bottom; empty pieces have none."""
    bars: list[Bar] = []
    for index, row in enumerate(table):
        low = 0.0
        for number, value in enumerate(row):
            if value > 0:
                bars.append(Bar(index, number, value, low, low + value))
                low += value
    return bars


def group_state(state: str | None) -> str:
    """The group that a state is shown in."""
    return next((group for group, states in STATES.items() if state in states), "Other")


def mix_states(cells: Iterable[Cell], groups: Mapping[str, str]) -> list[Mix]:
    """The shares of the states in each group of agents."""
    counts: dict[str, dict[str, int]] = {group: {} for group in groups.values()}
    for cell in cells:
        mine, state = counts[groups[cell.agent_id]], group_state(cell.state)
        mine[state] = mine.get(state, 0) + cell.sessions
    return [piece for group, mine in counts.items() for piece in _stack_shares(group, mine)]


def _stack_shares(group: str, counts: Mapping[str, int]) -> list[Mix]:
    total, low, pieces = sum(counts.values()), 0, []
    for state in STATES:
        if counts.get(state):
            high = low + counts[state]
            pieces.append(Mix(group, state, counts[state], low / total, high / total))
            low = high
    return pieces


def classify_week(week: Mapping[tuple[int, int], int]) -> list[Square]:
    """The 168 hours of a week, Monday first, from the sessions by weekday and hour."""
    most = max(week.values(), default=0)
    places = [(day, hour) for day in range(1, 8) for hour in range(24)]
    return [Square(*at, week.get(at, 0), classify_count(week.get(at, 0), most)) for at in places]


def classify_count(count: int, most: int) -> int:
    """The class of a count: 0 for none, else 1 to 5, equally wide, 5 holding the most."""
    return math.ceil(count * CLASSES / most) if most > 0 else 0
