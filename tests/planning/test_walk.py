"""What a walk claims against what it was shown, on a list that changes while it is walked."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings

from etl.errors import CursorRefused, CutShort
from etl.models import BEGINNING, TICK, Entry, Listed, Order, Span, floor_second
from etl.planning.coverage import Gap
from etl.planning.walks.absence import AbsenceCheck
from etl.planning.walks.entries import HEAD, TAIL
from etl.planning.walks.walk import BOOKMARK_EVERY, MOST_UNDATED, Step, Walk
from tests.planning import SECOND, Draws, Feed, Row, Stroll, at, chance, unproven

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
        try:
            stroll.step(1 + draws.below(4))
        except (CursorRefused, CutShort):
            stroll.over = True
            continue
        if stroll.over:
            stroll.end()
    return strolls


def walk_to_the_end(draws: Draws, stroll: Stroll) -> None:
    while not stroll.over:
        stroll.step(1 + draws.below(4))


def spans(strolls: list[Stroll]) -> list[Span]:
    return [span for stroll in strolls if (span := stroll.walk.proven())]


def accused(strolls: list[Stroll]) -> list[tuple[Row, AbsenceCheck]]:
    return [charge for stroll in strolls for charge in stroll.accused]


@settings(max_examples=200, deadline=None)
@given(chance)
def test_what_walks_prove_was_shown_to_them(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)

    strolls = walk_about(draws, feed)

    assert unproven(feed, spans(strolls)) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_a_server_that_ignores_the_order_is_never_believed_in_the_other(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws, ignores_order=True)

    strolls = walk_about(draws, feed)

    assert unproven(feed, spans(strolls)) == []
    assert accused(strolls) == []


@settings(max_examples=100, deadline=None)
@given(chance)
def test_walks_over_cursors_that_die_prove_no_more_than_they_show(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws, dead="first page" if draws.one_in(2) else "refused")
    strolls: list[Stroll] = []
    for _ in range(3):
        strolls += walk_about(draws, feed)
        feed.era += 1

    assert unproven(feed, spans(strolls)) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_no_walk_proves_beyond_the_second_of_its_first_request(data: bytes) -> None:
    draws = Draws(data)

    for stroll in walk_about(draws, Feed(draws, illegible=draws.one_in(3))):
        span = stroll.walk.proven()
        assert span is None or span.newest <= floor_second(stroll.began_at or BEGINNING)
        assert span is None or span.proven_at == stroll.began_at


@settings(max_examples=150, deadline=None)
@given(chance)
def test_rows_that_were_there_all_along_are_never_suspected(data: bytes) -> None:
    draws = Draws(data)

    strolls = walk_about(draws, Feed(draws))

    assert accused(strolls) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_every_instant_that_a_walk_proves_is_judged_once(data: bytes) -> None:
    draws = Draws(data)

    for stroll in walk_about(draws, Feed(draws, gappy=draws.one_in(3))):
        regions = sorted((check.oldest, check.newest) for check in stroll.checks)
        assert all(low < high for low, high in regions)
        assert all(one[1] == next[0] for one, next in itertools.pairwise(regions))
        span = stroll.walk.proven()
        if span is not None and stroll.walk.chain.in_order:
            assert regions[0][0] == span.oldest
            head = floor_second(span.proven_at or BEGINNING)
            head -= TICK if stroll.walk.order == "oldest" else timedelta(0)
            assert min(regions[-1][1], head) == span.newest


@settings(max_examples=150, deadline=None)
@given(chance)
def test_a_row_that_went_before_a_walk_is_suspected_wherever_the_walk_proves(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)

    for stroll in walk_about(draws, feed):
        span, began_at = stroll.walk.proven(), stroll.began_at or BEGINNING
        if span is None or not stroll.walk.chain.in_order:
            continue
        for row in feed.rows:
            if row.went and row.went < began_at and span.oldest <= row.at < span.newest:
                [check] = [c for c in stroll.checks if c.oldest <= row.at < c.newest]
                assert row.id not in check.held
                assert check.requested_at >= began_at


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
def test_a_walk_from_the_head_to_a_confirmed_end_covers_all_up_to_the_second_of_its_first_request(
    data: bytes,
) -> None:
    draws = Draws(data)
    feed = Feed(draws, illegible=draws.one_in(2), ignores_order=draws.one_in(3))
    stroll = Stroll(feed, Walk(HEAD, WHOLE))
    while not stroll.over:
        stroll.step(1 + draws.below(4))
        feed.shake()

    step = stroll.end()

    if step is not None:
        limit = floor_second(stroll.began_at or BEGINNING)
        assert step.proven == Span(BEGINNING, limit, stroll.began_at)
        assert unproven(feed, [step.proven]) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_a_list_that_was_cut_short_has_no_confirmed_end(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws, cuts=True)

    strolls = walk_about(draws, feed)

    assert unproven(feed, spans(strolls)) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_the_end_check_agrees_with_a_list_that_stays_as_it_is(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)
    stroll = Stroll(feed, Walk(entry_somewhere(draws, feed), WHOLE))
    walk_to_the_end(draws, stroll)

    assert stroll.walk.order == "oldest" or stroll.end() is not None


@settings(max_examples=150, deadline=None)
@given(chance)
def test_the_end_check_bears_that_the_oldest_rows_vanish(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws)
    stroll = Stroll(feed, Walk(HEAD, WHOLE))
    walk_to_the_end(draws, stroll)
    instants = {row.at for row in feed.rows}
    for row in feed.rows:
        if row.at == min(instants):
            row.went = feed.tick()

    # A page of one instant shows no order, unless it is the whole list.
    size = 1 + len(feed.rows)
    assert (stroll.end(size) is not None) == (len(instants) != 1)


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
    limit = floor_second(stroll.began_at or high)
    ends = {
        ("newest", True): (low + TICK, limit),
        ("newest", False): (low + TICK, min(high, limit)),
        ("oldest", True): (BEGINNING, high),
        ("oldest", False): (low + TICK, high),
    }
    oldest, newest = ends[(walk.order, walk.entry.cursor is None)]
    known = walk.proven()
    edges = (known.below, known.above) if known else (None, None)
    is_proven = low < high and oldest < newest
    return Span(oldest, newest, stroll.began_at, *edges) if is_proven else None


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
    walk_to_the_end(draws, second)
    if entry.order == "newest":
        assert second.end() is not None

    going_on = second.walk.proven()

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
        walk.chain.check(listed, f"c{number}")
        step = walk.advance(listed, f"c{number}", NOW + number * TICK)
    return walk, step


def test_a_page_out_of_order_proves_nothing() -> None:
    walk, step = walked("newest", page(("a", 1), ("b", 5)))

    assert step.out_of_order
    assert (step.proven, step.absence, step.bookmark) == (None, None, None)
    assert not walk.chain.in_order


def test_disorder_keeps_what_was_proven_before_it() -> None:
    _, before = walked("newest", page(("c", 9), ("b", 7)))
    _, after = walked("newest", page(("c", 9), ("b", 7)), page(("x", 5), ("y", 6)))

    assert after.out_of_order
    assert after.proven == before.proven


def test_pages_in_order_after_one_that_was_not_prove_nothing_more() -> None:
    _, before = walked("newest", page(("c", 9), ("b", 7)))
    pages = page(("c", 9), ("b", 7)), page(("x", 5), ("y", 6)), page(("z", 3), ("a", 1))

    _, after = walked("newest", *pages)

    assert not after.out_of_order
    assert (after.proven, after.absence) == (before.proven, None)


def test_a_disordered_walk_from_the_head_to_the_end_proves_all() -> None:
    walk, _ = walked("newest", page(("a", 1), ("b", 5)))

    step = walk.confirm_end()

    assert step.proven == Span(BEGINNING, NOW, NOW)
    in_doubt = AbsenceCheck(BEGINNING, NOW, frozenset(), NOW - TICK, certain=False)
    assert step.absence == in_doubt, "whoever was not shown"


def test_a_disordered_walk_from_a_cursor_to_the_end_proves_nothing_more() -> None:
    walk, _ = walked("newest", page(("a", 1), ("b", 5)), entry=Entry("newest", "x", at(3)))

    assert walk.confirm_end().proven is None


def test_rows_of_one_instant_from_the_head_to_the_end_prove_all() -> None:
    walk, step = walked("newest", page(("b", 3), ("a", 3)))

    assert step.proven is None
    end = walk.confirm_end()
    assert end.proven == Span(BEGINNING, NOW, NOW)
    assert end.absence is not None
    assert (end.absence.oldest, end.absence.held) == (BEGINNING, {"a", "b"})


def test_an_empty_list_is_proven_by_its_end() -> None:
    walk, step = walked("newest", [])

    assert step.proven is None
    assert walk.end.judge_row([]) == "holds"
    assert walk.confirm_end().proven == Span(BEGINNING, NOW, NOW)


def test_a_last_page_of_unreadable_instants_is_remembered_by_the_judgement_of_the_end() -> None:
    walk, _ = walked("newest", page(("c", 5), ("b", 3)), [Listed("x", None)])

    absence = walk.confirm_end().absence

    assert absence is not None
    assert absence.held == {"b", "x"}


def test_a_walk_of_the_whole_list_tells_the_sessions_without_a_date() -> None:
    undated = [Listed("u", None)]
    whole, _ = walked("newest", page(("c", 5)), undated, page(("b", 3)))
    part, _ = walked("newest", page(("b", 5)), undated, entry=Entry("newest", "x", at(5)))
    blind, _ = walked("newest", page(("c", 5)), [*undated, Listed(None, None)])

    assert whole.confirm_end().undated == (frozenset({"u"}), NOW)
    assert part.confirm_end().undated is None
    assert blind.confirm_end().undated is None


def test_too_many_sessions_without_a_date_are_not_judged() -> None:
    most = [Listed(f"u{number}", None) for number in range(MOST_UNDATED)]
    walk, _ = walked("newest", most)
    more, _ = walked("newest", most, [Listed("one more", None)])

    assert walk.confirm_end().undated is not None
    assert more.confirm_end().undated is None


def test_bookmarks_are_kept_every_so_many_pages() -> None:
    pages = [page((f"s{tick}", tick)) for tick in range(30, 30 - 2 * BOOKMARK_EVERY - 1, -1)]
    walk, marks = Walk(HEAD, WHOLE), []
    for number, listed in enumerate(pages):
        cursor, issued_at = walk.chain.cursor, walk.chain.issued_at
        step = walk.advance(listed, f"c{number}", NOW + number * SECOND)
        if step.bookmark is not None:
            assert step.bookmark == Entry("newest", cursor, listed[0].created_at or NOW)
            assert step.bookmark.issued_at == issued_at == NOW + (number - 1) * SECOND
            marks.append(number + 1)

    assert marks == [BOOKMARK_EVERY, 2 * BOOKMARK_EVERY]


@pytest.mark.parametrize(
    ("order", "entry_at", "tick", "position"),
    [
        ("newest", 99, None, 9),
        ("newest", 7, None, 7),
        ("newest", 99, 20, 9),
        ("newest", 99, 5, 5),
        ("oldest", -9, None, 3),
        ("oldest", -9, 1, 3),
        ("oldest", -9, 5, 5),
    ],
)
def test_a_walk_short_of_its_gap_counts_as_standing_at_the_edge_where_it_will_arrive(
    order: Order, entry_at: int, tick: int | None, position: int
) -> None:
    walk = Walk(Entry(order, "x", at(entry_at)), Gap(at(3), at(9)))
    if tick is not None:
        walk.advance(page(("a", tick)), "c", NOW)

    assert walk.position() - at(position) in (timedelta(0), TICK)


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
