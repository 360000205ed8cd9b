"""What a walk claims against what it was shown, on a list that changes while it is walked."""

from datetime import datetime

import pytest
from hypothesis import given, settings

from etl.errors import CutShort
from etl.models import BEGINNING, TICK, Entry, Listed, Order, Span
from etl.planning.coverage import Gap
from etl.planning.plan import HEAD, TAIL
from etl.planning.walk import BOOKMARK_EVERY, MOST_EMPTY, AbsenceCheck, Step, Walk, end_holds
from tests.planning import Draws, Feed, Row, Stroll, at, chance, unproven

WHOLE = Gap(BEGINNING, at(10**9))
NOW = at(10**6)


def entry_somewhere(draws: Draws, feed: Feed) -> Entry:
    """The list's own end, or any cursor that the server has issued."""
    entries = [HEAD, TAIL, *feed.issued]
    return entries[draws.below(len(entries))]


def walk_about(draws: Draws, feed: Feed) -> list[Stroll]:
    """Several walks side by side, some left where they stand, while the list changes."""
    strolls: list[Stroll] = []
    for _ in range(draws.below(30)):
        feed.shake()
        going = [stroll for stroll in strolls if not stroll.over]
        if not going or draws.one_in(5):
            strolls.append(Stroll(feed, Walk(entry_somewhere(draws, feed), WHOLE)))
            going = strolls[-1:]
        stroll = going[draws.below(len(going))]
        stroll.step(1 + draws.below(4))
        if stroll.over:
            stroll.end()
    return strolls


def spans(strolls: list[Stroll]) -> list[Span]:
    return [span for stroll in strolls if (span := stroll.walk.proven())]


def accused(strolls: list[Stroll]) -> list[tuple[Row, AbsenceCheck]]:
    return [charge for stroll in strolls for charge in stroll.accused]


@settings(max_examples=150, deadline=None)
@given(chance)
def test_what_walks_prove_was_shown_to_them(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)

    strolls = walk_about(draws, feed)

    assert unproven(feed, spans(strolls)) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_rows_that_were_there_all_along_are_never_suspected(data: bytes) -> None:
    draws = Draws(data)

    strolls = walk_about(draws, Feed(draws))

    assert accused(strolls) == []


@settings(max_examples=100, deadline=None)
@given(chance)
def test_short_and_empty_pages_prove_no_more_than_they_show(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws, gappy=True)

    strolls = walk_about(draws, feed)

    assert unproven(feed, spans(strolls)) == []
    assert accused(strolls) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_rows_that_can_not_be_read_are_never_taken_for_missing(data: bytes) -> None:
    draws = Draws(data)

    strolls = walk_about(draws, Feed(draws, illegible=True))

    assert accused(strolls) == []


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_walk_from_the_head_to_a_confirmed_end_covers_all_up_to_its_first_request(
    data: bytes,
) -> None:
    draws = Draws(data)
    feed = Feed(draws, illegible=draws.one_in(2))
    stroll = Stroll(feed, Walk(HEAD, WHOLE))
    while not stroll.over:
        stroll.step(1 + draws.below(4))
        feed.shake()

    step = stroll.end()

    if step is not None:
        assert step.proven == Span(BEGINNING, stroll.began_at or BEGINNING, stroll.began_at)
        assert unproven(feed, [step.proven]) == []


@settings(max_examples=100, deadline=None)
@given(chance)
def test_the_end_check_agrees_with_a_list_that_stays_as_it_is(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)
    stroll = Stroll(feed, Walk(entry_somewhere(draws, feed), WHOLE))
    while not stroll.over:
        stroll.step(1 + draws.below(4))

    assert stroll.walk.order == "oldest" or stroll.end() is not None


@settings(max_examples=100, deadline=None)
@given(chance)
def test_pages_without_ties_prove_all_but_their_last_instant(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)
    feed.rows.clear()
    for tick in range(1 + draws.below(12)):
        feed.put(at(tick))
    feed.page("newest", None, 1 + draws.below(4))
    feed.page("oldest", None, 1 + draws.below(4))
    stroll = Stroll(feed, Walk(entry_somewhere(draws, feed), WHOLE))
    shown: list[datetime] = []
    for _ in range(1 + draws.below(5)):
        if not stroll.over:
            stroll.step(1 + draws.below(4))
            shown += [edge for low, high, _ in stroll.passed[-1:] for edge in (low, high)]

    assert stroll.walk.proven() == chained(stroll, min(shown), max(shown))


