"""What is drawn is what was counted."""

import itertools
import math
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from etl.analytics.figures import shape, words
from etl.analytics.figures.shape import CLASSES, MOST_SERIES, STATES, Cell, Tally

AGENTS = tuple(f"agent{number}" for number in range(8))
START = datetime(2026, 11, 2)

states = st.sampled_from(["completed", "failed", "idle", "queued", "brand_new", None])
hours = st.integers(0, 500).map(lambda hour: START + timedelta(hours=hour))
cells = st.lists(
    st.builds(
        Cell,
        st.sampled_from(AGENTS),
        hours,
        states,
        st.integers(1, 10_000),
        st.integers(0, 10_000).map(float),
        st.integers(0, 10**9),
    ),
    max_size=40,
)
amounts = st.floats(0, 1e9)
rates = st.one_of(st.none(), st.floats(0, 1))


@given(cells, st.sampled_from(["hour", "day", "week", "month"]))
def test_folding_loses_nothing(hourly: list[Cell], step: str) -> None:
    folded, week = shape.fold_hours(hourly, step)  # type: ignore[arg-type]

    assert shape.tally_cells(folded) == shape.tally_cells(hourly)
    assert shape.tally_by_agent(folded) == shape.tally_by_agent(hourly)
    assert sum(week.values()) == shape.tally_cells(hourly).sessions
    assert len({(cell.agent_id, cell.slot, cell.state) for cell in folded}) == len(folded)


@given(cells)
def test_bins_and_series_hold_every_session_once(hourly: list[Cell]) -> None:
    folded, _ = shape.fold_hours(hourly, "day")
    days = sorted({cell.slot for cell in folded})
    series = shape.assign_series(shape.rank_agents(shape.tally_by_agent(folded)))

    table = shape.tally_by_bin(folded, series, days)

    assert shape.sum_tallies(tally for row in table for tally in row) == shape.tally_cells(hourly)
    assert max(series.values(), default=0) <= MOST_SERIES


@given(cells)
def test_agents_with_more_sessions_come_first(hourly: list[Cell]) -> None:
    agents = shape.tally_by_agent(hourly)

    counts = [agents[id].sessions for id in shape.rank_agents(agents)]

    assert counts == sorted(counts, reverse=True)


@given(st.lists(st.lists(amounts, min_size=3, max_size=3), max_size=6))
def test_bars_stand_on_each_other(table: list[list[float]]) -> None:
    bars = shape.stack_bars(table)

    for index, row in enumerate(table):
        mine = [bar for bar in bars if bar.bin == index]
        assert [bar.value for bar in mine] == [value for value in row if value > 0]
        assert all(low.high == high.low for low, high in itertools.pairwise(mine))
        assert math.isclose(mine[-1].high if mine else 0, sum(row), abs_tol=1e-6)


@given(cells)
def test_shares_of_states_fill_the_bar(hourly: list[Cell]) -> None:
    pieces = shape.mix_states(hourly, {id: id for id in AGENTS})

    for agent in {cell.agent_id for cell in hourly}:
        mine = [piece for piece in pieces if piece.group == agent]
        assert (mine[0].low, mine[-1].high) == (0, 1)
        assert all(one.high == other.low for one, other in itertools.pairwise(mine))
    assert sum(piece.sessions for piece in pieces) == shape.tally_cells(hourly).sessions
    assert {piece.state for piece in pieces} <= set(STATES)


@given(cells)
def test_a_failure_rate_is_a_share_of_what_is_settled(hourly: list[Cell]) -> None:
    total = shape.tally_cells(hourly)

    assert (total.failure_rate is None) == (total.settled == 0)
    assert total.failure_rate is None or 0 <= total.failure_rate <= 1
    assert total.failed <= total.settled <= total.sessions


@given(st.integers(1, 10**7), st.data())
def test_classes_of_the_heat_map_follow_the_counts(most: int, data: st.DataObject) -> None:
    low, high = sorted(data.draw(st.tuples(st.integers(0, most), st.integers(0, most))))

    assert shape.classify_count(0, most) == 0
    assert shape.classify_count(most, most) == CLASSES
    assert shape.classify_count(low, most) <= shape.classify_count(high, most)
    assert (shape.classify_count(low, most) == 0) == (low == 0)


def test_an_empty_week_is_empty() -> None:
    squares = shape.classify_week({})

    assert len(squares) == 168
    assert {square.level for square in squares} == {0}


def test_a_state_that_came_up_later_is_other() -> None:
    assert shape.group_state("brand_new") == shape.group_state(None) == "Other"


# -- words ---------------------------------------------------------------------------------------


@given(amounts, amounts)
def test_a_change_says_which_way(now: float, before: float) -> None:
    text = words.format_change(now, before)

    if text.startswith("+"):
        assert now > before
    elif text.startswith(words.MINUS):
        assert now < before
    elif text == "new":
        assert before == 0 < now
    elif text.endswith("times"):
        assert now > 10 * before
    else:
        assert text == "no change"
        assert now == before or abs(now - before) / before < 0.001


@given(st.floats(1, 1e9), st.floats(0.001, 9))
def test_a_change_is_right_to_its_digits(before: float, factor: float) -> None:
    text = words.format_change(before * factor, before)

    if text != "no change":
        shown = float(text.replace(words.MINUS, "-").split(words.THIN)[0])
        assert abs(shown - (factor - 1) * 100) <= 0.51


@given(rates, rates)
def test_points_are_told_only_between_two_rates(now: float | None, before: float | None) -> None:
    text = words.format_points(now, before)

    assert (text == "") == (now is None or before is None)
    if text.startswith("+"):
        assert (now or 0) > (before or 0)


@given(st.floats(0, 1e14))
def test_a_large_number_keeps_three_digits(number: float) -> None:
    text = words.format_compact(number)
    value, _, unit = text.partition(words.THIN)
    size = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit]

    assert math.isclose(float(value.replace(",", "")) * size, number, rel_tol=0.006, abs_tol=0.51)
    assert unit == "T" or len(value.replace(".", "")) <= 3


@given(st.floats(0, 1e8))
def test_a_duration_is_right_to_its_second_unit(seconds: float) -> None:
    sizes = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    parts = [part.split(words.THIN) for part in words.format_seconds(seconds).split(" ")]
    told = sum(float(count) * sizes[unit] for count, unit in parts)
    coarse = max(sizes[unit] for _, unit in parts)

    assert len(parts) <= 2
    assert told <= seconds + 0.5
    assert seconds - told < max(1, coarse)


def test_a_range_of_whole_days_has_no_times() -> None:
    span = words.format_span(datetime(2026, 10, 1), datetime(2026, 11, 1))

    assert span == "1 Oct \N{EN DASH} 31 Oct 2026"
    assert words.format_span(datetime(2026, 10, 1), datetime(2026, 10, 2)) == "1 Oct 2026"


def test_a_range_over_new_year_names_both_years() -> None:
    span = words.format_span(datetime(2025, 12, 30), datetime(2026, 1, 2, 9, 30))

    assert span == "30 Dec 2025 \N{EN DASH} 2 Jan 2026, 09:30"


def test_the_sum_of_no_tally_is_nothing() -> None:
    assert shape.sum_tallies([]) == Tally()
