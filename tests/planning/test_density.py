"""How many sessions lie between two instants, as far as pages and rows tell."""

import math
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING
from etl.planning.walks.density import Density, PageDensity
from tests.planning import SECOND, at

ticks = st.integers(0, 1000)
pairs = st.tuples(ticks, ticks).filter(lambda pair: pair[0] < pair[1])


@st.composite
def densities(draw: st.DrawFn) -> Density:
    if draw(st.booleans()):
        knots = sorted(at(tick) for tick in draw(st.lists(ticks, min_size=1, max_size=20)))
        density = Density(knots, draw(st.integers(1, 50)), grows=draw(st.booleans()))
        if draw(st.booleans()):
            density.pages.add_page(at(1000), at(1001), 5)
        return density
    density = Density(pages=PageDensity(draw(st.none() | ticks.map(at))))
    for low, high in draw(st.lists(pairs, max_size=4)):
        density.pages.add_page(at(low), at(high), draw(st.integers(1, 100)))
    for low, high in draw(st.lists(pairs, max_size=3)):
        density.pages.add_idle_span(at(low), at(high))
    return density


@settings(max_examples=200, deadline=None)
@given(densities(), pairs, st.booleans(), st.floats(0, 1))
def test_a_cut_lies_within_its_stretch(
    density: Density, pair: tuple[int, int], from_the_end: bool, share: float
) -> None:
    oldest, newest = at(pair[0]), at(pair[1])
    if (
        from_the_end
        and not density.stored
        and not (density.pages.oldest and density.pages.oldest < newest)
    ):
        return
    low = BEGINNING if from_the_end else oldest

    cut = density.cut(low, newest, share)

    assert low <= cut <= newest


@settings(max_examples=200, deadline=None)
@given(densities(), pairs)
def test_an_estimate_is_never_negative(density: Density, pair: tuple[int, int]) -> None:
    assert density.estimate_rows(at(pair[0]), at(pair[1])) >= 0
    assert density.estimate_rows(BEGINNING, at(pair[1])) >= 0


@settings(max_examples=150, deadline=None)
@given(densities(), pairs, st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_a_greater_share_is_never_cut_lower(
    density: Density, pair: tuple[int, int], shares: list[float]
) -> None:
    cuts = [density.cut(at(pair[0]), at(pair[1]), share) for share in sorted(shares)]

    assert all(low <= high + SECOND / 1000 for low, high in pairwise(cuts))


@settings(max_examples=150, deadline=None)
@given(st.lists(ticks, min_size=2, max_size=60, unique=True), st.integers(1, 5), pairs)
def test_stored_rows_are_counted_to_within_a_step_at_each_end(
    rows: list[int], step: int, pair: tuple[int, int]
) -> None:
    instants = sorted(at(tick) for tick in rows)
    density = Density(instants[::step], step)
    oldest, newest = at(pair[0]), at(pair[1])

    estimate = density.estimate_rows(oldest, newest)

    assert abs(estimate - len([i for i in instants if oldest <= i < newest])) <= 2 * step


def test_nothing_tells_before_a_page_came() -> None:
    assert math.isinf(Density().estimate_rows(at(0), at(9)))


def test_nothing_tells_how_far_down_a_list_goes_before_somebody_has_looked() -> None:
    density = Density()
    density.pages.add_page(at(90), at(100), 10)

    assert math.isinf(density.estimate_rows(BEGINNING, at(90)))
    density.pages.oldest = at(0)
    assert density.estimate_rows(BEGINNING, at(90)) == pytest.approx(90)


def test_a_page_tells_the_rate_of_its_neighbourhood() -> None:
    density = Density()
    density.pages.add_page(at(90), at(100), 20)

    assert density.estimate_rows(at(0), at(90)) == pytest.approx(180)


def test_between_two_pages_the_rate_passes_from_one_to_the_other() -> None:
    density = Density()
    density.pages.add_page(at(0), at(10), 10)
    density.pages.add_page(at(110), at(120), 100)

    rows = density.estimate_rows(at(10), at(110))

    assert 100 < rows < 1000
    assert density.cut(at(10), at(110), 0.5) > at(60), "most rows lie above"


def test_times_without_a_session_hold_no_rows() -> None:
    density = Density()
    density.pages.add_page(at(90), at(100), 10)
    density.pages.add_idle_span(at(20), at(60))
    density.pages.add_idle_span(at(50), at(70))

    assert density.estimate_rows(at(0), at(90)) == pytest.approx(40)
    assert density.cut(at(0), at(90), 0.5) in (at(20), at(70))
    assert density.cut(at(0), at(90), 0.75) == at(80)


def test_a_page_of_ties_counts_as_a_second() -> None:
    density = Density()
    density.pages.add_page(at(5), at(5), 100)

    assert density.estimate_rows(at(0), at(5)) == pytest.approx(500)


@settings(max_examples=100, deadline=None)
@given(st.lists(pairs, max_size=6), pairs)
def test_idle_times_are_counted_once_however_they_overlap(
    idle: list[tuple[int, int]], pair: tuple[int, int]
) -> None:
    density = Density()
    density.pages.add_page(at(2000), at(2010), 10)
    for low, high in idle:
        density.pages.add_idle_span(at(low), at(high))
    busy = [t for t in range(*pair) if not any(low <= t < high for low, high in idle)]

    assert density.estimate_rows(at(pair[0]), at(pair[1])) == pytest.approx(len(busy))


def test_stored_rows_are_cut_where_they_are() -> None:
    instants: list[datetime] = [at(n) for n in range(10)] + [at(1000)]

    assert Density(instants).cut(at(0), at(1001), 0.5) in (at(5), at(6))


def test_what_is_newer_than_the_stored_rows_is_estimated_by_pages_if_it_may_be_more() -> None:
    stored = [at(second) for second in range(100)]
    density = Density(stored, grows=True)
    density.pages.add_page(at(290), at(300), 20)

    assert Density(stored).estimate_rows(at(50), at(300)) == 50
    assert density.estimate_rows(at(50), at(90)) == 40
    assert density.estimate_rows(at(50), at(300)) > 50 + 200
    assert at(50) < density.cut(at(50), at(300), 0.05) < at(99)
    assert at(99) < density.cut(at(50), at(300), 0.9) < at(300)


def test_a_tie_is_as_many_rows_as_share_an_instant() -> None:
    assert Density([at(1), *[at(2)] * 5, at(3)]).has_tie(at(2), 4)
    assert not Density([at(1), *[at(2)] * 5, at(3)]).has_tie(at(3), 4)
    paged = Density()
    paged.pages.add_page(at(2), at(2), 10)
    paged.pages.add_page(at(1), at(2), 10)
    assert paged.has_tie(at(2), 10)
    assert not paged.has_tie(at(1), 1)