def chained(stroll: Stroll, low: datetime, high: datetime) -> Span | None:
    """The span that a chain of pages from `low` to `high` proves."""
    walk = stroll.walk
    ends = {
        ("newest", True): (low + TICK, stroll.began_at or high),
        ("newest", False): (low + TICK, high),
        ("oldest", True): (BEGINNING, high),
        ("oldest", False): (low + TICK, high),
    }
    oldest, newest = ends[(walk.order, walk.entry.cursor is None)]
    known = walk.proven()
    edges = (known.below, known.above) if known else (None, None)
    return Span(oldest, newest, stroll.began_at, *edges) if oldest < newest else None


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_span_goes_on_from_its_edge_without_a_gap(data: bytes) -> None:
    """A walk that enters where another was left proves from that one's edge on."""
    draws = Draws(data)
    feed = Feed(draws)
    first = Stroll(feed, Walk(entry_somewhere(draws, feed), WHOLE))
    while not first.over and not draws.one_in(4):
        first.step(1 + draws.below(4))
    span = first.walk.proven()
    entry = (span.below or span.above) if span else None
    if span is None or entry is None:
        return
    second = Stroll(feed, Walk(entry, WHOLE))
    while not second.over:
        second.step(1 + draws.below(4))
    if entry.order == "newest":
        assert second.end() is not None

    going_on = second.walk.proven()

    assert first.walk.last is not None
    if going_on is not None and entry.order == "newest":
        assert going_on.newest >= span.oldest
    elif going_on is not None:
        assert going_on.oldest <= span.newest


def page(*rows: tuple[str, int]) -> list[Listed]:
    return [Listed(id, at(tick)) for id, tick in rows]


def walked(order: Order, *pages: list[Listed], entry: Entry | None = None) -> tuple[Walk, Step]:
    """A walk after these pages, and what the last one brought."""
    walk = Walk(entry or (HEAD if order == "newest" else TAIL), WHOLE)
    step = Step(None, None)
    for number, listed in enumerate(pages):
        walk.check(listed, f"c{number}")
        step = walk.advance(listed, f"c{number}", NOW + number * TICK)
    return walk, step


def test_the_head_page_proves_up_to_the_time_of_its_request() -> None:
    walk, step = walked("newest", page(("b", 5), ("a", 3)))

    assert step.proven == Span(at(4), NOW, NOW, below=Entry("newest", None, NOW))
    assert walk.frontier == at(4)


def test_an_oldest_first_walk_never_proves_the_head() -> None:
    _, step = walked("oldest", page(("a", 3), ("b", 2 * 10**6)))

    assert step.proven is not None
    assert step.proven.newest == NOW


def test_a_row_dated_after_its_request_proves_nothing() -> None:
    _, step = walked("newest", page(("a", 2 * 10**6)))

    assert step.proven is None


def test_a_page_of_one_instant_after_a_cursor_proves_nothing() -> None:
    _, step = walked("newest", page(("b", 3), ("a", 3)), entry=Entry("newest", "x", at(3)))

    assert step.proven is None


def test_ties_over_a_page_edge_are_judged_once_they_are_passed() -> None:
    _, first = walked("newest", page(("c", 5), ("b", 3)))
    _, second = walked("newest", page(("c", 5), ("b", 3)), page(("a", 3), ("z", 1)))

    assert first.absence is not None
    assert first.absence.oldest == at(4)
    assert second.absence is not None
    assert (second.absence.oldest, second.absence.newest) == (at(2), at(4))
    assert second.absence.held == {"b", "a", "z"}


def test_a_record_without_an_id_ends_the_judgement_of_its_page() -> None:
    _, step = walked("newest", [*page(("c", 5)), Listed(None, at(4)), *page(("b", 3))])

    assert step.absence is None
    assert step.proven is not None


def test_a_record_without_an_instant_counts_as_held() -> None:
    _, step = walked("newest", [*page(("c", 5)), Listed("x", None), *page(("b", 3))])

    assert step.absence is not None
    assert step.absence.held == {"c", "x", "b"}


def test_ties_before_a_cursor_are_not_judged() -> None:
    """The walk entered among rows of one instant, and can't know those before its entry."""
    entry = Entry("newest", "x", at(3))

    _, step = walked("newest", page(("b", 3)), page(("a", 1)), entry=entry)

    assert step.absence is None or step.absence.newest <= at(3)


def test_a_page_of_unreadable_instants_is_remembered_by_the_next_judgement() -> None:
    blind = [Listed("x", None), Listed("y", None)]

    _, step = walked("newest", page(("c", 5), ("b", 3)), blind, page(("a", 1), ("z", 0)))

    assert step.absence is None or {"x", "y"} <= step.absence.held


def test_a_page_of_records_without_anything_readable_ends_the_judgement_of_what_it_may_hold() -> (
    None
):
    blind = [Listed(None, None)]

    _, step = walked("newest", page(("c", 5), ("b", 3)), blind, page(("a", 1), ("z", 0)))

    assert step.absence is None or step.absence.newest <= at(1)


def test_a_last_page_of_unreadable_instants_is_remembered_by_the_judgement_of_the_end() -> None:
    walk, _ = walked("newest", page(("c", 5), ("b", 3)), [Listed("x", None)])

    absence = walk.confirm_end().absence

    assert absence is None or "x" in absence.held


def test_a_page_out_of_order_proves_nothing() -> None:
    walk, step = walked("newest", page(("a", 1), ("b", 5)))

    assert step.out_of_order
    assert (step.proven, step.absence, step.bookmark) == (None, None, None)
    assert walk.disordered


