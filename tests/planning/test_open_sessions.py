"""How far down the list of idle sessions is worth its pages, and which pages show several."""

from datetime import datetime
from itertools import pairwise
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import just_after
from etl.planning.open_sessions import enter_above_several, list_idle_down_to
from tests.planning import SECOND, at

newest_first = st.lists(st.integers(0, 30), max_size=25).map(lambda ticks: sorted(ticks)[::-1])


def cost(due: list[datetime], idle: list[datetime], size: int, down_to: datetime | None) -> int:
    """Requests: pages down to an instant, and a retrieve for each session below."""
    if down_to is None:
        return len(due)
    listed = len([one for one in idle if one >= down_to])
    return ceil(listed / size) + len([one for one in due if one < down_to])


@settings(max_examples=300, deadline=None)
@given(newest_first, st.data(), st.integers(1, 6))
def test_it_goes_down_where_it_costs_the_fewest_requests(
    ticks: list[int], data: st.DataObject, size: int
) -> None:
    idle = [at(tick) for tick in ticks]
    are_due = data.draw(st.lists(st.booleans(), min_size=len(idle), max_size=len(idle)))
    due = [one for one, needs_check in zip(idle, are_due, strict=True) if needs_check]

    down_to = list_idle_down_to(due, idle, size)

    best = min(cost(due, idle, size, each) for each in (None, *due))
    assert cost(due, idle, size, down_to) == best
    assert down_to is None or best < len(due), "retrieving each is as cheap"


@settings(max_examples=100, deadline=None)
@given(newest_first, newest_first, st.integers(1, 6))
def test_rows_that_are_not_stored_as_idle_never_make_it_go_on_for_nothing(
    due: list[int], idle: list[int], size: int
) -> None:
    """What is due may be stored in another state by now: the list needs room for it still."""
    down_to = list_idle_down_to([at(t) for t in due], [at(t) for t in idle], size)

    assert down_to is None or down_to in [at(t) for t in due]


def test_nothing_due_needs_no_list() -> None:
    assert list_idle_down_to([], [at(1)], 100) is None


def test_one_that_is_due_is_retrieved() -> None:
    assert list_idle_down_to([at(1)], [at(1)], 100) is None


def test_two_on_the_first_page_are_listed() -> None:
    assert list_idle_down_to([at(5), at(4)], [at(5), at(4), at(3)], 100) == at(4)


@settings(max_examples=300, deadline=None)
@given(newest_first, st.data(), st.integers(1, 6))
def test_each_page_shows_two_that_no_other_page_shows(
    ticks: list[int], data: st.DataObject, size: int
) -> None:
    rows = [at(tick) for tick in ticks]
    are_due = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    due = [one for one, needs_check in zip(rows, are_due, strict=True) if needs_check]

    def page_reaches(first: datetime) -> datetime:
        page = [row for row in rows if row <= first][:size]
        return page[-1]

    entries = enter_above_several(due, page_reaches)

    left = list(due)
    for entry in entries:
        first = max(one for one in left if one < entry)
        shown = [one for one in left if page_reaches(first) <= one <= first]
        assert len(shown) > 1
        left = [one for one in left if one not in shown]
    assert all(page_reaches(one) > other for one, other in pairwise(left) if one != other)


def test_what_lies_on_one_page_needs_one() -> None:
    due = [at(9), at(8), at(1)]

    assert enter_above_several(due, lambda first: first - 3 * SECOND) == [just_after(at(9))]
