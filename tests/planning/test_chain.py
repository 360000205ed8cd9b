"""Which page can be the next one of a chain, and in which order its rows come."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import CursorRefused, CutShort
from etl.models import Entry, Listed, Order
from etl.planning.walks.chain import MOST_EMPTY, Chain, list_instants
from etl.planning.walks.entries import HEAD, TAIL
from tests.planning import SECOND, at
from tests.planning.test_walk import NOW, page, walked

ORDERS = st.sampled_from(["newest", "oldest"])


def chained(order: Order, *pages: list[Listed]) -> Chain:
    return walked(order, *pages)[0].chain


@pytest.mark.parametrize("cursor", ["c0", "c1"], ids=["A-B-A", "A-A"])
def test_a_cursor_seen_before_is_refused(cursor: str) -> None:
    chain = chained("newest", page(("d", 5)), page(("c", 4)))

    with pytest.raises(CutShort, match="repeats a cursor"):
        chain.check(page(("b", 3)), cursor)


def test_the_cursor_of_the_entry_counts_as_seen() -> None:
    chain = Chain(Entry("newest", "x", at(3)))

    with pytest.raises(CutShort, match="repeats a cursor"):
        chain.check(page(("b", 3)), "x")


def test_the_same_page_again_is_refused() -> None:
    chain = chained("newest", page(("d", 5), ("c", 4)))

    with pytest.raises(CutShort, match="same page"):
        chain.check(page(("d", 5), ("c", 4)), "other")


def test_the_same_page_again_is_refused_after_an_empty_one() -> None:
    chain = chained("newest", page(("d", 5), ("c", 4)), [])

    with pytest.raises(CutShort, match="same page"):
        chain.check(page(("d", 5), ("c", 4)), "other")


def test_rows_without_an_id_are_not_the_same_page() -> None:
    nameless = [Listed(None, at(4))]
    chain = chained("newest", nameless)

    chain.check(nameless, "other")


@pytest.mark.parametrize(("order", "tick"), [("newest", 9), ("oldest", 1)])
def test_a_page_that_does_not_go_on_from_the_last_is_refused(order: Order, tick: int) -> None:
    chain = chained(order, page(("d", 5)))

    with pytest.raises(CutShort, match="doesn't go on"):
        chain.check(page(("x", tick)), "other")


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_page_of_an_instant_that_shows_nothing_new_is_refused(order: Order) -> None:
    chain = chained(order, page(("e", 5), ("d", 5)), page(("c", 5), ("b", 5)))

    with pytest.raises(CutShort, match="doesn't go on"):
        chain.check(page(("e", 5), ("d", 5)), "other")
    chain.check(page(("d", 5), ("a", 5)), "other")


def test_the_head_again_amid_its_last_instant_is_refused() -> None:
    chain = chained("newest", page(("f", 6), ("e", 5)), page(("d", 5), ("c", 5)))

    with pytest.raises(CutShort, match="doesn't go on"):
        chain.check(page(("f", 6), ("e", 5)), "other")


def test_once_out_of_order_any_page_may_follow() -> None:
    chain = chained("newest", page(("a", 1), ("b", 5)))

    chain.check(page(("x", 9)), "other")


def test_out_of_order_no_session_may_come_twice() -> None:
    """A page from the end in place of another looks like a list out of order, until its end."""
    chain = chained("newest", page(("f", 6)), page(("a", 1), ("b", 2)), page(("d", 4), ("c", 3)))

    with pytest.raises(CutShort, match="a session twice"):
        chain.check(page(("b", 2), ("a", 1)), None)


def test_the_last_page_out_of_order_may_be_shown_in_part_again() -> None:
    """Where pages are counted off, a session that turned up has shifted them."""
    chain = chained("newest", page(("a", 1), ("b", 2)), page(("d", 4), ("c", 3)))

    chain.check(page(("c", 3), ("x", 0)), "other")


def test_empty_pages_are_followed_only_so_far() -> None:
    chain = chained("newest", *[[] for _ in range(MOST_EMPTY)])

    with pytest.raises(CutShort, match="empty pages"):
        chain.check([], "other")


def test_a_page_with_rows_starts_the_count_of_empty_pages_anew() -> None:
    pages: list[list[Listed]] = [[] for _ in range(MOST_EMPTY - 1)]

    chained("newest", *pages, page(("a", 1)), *pages, page(("b", 0)))


@pytest.mark.parametrize(("order", "tick"), [("newest", 6), ("oldest", 4)])
def test_an_entry_that_leads_before_its_instant_is_refused(order: Order, tick: int) -> None:
    chain = Chain(Entry(order, "x", at(5)))

    with pytest.raises(CursorRefused, match="leads elsewhere"):
        chain.check(page(("a", tick)), "other")


@pytest.mark.parametrize(("order", "tick"), [("newest", 3), ("oldest", 7)])
def test_an_entry_may_lead_beyond_its_instant(order: Order, tick: int) -> None:
    """The rows of its instant may have vanished."""
    chain = Chain(Entry(order, "x", at(5)))

    chain.check(page(("a", 5)), "other")
    chain.check(page(("a", tick)), "other")


def test_an_entry_is_judged_by_the_first_dated_row() -> None:
    chain = Chain(Entry("newest", "x", at(5)))
    chain.add_page([Listed("u", None)], "c0", NOW)

    with pytest.raises(CursorRefused):
        chain.check(page(("a", 6)), "other")


@pytest.mark.parametrize(("tick", "fits"), [(4, True), (5, False), (6, False)])
def test_a_tail_that_begins_above_or_at_what_was_shown_is_refused(tick: int, fits: bool) -> None:
    chain = Chain(TAIL, ceiling=at(5))

    if fits:
        chain.check(page(("a", tick)), "other")
    else:
        with pytest.raises(CursorRefused, match="oldest first"):
            chain.check(page(("a", tick)), "other")


def test_the_ceiling_binds_the_tail_alone() -> None:
    Chain(HEAD, ceiling=at(5)).check(page(("a", 9)), "other")
    Chain(Entry("oldest", "x", at(7)), ceiling=at(5)).check(page(("a", 9)), "other")


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_rows_of_one_instant_show_no_order(order: Order) -> None:
    assert not chained(order, page(("a", 3), ("b", 3)), page(("c", 3))).shows_order


def test_two_instants_over_a_page_edge_show_their_order() -> None:
    assert not chained("newest", page(("a", 3))).shows_order
    assert chained("newest", page(("a", 3)), page(("b", 2))).shows_order


def test_rows_out_of_order_show_no_order() -> None:
    chain = chained("newest", page(("a", 3), ("b", 9)), page(("c", 8), ("d", 7)))

    assert not chain.in_order
    assert not chain.shows_order


@settings(max_examples=100, deadline=None)
@given(ORDERS, st.lists(st.lists(st.integers(0, 6), max_size=3), max_size=5))
def test_order_is_that_of_all_dated_rows_whatever_the_pages(
    order: Order, pages: list[list[int]]
) -> None:
    chain = Chain(HEAD if order == "newest" else TAIL)
    rows: list[datetime] = []
    for number, ticks in enumerate(pages):
        listed = [Listed(f"{number}.{n}", at(tick)) for n, tick in enumerate(ticks)]
        rows += [at(tick) for tick in ticks]
        chain.add_page(listed, f"c{number}", NOW)

    in_order = rows == sorted(rows, reverse=order == "newest")
    assert chain.in_order == in_order
    assert chain.pages == len(pages)
    assert (chain.first, chain.last) == ((rows[0], rows[-1]) if rows else (None, None))
    if in_order:
        assert chain.shows_order == (len(set(rows)) > 1)


@settings(max_examples=100, deadline=None)
@given(ORDERS, st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 3))
def test_every_page_of_a_list_that_stays_as_it_is_can_be_the_next(
    order: Order, ticks: list[int], size: int
) -> None:
    rows = [Listed(f"s{n}", at(tick)) for n, tick in enumerate(sorted(ticks))]
    rows = rows[::-1] if order == "newest" else rows
    chain = Chain(HEAD if order == "newest" else TAIL)
    for start in range(0, len(rows), size):
        cursor = f"c{start}" if start + size < len(rows) else None
        chain.check(rows[start : start + size], cursor)
        assert chain.add_page(rows[start : start + size], cursor, NOW + start * SECOND)

    assert chain.cursor is None
    assert chain.issued_at == NOW + start * SECOND


def test_dated_leaves_out_rows_without_an_instant() -> None:
    assert list_instants([Listed("a", at(1)), Listed("b", None), Listed(None, at(2))]) == [
        at(1),
        at(2),
    ]