def test_disorder_keeps_what_was_proven_before_it() -> None:
    _, before = walked("newest", page(("c", 9), ("b", 7)))
    _, after = walked("newest", page(("c", 9), ("b", 7)), page(("x", 5), ("y", 6)))

    assert after.out_of_order
    assert after.proven == before.proven


def test_a_disordered_walk_from_the_head_to_the_end_proves_all() -> None:
    walk, _ = walked("newest", page(("a", 1), ("b", 5)))

    step = walk.confirm_end()

    assert step.proven == Span(BEGINNING, NOW, NOW)
    assert step.absence is None


def test_a_disordered_walk_from_a_cursor_to_the_end_proves_nothing_more() -> None:
    walk, _ = walked("newest", page(("a", 1), ("b", 5)), entry=Entry("newest", "x", at(3)))

    assert walk.confirm_end().proven is None


def test_an_empty_list_is_proven_by_its_end() -> None:
    walk, step = walked("newest", [])

    assert step.proven is None
    assert end_holds(walk, [])
    assert walk.confirm_end().proven == Span(BEGINNING, NOW, NOW)


@pytest.mark.parametrize("cursor", ["c0", "c1"], ids=["A-B-A", "A-A"])
def test_a_cursor_seen_before_is_refused(cursor: str) -> None:
    walk, _ = walked("newest", page(("d", 5)), page(("c", 4)))

    with pytest.raises(CutShort, match="repeats a cursor"):
        walk.check(page(("b", 3)), cursor)


def test_the_cursor_of_the_entry_counts_as_seen() -> None:
    walk = Walk(Entry("newest", "x", at(3)), WHOLE)

    with pytest.raises(CutShort, match="repeats a cursor"):
        walk.check(page(("b", 3)), "x")


def test_the_same_page_again_is_refused() -> None:
    walk, _ = walked("newest", page(("d", 5), ("c", 4)))

    with pytest.raises(CutShort, match="same page"):
        walk.check(page(("d", 5), ("c", 4)), "other")


@pytest.mark.parametrize(("order", "tick"), [("newest", 9), ("oldest", 1)])
def test_a_page_that_does_not_go_on_from_the_last_is_refused(order: Order, tick: int) -> None:
    walk, _ = walked(order, page(("d", 5)))

    with pytest.raises(CutShort, match="doesn't go on"):
        walk.check(page(("x", tick)), "other")


def test_empty_pages_are_followed_only_so_far() -> None:
    walk, _ = walked("newest", *[[] for _ in range(MOST_EMPTY)])

    with pytest.raises(CutShort, match="empty pages"):
        walk.check([], "other")


def test_a_page_with_rows_starts_the_count_of_empty_pages_anew() -> None:
    pages: list[list[Listed]] = [[] for _ in range(MOST_EMPTY - 1)]

    walked("newest", *pages, page(("a", 1)), *pages, page(("b", 0)))


END_CHECKS = {
    "the same row": (page(("a", 1)), True),
    "an older row": (page(("z", 0)), False),
    "the last row has vanished": (page(("b", 3)), True),
    "another row at the same instant": (page(("y", 1)), False),
    "an unreadable row at the same instant": ([Listed(None, at(1))], True),
    "an unreadable older row": ([Listed(None, at(0))], False),
    "the same row, no longer dated": ([Listed("a", None)], True),
    "another row without a date": ([Listed("y", None)], False),
    "no row at all": ([], False),
}


@pytest.mark.parametrize("case", END_CHECKS)
def test_the_end_holds_unless_the_oldest_row_lies_beyond_it(case: str) -> None:
    oldest, holds = END_CHECKS[case]
    walk, _ = walked("newest", page(("b", 3), ("a", 1)))

    assert end_holds(walk, oldest) is holds


def test_an_empty_walk_does_not_reach_the_end_of_a_list_with_rows() -> None:
    walk, _ = walked("newest", [])

    assert not end_holds(walk, page(("a", 1)))


def test_bookmarks_are_kept_every_so_many_pages() -> None:
    pages = [page((f"s{tick}", tick)) for tick in range(30, 30 - 2 * BOOKMARK_EVERY - 1, -1)]
    walk, marks = Walk(HEAD, WHOLE), []
    for number, listed in enumerate(pages):
        cursor = walk.cursor
        step = walk.advance(listed, f"c{number}", NOW)
        if step.bookmark is not None:
            assert step.bookmark == Entry("newest", cursor, listed[0].created_at or NOW)
            marks.append(number + 1)

    assert marks == [BOOKMARK_EVERY, 2 * BOOKMARK_EVERY]


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+00:00"])
@pytest.mark.parametrize("cursor", [None, "x"])
def test_the_first_and_the_last_instant_of_the_calendar_do_no_harm(
    order: Order, text: str, cursor: str | None
) -> None:
    instant = datetime.fromisoformat(text)
    rows = [Listed("a", instant), Listed("b", instant)]

    _, step = walked(order, rows[:1], rows[1:], entry=Entry(order, cursor, instant))

    assert step.proven is None or step.proven.oldest < step.proven.newest
