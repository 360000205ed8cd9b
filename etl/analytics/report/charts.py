"""The charts, as Vega-Lite specifications made with Altair.

Colours are names of the page's own CSS variables, so that charts follow dark mode and print.
Times are wall times, drawn as if they were UTC: the reader's own time zone doesn't matter.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import altair as alt

from etl.analytics.figures.period import Step
from etl.analytics.figures.shape import CLASSES, DAYS, STATES, Bar, Mix, Square, Tally
from etl.analytics.figures.words import format_bin, format_count, format_credits, format_percent

Spec = dict[str, Any]

FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
CHART_HEIGHT: Final = 200
ROW_HEIGHT: Final = 30
DATE_FORMATS: Final[dict[Step, str]] = {
    "hour": "%-d %b %H:%M",
    "day": "%-d %b",
    "week": "%-d %b %Y",
    "month": "%b %Y",
}


def plot_quantity(
    bars: Sequence[Bar], edges: Sequence[datetime], names: Sequence[str], step: Step, unit: str
) -> Spec:
    """Stacked bars: a quantity by bin and series. There is one edge more than bins."""
    # Bars of no height, so that the time axis reaches over the whole range.
    ends = [Bar(bin, 0, 0.0, 0.0, 0.0) for bin in (0, len(edges) - 2)]
    rows = [
        {
            "from": _to_milliseconds(edges[bar.bin]),
            "to": _to_milliseconds(edges[bar.bin + 1]),
            "low": round(bar.low, 4),
            "high": round(bar.high, 4),
            "series": bar.series,
            "begins": format_bin(edges[bar.bin], step),
            "agent": names[bar.series],
            "value": format_credits(bar.value) if unit == "credits" else format_count(bar.value),
        }
        for bar in [*ends, *bars]
    ]
    chart = (
        _make_chart(rows)
        .mark_bar(stroke="var(--paper)", strokeWidth=0.75)
        .encode(
            x=_encode_time("from", step),
            x2="to",
            y=alt.Y(
                "low:Q",
                axis=alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=4),
                title=None,
            ),
            y2="high",
            color=alt.Color("series:O", legend=None, scale=_scale_series(len(names))),
            tooltip=[_make_tip("agent"), _make_tip("begins"), _make_tip("value", unit)],
        )
    )
    return _finish_chart(chart, CHART_HEIGHT)


def plot_states(pieces: Sequence[Mix]) -> Spec:
    """A bar per group of agents, parted by state."""
    names = list(STATES)
    rows = [
        {
            "agent": piece.group,
            "state": piece.state,
            "low": piece.low,
            "high": piece.high,
            "sessions": format_count(piece.sessions),
            "share": format_percent(piece.high - piece.low),
        }
        for piece in pieces
    ]
    shares = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], labelFlush=True)
    states = alt.Scale(domain=names, range=[f"var(--state-{i})" for i in range(len(names))])
    chart = (
        _make_chart(rows)
        .mark_bar(stroke="var(--paper)", strokeWidth=1, height={"band": 0.72})
        .encode(
            x=alt.X("low:Q", axis=shares, scale=alt.Scale(domain=[0, 1]), title=None),
            x2="high",
            y=_encode_names("agent", [piece.group for piece in pieces]),
            color=alt.Color("state:N", legend=None, scale=states),
            tooltip=[_make_tip(name) for name in ("agent", "state", "sessions", "share")],
        )
    )
    return _finish_chart(chart, ROW_HEIGHT * len({piece.group for piece in pieces}) + 10)


def plot_failures(
    tallies: Sequence[Tally], edges: Sequence[datetime], step: Step, mean: float, few: int
) -> Spec:
    """The failure rate of each bin, and a line at the mean of all."""
    rows = [
        {
            "at": _to_milliseconds(edges[index] + (edges[index + 1] - edges[index]) / 2),
            "rate": tally.failure_rate,
            "begins": format_bin(edges[index], step),
            "failed": f"{format_count(tally.failed)} of {format_count(tally.settled)}",
            "share": format_percent(tally.failure_rate),
            "strength": 1 if tally.settled >= few else 0.3,
        }
        for index, tally in enumerate(tallies)
        if tally.failure_rate is not None
    ]
    axis = alt.Axis(format=".0%", tickCount=4)
    base = _make_chart(rows).encode(
        x=_encode_time("at", step),
        y=alt.Y("rate:Q", axis=axis, title=None, scale=alt.Scale(zero=True)),
        tooltip=[_make_tip("begins"), _make_tip("share"), _make_tip("failed")],
    )
    line = base.mark_line(color="var(--failed)", strokeWidth=1, opacity=0.4)
    strength = alt.Opacity("strength:Q", scale=None, legend=None)
    dots = base.mark_circle(color="var(--failed)", size=32).encode(opacity=strength)
    ends = {"from": _to_milliseconds(edges[0]), "to": _to_milliseconds(edges[-1])}
    rule = _make_chart([{"rate": mean} | ends]).mark_rule(color="var(--soft)", strokeDash=[3, 3])
    across = rule.encode(x=_encode_time("from", step), x2="to", y="rate:Q")
    return _finish_chart(alt.layer(across, line, dots), 160)


def plot_agents(rates: Sequence[tuple[str, Tally, Tally | None]]) -> Spec:
    """A dot per agent for its failure rate, and a tick for the one of the period before."""
    rows = [
        {
            "agent": name,
            "rate": now.failure_rate,
            "earlier": before.failure_rate if before else None,
            "now": format_percent(now.failure_rate),
            "before": format_percent(before.failure_rate if before else None),
            "failed": f"{format_count(now.failed)} of {format_count(now.settled)}",
        }
        for name, now, before in rates
    ]
    names = [name for name, _, _ in rates]
    base = _make_chart(rows).encode(
        y=_encode_names("agent", names),
        tooltip=[_make_tip(n) for n in ("agent", "now", "failed", "before")],
    )
    x = alt.X("rate:Q", axis=alt.Axis(format=".0%", tickCount=4, grid=True), title=None)
    dot = base.mark_circle(color="var(--failed)", size=90, opacity=1).encode(x=x)
    layers = [dot]
    if any(row["earlier"] is not None for row in rows):
        way = base.mark_rule(color="var(--faint)", strokeWidth=2).encode(x=x, x2="earlier:Q")
        tick = base.mark_tick(color="var(--soft)", thickness=2, size=14).encode(x="earlier:Q")
        layers = [way, tick, dot]
    return _finish_chart(alt.layer(*layers), ROW_HEIGHT * len(rows) + 10)


def plot_week(squares: Sequence[Square]) -> Spec:
    """The week by day and hour."""
    rows = [
        {
            "day": DAYS[square.weekday - 1],
            "hour": square.hour,
            "level": square.level,
            "when": f"{DAYS[square.weekday - 1]}, {square.hour:02}:00 to {square.hour + 1:02}:00",
            "sessions": format_count(square.sessions),
        }
        for square in squares
    ]
    levels = list(range(CLASSES + 1))
    colours = alt.Scale(domain=levels, range=[f"var(--heat-{level})" for level in levels])
    hours = alt.Axis(
        values=[0, 6, 12, 18],
        labelAngle=0,
        labelExpr="(datum.value < 10 ? '0' : '') + datum.value + ':00'",
    )
    chart = (
        _make_chart(rows)
        .mark_rect(stroke="var(--paper)", strokeWidth=1.5, cornerRadius=2)
        .encode(
            x=alt.X("hour:O", axis=hours, title=None, scale=alt.Scale(padding=0)),
            y=alt.Y("day:N", sort=list(DAYS), title=None, axis=alt.Axis(tickSize=0)),
            color=alt.Color("level:O", legend=None, scale=colours),
            tooltip=[_make_tip("when"), _make_tip("sessions")],
        )
    )
    return _finish_chart(chart, 7 * 26)


def _make_chart(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(rows)))


def _encode_time(field: str, step: Step) -> alt.X:
    scale = alt.Scale(type="utc", nice=False)
    axis = alt.Axis(format=DATE_FORMATS[step], labelOverlap="greedy", tickCount=8, labelBound=True)
    return alt.X(f"{field}:T", scale=scale, axis=axis, title=None)


def _encode_names(field: str, names: Sequence[str]) -> alt.Y:
    limit = alt.ExprRef("max(110, containerSize()[0] * 0.3)")
    axis = alt.Axis(labelLimit=limit, tickSize=0, labelPadding=8)
    return alt.Y(f"{field}:N", sort=list(dict.fromkeys(names)), axis=axis, title=None)


def _scale_series(count: int) -> alt.Scale:
    return alt.Scale(
        domain=list(range(count)), range=[f"var(--series-{number})" for number in range(count)]
    )


def _make_tip(field: str, title: str | None = None) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:N", title=(title or field).capitalize())


def _to_milliseconds(clock: datetime) -> float:
    """A wall time as JavaScript counts time, taken for UTC."""
    return clock.replace(tzinfo=UTC).timestamp() * 1000


def _finish_chart(chart: Any, height: int) -> Spec:
    """The specification, in the page's look. It names no schema: nothing is to be fetched."""
    styled = (
        chart.properties(
            width="container",
            height=height,
            background="transparent",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            padding={"left": 0, "right": 2, "top": 6, "bottom": 0},
        )
        .configure(font=FONT, aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--soft)",
            labelFontSize=12,
            domain=False,
            gridColor="var(--line)",
            tickColor="var(--line)",
        )
        .configure_axisX(grid=False)
        .configure_axisY(ticks=False)
    )
    spec: Spec = styled.to_dict()
    del spec["$schema"]
    return spec
