"""What each chart shows, in four forms: the picture, a sentence, a key and a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from etl.analytics.figures import shape
from etl.analytics.figures.period import Step, find_next_bin
from etl.analytics.figures.shape import DAYS, STATES, Tally
from etl.analytics.figures.words import format_bin, format_count, format_credits, format_percent
from etl.analytics.report import charts
from etl.analytics.report.charts import Spec
from etl.analytics.report.formatting import label_agents
from etl.analytics.report.load_figures import Figures

DAY: Final = timedelta(days=1)
STEP_LENGTHS: Final[dict[Step, timedelta]] = {
    "hour": DAY / 24,
    "day": DAY,
    "week": 7 * DAY,
    "month": 365.2425 / 12 * DAY,
}
FEW_SETTLED: Final = 10
"""Settled sessions below which a bin's failure rate says little."""

MOST_ROWS: Final = 12
"""Agents in a chart that has a row for each."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart, with its words and figures. The key's entries are CSS classes and names."""

    id: str
    title: str
    summary: str
    spec: Spec
    head: list[str]
    rows: list[list[str]]
    key: list[tuple[str, str]] = field(default_factory=list)


class _ChartData:
    """The figures that several charts are drawn from."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.labels = label_agents(figures.names)
        self.ranked = shape.rank_agents(figures.now.agents)
        self.series = shape.assign_series(self.ranked)
        self.names = [self.labels[id] for id in self.ranked[: shape.MOST_SERIES]]
        if len(self.ranked) > shape.MOST_SERIES:
            self.names.append(shape.OTHERS)
        self.table = shape.tally_by_bin(figures.cells, self.series, figures.bins)
        self.edges = [*figures.bins, find_next_bin(figures.bins[-1], figures.step)]
        is_over = self.edges[-1] <= figures.options.to_wall(figures.options.period.until)
        self.unfinished = "" if is_over else f" The last {figures.step} is not over."
        self.when = [format_bin(clock, figures.step) for clock in figures.bins]


def draw_charts(figures: Figures) -> dict[str, Drawing]:
    """Every chart, by its id; none if there is nothing to draw."""
    if not figures.now.tally.sessions:
        return {}
    data = _ChartData(figures)
    made = [_draw_quantity(data, unit) for unit in ("sessions", "credits")]
    made += [_draw_states(data), _draw_week(data)]
    if figures.now.tally.settled:
        made += [_draw_failures(data), _draw_agents(data)]
    return {drawing.id: drawing for drawing in made}


def _draw_quantity(data: _ChartData, unit: str) -> Drawing:
    """Sessions or credits over time, by agent."""
    table = [[float(getattr(tally, unit)) for tally in row] for row in data.table]
    step, number = data.figures.step, format_count if unit == "sessions" else format_credits
    rows = [
        [when, *map(number, row), number(sum(row))]
        for when, row in zip(data.when, table, strict=True)
    ]
    return Drawing(
        unit,
        f"{unit.capitalize()} by {step}",
        _summarize_quantity(data, [sum(row) for row in table], unit),
        charts.plot_quantity(shape.stack_bars(table), data.edges, data.names, step, unit),
        [step.capitalize(), *data.names, "All"],
        rows,
        [(f"series-{index}", name) for index, name in enumerate(data.names)],
    )


def _summarize_quantity(data: _ChartData, sums: Sequence[float], unit: str) -> str:
    number = format_count if unit == "sessions" else format_credits
    total, highest = sum(sums), max(sums)
    if not total:
        return f"No {unit} in this range."
    step = data.figures.step
    steps = max(data.figures.drawn.length / STEP_LENGTHS[step], 1)
    each = f"{'an' if step == 'hour' else 'a'} {step}"
    text = f"{number(total)} {unit}, {number(total / steps)} {each} on average."
    if len(sums) > 1:
        text += f" The most: {number(highest)}, {data.when[sums.index(highest)]}."
    return text + data.unfinished


def _draw_states(data: _ChartData) -> Drawing:
    groups = {id: data.names[number] for id, number in data.series.items()}
    pieces = shape.mix_states(data.figures.cells, groups)
    counts = {(piece.group, piece.state): piece for piece in pieces}
    used = [state for state in STATES if any(piece.state == state for piece in pieces)]
    rows = [
        [name, *(_format_share(counts.get((name, state))) for state in used)] for name in data.names
    ]
    total = data.figures.now.tally.sessions
    sums = {state: sum(p.sessions for p in pieces if p.state == state) for state in used}
    shares = ", ".join(f"{s.lower()} {format_percent(n / total)}" for s, n in sums.items())
    places = {state: f"state-{index}" for index, state in enumerate(STATES)}
    return Drawing(
        "states",
        "States by agent",
        f"Of all sessions: {shares}.",
        charts.plot_states(pieces),
        ["Agent", *used],
        rows,
        [(places[state], state) for state in used],
    )


def _format_share(piece: shape.Mix | None) -> str:
    if piece is None:
        return "0"
    return f"{format_count(piece.sessions)} ({format_percent(piece.high - piece.low)})"


def _draw_failures(data: _ChartData) -> Drawing:
    tallies = [shape.sum_tallies(row) for row in data.table]
    mean = data.figures.now.tally.failure_rate or 0.0
    summary = f"{format_percent(mean)} of settled sessions failed (dashed line)."
    rates = [(t.failure_rate or 0.0, i) for i, t in enumerate(tallies) if t.settled >= FEW_SETTLED]
    if len(rates) > 1:
        worst, at = max(rates)
        summary += f" The highest: {format_percent(worst)}, {data.when[at]}."
    if any(0 < tally.settled < FEW_SETTLED for tally in tallies):
        summary += f" Pale, and not counted there: fewer than {FEW_SETTLED} settled."
    return Drawing(
        "failures",
        f"Failure rate by {data.figures.step}",
        summary,
        charts.plot_failures(tallies, data.edges, data.figures.step, mean, FEW_SETTLED),
        [data.figures.step.capitalize(), "Failed", "Settled", "Rate"],
        [[when, *_format_rate(tally)] for when, tally in zip(data.when, tallies, strict=True)],
    )


def _format_rate(tally: Tally) -> list[str]:
    counts = [format_count(tally.failed), format_count(tally.settled)]
    return [*counts, format_percent(tally.failure_rate)]


def _draw_agents(data: _ChartData) -> Drawing:
    before = data.figures.before.agents if data.figures.before else {}
    rated = [
        (data.labels[id], data.figures.now.agents[id], before.get(id))
        for id in data.ranked
        if data.figures.now.agents[id].settled
    ]
    drawn = sorted(rated[:MOST_ROWS], key=lambda row: -(row[1].failure_rate or 0))
    worst = drawn[0]
    key = [("dot-failed", "this range"), ("tick-soft", "the range before")]
    return Drawing(
        "agents",
        "Failure rate by agent",
        f"The highest: {worst[0]}, {format_percent(worst[1].failure_rate)}.",
        charts.plot_agents(drawn),
        ["Agent", "Failed", "Settled", "Rate", "Rate before"],
        [
            [name, *_format_rate(now), format_percent(then.failure_rate if then else None)]
            for name, now, then in drawn
        ],
        key if before else key[:1],
    )


def _draw_week(data: _ChartData) -> Drawing:
    squares = shape.classify_week(data.figures.week)
    busiest = max(squares, key=lambda square: square.sessions)
    total = sum(square.sessions for square in squares)
    office = sum(s.sessions for s in squares if s.weekday <= 5 and 8 <= s.hour < 18)
    by_hour = [squares[hour::24] for hour in range(24)]
    return Drawing(
        "week",
        "Sessions by hour of the week",
        f"The busiest hour: {DAYS[busiest.weekday - 1]} from {busiest.hour:02}:00, "
        f"{format_count(busiest.sessions)} sessions. "
        f"{format_percent(office / total)} begin from Monday to Friday, 8:00 to 18:00.",
        charts.plot_week(squares),
        ["Hour", *DAYS],
        [
            [f"{hour:02}:00", *(format_count(square.sessions) for square in row)]
            for hour, row in enumerate(by_hour)
        ],
        [(f"heat-{n}", text) for n, text in enumerate(_label_classes(busiest.sessions)) if text],
    )


def _label_classes(most: int) -> list[str]:
    """The classes of the heat map, as ranges of counts; empty ones have no text."""
    texts = ["none"]
    low = 1
    for level in range(1, shape.CLASSES + 1):
        high = level * most // shape.CLASSES
        texts.append("" if high < low else str(low) if high == low else f"{low} to {high}")
        low = max(low, high + 1)
    return texts
