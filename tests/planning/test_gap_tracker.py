"""Whole runs by the gap tracker on a changing list, killed and taken up again."""

from collections import Counter
from datetime import timedelta
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ApiError, CursorRefused, CutShort, Transient
from etl.models import BEGINNING, Entry, Listed, Span, floor_second, just_after
from etl.planning.coverage import Coverage
from etl.planning.demand import Demand, Requirement
from etl.planning.walks.density import Density
from etl.planning.walks.entries import HEAD, TAIL
from etl.planning.walks.gap_tracker import INNER_WALKS, MOST_FAILURES, GapTracker
from etl.planning.walks.hints import Hints
from etl.planning.walks.plan import PlannedWalk
from etl.planning.walks.walk import Walk
from tests.planning import SECOND, TOCK, Draws, Feed, Row, at, chance
from tests.planning.expedition import Expedition, Wish, covered

NOW = at(1000)


def any_feed(draws: Draws, *, healthy: bool) -> Feed:
    feed = Feed(draws, ignores_order=not healthy and draws.one_in(4))
    feed.dead = "first page" if draws.one_in(2) else "refused"
    feed.built = ("followed", "refused", "first page")[draws.below(3)]  # type: ignore[assignment]
    return feed


def any_trip(draws: Draws, *, healthy: bool = True) -> Expedition:
    feed = any_feed(draws, healthy=healthy)
    trip = Expedition(draws, feed, lookback=draws.below(5) * SECOND)
    trip.may_build = not draws.one_in(3)
    trip.mortal = draws.one_in(2)
    trip.page_size = draws.below(5) or None
    return trip


def calm_down(trip: Expedition) -> Expedition:
    trip.calm = True
    return trip


@settings(max_examples=200, deadline=None)
@given(chance)
def test_runs_cover_only_what_was_saved(data: bytes) -> None:
    """Across modes, kills, changes and dead cursors, every row of a span was saved since its proof
    began.
    """
    draws = Draws(data)
    trip = any_trip(draws, healthy=False)

    for _ in range(1 + draws.below(5)):
        trip.run(trip.choose(), 1 + draws.below(4))

    assert trip.unproven() == []


@settings(max_examples=200, deadline=None)
@given(chance)
def test_no_row_that_stays_in_the_list_is_ever_suspected(data: bytes) -> None:
    draws = Draws(data)
    trip = any_trip(draws, healthy=False)

    for _ in range(1 + draws.below(4)):
        trip.run(trip.choose(), 1 + draws.below(4))
        assert [stroll.accused for stroll in trip.strolls if stroll.accused] == []


@settings(max_examples=250, deadline=None)
@given(chance)
def test_an_unhurt_run_always_meets_its_demand(data: bytes) -> None:
    """After any runs that were killed, whatever hints they have left, alive or dead."""
    draws = Draws(data)
    trip = any_trip(draws)
    for _ in range(draws.below(4)):
        trip.run(trip.choose(), 1 + draws.below(4))
        trip.feed.era += draws.one_in(2)
    calm_down(trip)
    wish = trip.choose()

    demand = trip.run(wish, 1 + draws.below(4))

    assert trip.failure is None
    assert demand is not None
    assert trip.unproven() == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_a_run_of_all_history_saves_every_session_that_was_listed_when_it_began(
    data: bytes,
) -> None:
    draws = Draws(data)
    trip = any_trip(draws)
    for _ in range(draws.below(3)):
        trip.run(trip.choose(), 1 + draws.below(4))
    calm_down(trip)
    now = trip.feed.tick()
    for number in range(draws.below(12)):
        # Begun in the second in which the run begins, a tick before it.
        began = max(floor_second(now), now - TOCK) + number * timedelta(milliseconds=1)
        trip.feed.rows.append(Row(900_000 + number, began, now - TOCK))
    there = [row for row in trip.feed.present(now) if row.at <= now]

    trip.run(Wish("reconcile", BEGINNING, None, now), 1 + draws.below(4))

    assert [row for row in there if trip.stored.get(row.id, BEGINNING) < now] == []


@settings(max_examples=200, deadline=None)
@given(chance)
def test_rows_that_turn_up_within_the_lookback_are_found_by_the_next_sync(data: bytes) -> None:
    """Whatever runs were killed and taken up before it, once one has set the watermark."""
    draws = Draws(data)
    trip = Expedition(draws, Feed(draws, lag=3 * SECOND), lookback=3 * SECOND)
    calm_down(trip).run(trip.choose(["incremental"]), 1)
    trip.calm = False
    for _ in range(1 + draws.below(6)):
        trip.run(trip.choose(bounded=False), 1 + draws.below(3))
    calm_down(trip)
    wish = trip.choose(["incremental"])
    there = [row for row in trip.feed.present(trip.feed.now) if row.at < trip.feed.now - SECOND]

    assert trip.run(wish, 1 + draws.below(3)) is not None

    assert [row for row in there if row.id not in trip.stored] == []


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_killed_run_goes_on_with_smaller_gaps(data: bytes) -> None:
    draws = Draws(data)
    trip = any_trip(draws)
    wish = Wish("reconcile", BEGINNING, None, trip.feed.tick())

    for _ in range(4):
        before = covered(trip.coverage)
        trip.run(wish, 2)
        assert before <= covered(trip.coverage)
    calm_down(trip)

    assert trip.run(wish, 2) is not None


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_full_walk_moves_the_watermark_to_the_newest_row_before_its_second(
    data: bytes,
) -> None:
    draws = Draws(data)
    trip = calm_down(any_trip(draws))
    for _ in range(draws.below(3)):
        trip.feed.put(trip.feed.now + draws.below(3) * TOCK)
    now = trip.feed.tick()

    demand = trip.run(Wish("reconcile", BEGINNING, None, now), 1 + draws.below(4))

    assert demand is not None
    head = demand.requirements[0].newest
    below = [row.at for row in trip.feed.rows if row.at < head]
    assert (trip.watermark or BEGINNING) >= max(below, default=BEGINNING)


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_server_that_ignores_the_order_ends_a_run_as_cut_short_at_worst(data: bytes) -> None:
    draws = Draws(data)
    trip = calm_down(any_trip(draws))
    trip.feed.ignores_order = True

    demand = trip.run(trip.choose(), 1 + draws.below(4))

    assert demand is not None or isinstance(trip.failure, CutShort)
    assert trip.unproven() == []


@st.composite
def still_lists(draw: st.DrawFn) -> Expedition:
    """An agent with up to 120 sessions, all ties or none, and a run that nothing disturbs.

    A page that the tracker hears of late bounds nothing: others may request it meanwhile.
    """
    draws = Draws(draw(st.binary(min_size=250, max_size=250)))
    feed = Feed(draws, built=draw(st.sampled_from(["followed", "refused", "first page"])))
    feed.rows.clear()
    spread = draw(st.sampled_from([1, 3, 10, 100, 10**5]))
    for second in draw(st.lists(st.integers(0, spread - 1), max_size=120)):
        feed.put(at(-second))
    size = draw(st.integers(2, 20))
    trip = Expedition(draws, feed, page_size=size, calm=True, delays=False)
    trip.may_build = draw(st.booleans())
    return trip


def walk_all_history(trip: Expedition, walkers: int) -> int:
    """Reconcile. Returns the requests that it cost."""
    before = trip.feed.requests
    demand = trip.run(Wish("reconcile", BEGINNING, None, trip.feed.tick()), walkers)
    assert demand is not None, trip.failure
    return trip.feed.requests - before


def count_pages(trip: Expedition) -> int:
    return max(1, ceil(len(trip.feed.rows) / (trip.page_size or 1)))


def longest_tie(trip: Expedition) -> int:
    """Pages that the rows of one instant take: they show no order, so two walks may fetch them."""
    ties = Counter(row.at for row in trip.feed.rows)
    return ceil(max(ties.values(), default=0) / (trip.page_size or 1))


@settings(max_examples=150, deadline=None)
@given(still_lists(), st.integers(2, 8))
def test_a_run_costs_each_page_once_and_a_request_or_a_tie_for_each_walk(
    trip: Expedition, walkers: int
) -> None:
    """The bound: pages + walks x (1 + pages of the longest tie), and a walk for two pages.

    Two walks more where nobody has used the agent for a while: pages of two rows mislead.
    """
    requests = walk_all_history(trip, walkers)

    pages, walks = count_pages(trip), len(trip.strolls)
    assert walks <= walkers + pages // 2 + 2
    assert requests <= pages + walks * (1 + longest_tie(trip))


@settings(max_examples=100, deadline=None)
@given(still_lists(), st.integers(1, 20))
def test_one_walk_costs_each_page_once_and_the_end_check(trip: Expedition, size: int) -> None:
    trip.page_size = size

    assert walk_all_history(trip, 1) <= count_pages(trip) + 1
    assert len(trip.strolls) == 1


@settings(max_examples=150, deadline=None)
@given(still_lists(), st.integers(2, 8))
def test_no_two_walks_fetch_the_same_page_twice_but_for_two_each_and_ties(
    trip: Expedition, walkers: int
) -> None:
    """A walk meets others amid a tie at both ends of what is left to it."""
    walk_all_history(trip, walkers)

    assert max(trip.repeats.values(), default=0) <= 2 + 2 * longest_tie(trip)


@settings(max_examples=100, deadline=None)
@given(still_lists(), st.integers(1, 8))
def test_dead_hints_cost_a_request_each_and_no_more(trip: Expedition, walkers: int) -> None:
    walk_all_history(trip, walkers)
    trip.feed.era += 1
    trip.feed.built, trip.may_build = trip.feed.dead, True

    requests = walk_all_history(trip, walkers)

    pages, walks = count_pages(trip), len(trip.strolls)
    assert walks <= walkers + pages // 2 + 2 + len(trip.bookmarks)
    assert requests <= pages + walks * (1 + longest_tie(trip))


def tracker(coverage: Coverage = ()) -> GapTracker:
    demand = Demand(NOW, (Requirement(BEGINNING, NOW, None),))
    return GapTracker(demand, NOW, coverage, Hints(may_build=False), Density(), 2)


def start(tracker: GapTracker, entry: Entry = HEAD) -> Walk:
    return tracker.start(PlannedWalk(entry, tracker.gaps[0]))


def add_page(tracker: GapTracker, walk: Walk, *rows: tuple[str, int], cursor: str | None) -> bool:
    listed = [Listed(id, at(tick)) for id, tick in rows]
    return tracker.add_page(walk, walk.advance(listed, cursor, NOW), listed)


def test_a_first_backfill_begins_at_both_ends_however_many_may_go() -> None:
    assert [one.entry for one in tracker().plan(8)] == [HEAD, TAIL]
    assert [one.entry for one in tracker().plan(1)] == [HEAD]


def test_a_list_that_was_walked_before_begins_with_one_walk() -> None:
    assert [one.entry for one in tracker((Span(at(1), at(3), at(1)),)).plan(8)] == [HEAD]


def both_ends() -> tuple[GapTracker, Walk, Walk]:
    gaps = tracker()
    head, tail = (gaps.start(planned) for planned in gaps.plan(8))
    return gaps, head, tail


def test_a_list_with_a_bookmark_was_walked_before() -> None:
    """Its head may not be entered at all, and would never tell of the tail."""
    gaps = tracker()
    gaps.hints.bookmarks.append(Entry("newest", "kept", at(8), NOW))

    assert TAIL not in [one.entry for one in gaps.plan(8)]


def test_a_walk_that_fails_once_the_demand_is_met_fails_no_run() -> None:
    gaps = tracker()
    head, late = start(gaps), start(gaps, Entry("newest", "kept", at(5), NOW))
    late.advance([Listed("b", at(5)), Listed("a", at(3))], "c1", NOW)
    add_page(gaps, head, ("d", 9), ("a", 3), cursor=None)
    gaps.add_page(head, head.confirm_end(), [])
    assert gaps.gaps == ()

    assert gaps.finish(late, Transient("503")) is None
    assert gaps.finish(late, ApiError("refused")) is not None


def test_the_tail_is_judged_by_what_the_head_has_shown() -> None:
    gaps, head, tail = both_ends()
    assert not gaps.may_judge(tail)

    add_page(gaps, head, ("d", 9), ("c", 7), cursor="c0")

    assert gaps.may_judge(tail)
    gaps.prepare_judgement(tail, [])
    with pytest.raises(CursorRefused):
        tail.chain.check([Listed("c", at(7)), Listed("d", at(9))], None)


@pytest.mark.parametrize("rows", [[], [("d", 9), ("c", 9)]])
def test_a_tail_that_the_head_says_nothing_of_is_asked_for_again(
    rows: list[tuple[str, int]],
) -> None:
    gaps, head, tail = both_ends()
    add_page(gaps, head, *rows, cursor="c0")
    with pytest.raises(CursorRefused) as refused:
        gaps.prepare_judgement(tail, [])
    assert gaps.finish(tail, refused.value) is None
    assert gaps.plan(8) == []

    add_page(gaps, head, ("b", 7), ("a", 5), cursor="c1")

    assert [one.entry for one in gaps.plan(8)] == [TAIL]


@pytest.mark.parametrize(
    "tail_rows",
    [
        [("a", 1), ("b", 2), ("d", 6)],  # the head has shown 9, 8 and 3, and not 6
        [("a", 1), ("b", 2), ("e", 5)],  # and here 3, which the tail doesn't show
    ],
)
def test_a_tail_that_contradicts_the_head_is_not_believed(
    tail_rows: list[tuple[str, int]],
) -> None:
    """One row lies elsewhere than where it belongs: each page is in order by itself."""
    gaps, head, tail = both_ends()
    add_page(gaps, head, ("g", 9), ("f", 8), ("c", 3), cursor="c0")

    with pytest.raises(CursorRefused):
        gaps.prepare_judgement(tail, [Listed(id, at(second)) for id, second in tail_rows])


def test_a_tail_without_a_head_is_judged_by_nobody() -> None:
    gaps, head, tail = both_ends()
    assert gaps.finish(head, CutShort("it broke off")) is None

    assert gaps.may_judge(tail)
    with pytest.raises(CursorRefused):
        gaps.prepare_judgement(tail, [])


def test_the_head_waits_for_the_tail_which_may_have_shown_the_rest() -> None:
    gaps, head, tail = both_ends()
    listed = [Listed("c", at(9)), Listed("b", at(7))]
    assert add_page(gaps, head, ("c", 9), ("b", 7), cursor="c0")
    assert gaps.early_tail is tail
    gaps.prepare_judgement(tail, [])

    assert not add_page(gaps, tail, ("a", 3), ("b", 7), ("c", 9), cursor=None)

    assert gaps.early_tail is None
    assert not gaps.keep_or_end(head, listed)
    assert gaps.gaps == ()


def test_of_two_walks_before_a_gap_of_one_page_one_goes_on() -> None:
    gaps, head, tail = both_ends()
    listed = [Listed("e", at(9)), Listed("d", at(7))]
    add_page(gaps, head, ("e", 9), ("d", 7), cursor="c0")
    gaps.prepare_judgement(tail, [])

    assert not add_page(gaps, tail, ("a", 4), ("b", 6), cursor="c1")
    assert gaps.keep_or_end(head, listed)


def test_of_two_walks_before_more_than_a_page_both_go_on() -> None:
    gaps, head, tail = both_ends()
    listed = [Listed("e", at(19)), Listed("d", at(18))]
    add_page(gaps, head, ("e", 19), ("d", 18), cursor="c0")
    gaps.prepare_judgement(tail, [])

    assert add_page(gaps, tail, ("a", 1), ("b", 2), cursor="c1")
    assert gaps.keep_or_end(head, listed)


def test_a_sync_of_two_pages_is_one_walk() -> None:
    gaps = tracker((Span(BEGINNING, at(3), at(1)),))
    assert add_page(gaps, start(gaps), ("d", 9), ("c", 7), cursor="c0")

    assert gaps.plan(8) == []


def test_walks_that_enter_amid_a_gap_are_bounded_over_the_run() -> None:
    demand = Demand(NOW, (Requirement(BEGINNING, NOW, None),))
    density = Density([at(second) for second in range(1000)])
    gaps = GapTracker(demand, NOW, (), Hints(built_works=True), density, 2)
    inner = 0
    for _ in range(20):
        for planned in gaps.plan(4):
            gaps.walks.end(gaps.start(planned))
            inner += planned.is_inner

    assert inner == INNER_WALKS * 4


def test_a_walk_ends_where_another_has_begun() -> None:
    gaps = tracker((Span(BEGINNING, at(3), at(1)),))
    walk = start(gaps)

    assert add_page(gaps, walk, ("d", 9), ("c", 7), cursor="c0")
    assert not add_page(gaps, walk, ("b", 5), ("a", 2), cursor="c1")
    assert gaps.finish(walk, None) is None
    assert (gaps.gaps, gaps.plan(8)) == ((), [])


def test_a_walk_proves_an_instant_that_another_on_the_same_cursors_could_not() -> None:
    gaps = tracker()
    inner = start(gaps, Entry("newest", "kept", just_after(at(3)), NOW))
    add_page(gaps, inner, ("c", 3), ("b", 3), cursor="c3")
    add_page(gaps, inner, ("a", 2), ("z", 1), cursor="c1")
    head = start(gaps)
    add_page(gaps, head, ("e", 9), ("d", 5), cursor="c5")

    assert add_page(gaps, head, ("c", 3), ("b", 3), cursor="c3")
    assert not add_page(gaps, head, ("a", 2), ("z", 1), cursor="c1")
    assert [gap.newest for gap in gaps.gaps] == [just_after(at(1))]


def test_a_late_walk_leaves_the_last_instant_to_the_one_that_stands_there() -> None:
    gaps = tracker()
    head, tail = start(gaps), start(gaps, TAIL)
    late = start(gaps, Entry("newest", "kept", at(8), NOW))
    add_page(gaps, head, ("e", 9), ("d", 7), cursor="c7")
    assert add_page(gaps, tail, ("a", 1), ("b", 3), cursor="c3")
    assert not add_page(gaps, head, ("c", 5), ("b", 3), cursor="c2")

    assert not add_page(gaps, late, ("d", 7), ("c", 5), cursor="c5")
    assert gaps.gaps != ()


def test_a_head_that_breaks_off_amid_the_second_of_the_run_is_no_success() -> None:
    """Its sessions are in no gap, so no other walk would bring them."""
    late = NOW + TOCK
    demand = Demand(late, (Requirement(BEGINNING, NOW, late),))
    gaps = GapTracker(demand, late, (), Hints(may_build=False), Density(), 2)
    head, tail = start(gaps), start(gaps, TAIL)
    listed = [Listed("d", NOW + TOCK), Listed("c", NOW + TOCK / 2)]
    assert gaps.add_page(head, head.advance(listed, "c0", late), listed)
    below = [Listed("a", at(1)), Listed("b", NOW + TOCK / 4)]
    gaps.add_page(tail, tail.advance(below, "c1", late + SECOND), below)
    assert gaps.gaps == ()

    assert gaps.finish(head, CursorRefused("it has died")) is not None


def test_walks_that_get_nowhere_give_up_after_a_few() -> None:
    gaps = tracker()
    failures = []
    while not failures or failures[-1] is None:
        walk = start(gaps)
        failures.append(gaps.finish(walk, CutShort("broken")))

    assert len(failures) == MOST_FAILURES
    assert str(failures[-1]) == "broken"


def test_a_walk_that_brought_something_starts_the_count_of_failures_anew() -> None:
    gaps = tracker()
    for tick in range(50, 10, -4):
        walk = start(gaps)
        add_page(gaps, walk, ("b", tick), ("a", tick - 2), cursor="c")
        assert gaps.finish(walk, CutShort("broken")) is None


def test_refused_hints_never_count_as_failures() -> None:
    gaps = tracker()
    for number in range(2 * MOST_FAILURES):
        walk = start(gaps, Entry("newest", f"m{number}", at(5)))
        assert gaps.finish(walk, CursorRefused("no")) is None


def test_an_error_of_the_api_ends_the_run() -> None:
    gaps = tracker()
    error = ApiError("the server is down")

    assert gaps.finish(start(gaps), error) is error


def test_a_list_out_of_order_is_walked_by_one_walk_to_its_end() -> None:
    gaps = tracker()
    walk = start(gaps)

    assert add_page(gaps, walk, ("a", 1), ("b", 5), cursor="c0")
    assert add_page(gaps, walk, ("c", 9), ("d", 2), cursor=None)
    gaps.add_page(walk, walk.confirm_end(), [])

    assert gaps.gaps == ()


def test_the_share_done_counts_sessions() -> None:
    gaps = tracker()
    assert gaps.share_done(0) is None
    walk = start(gaps)
    add_page(gaps, walk, ("b", 900), ("a", 800), cursor="c0")
    gaps.density.pages.oldest = at(0)

    assert gaps.estimate_pages_left() == pytest.approx(8, rel=0.01)
    assert gaps.share_done(16) == pytest.approx(0.5, rel=0.01)
    gaps.add_page(walk, walk.confirm_end(), [])
    assert gaps.share_done(16) == 1.0


def test_a_walk_that_closes_a_gap_on_its_way_to_another_is_waited_for() -> None:
    """Amid an instant of many rows it takes long: those that give way meanwhile have not failed."""
    gaps = tracker((Span(BEGINNING, at(5), at(1)), Span(just_after(at(5)), at(8), at(1))))
    instant, head = gaps.gaps
    passer = gaps.start(PlannedWalk(Entry("oldest", "kept", at(3)), head))
    assert add_page(gaps, passer, ("e", 4), ("f", 5), cursor="c0")
    first = gaps.start(PlannedWalk(HEAD, head))
    assert not add_page(gaps, first, ("z", 9), ("y", 7), cursor="d0")
    assert gaps.finish(first, None) is None

    for _ in range(2 * MOST_FAILURES):
        arriving = gaps.start(PlannedWalk(HEAD, instant))
        assert not add_page(gaps, arriving, ("z", 9), ("y", 6), cursor="d0")
        assert gaps.gaps == (instant,)
        assert gaps.finish(arriving, None) is None
    assert gaps.plan(4) == [], "nobody is sent after it"


def test_of_two_walks_that_follow_the_same_cursors_the_later_one_ends() -> None:
    gaps = tracker()
    first = start(gaps)
    assert add_page(gaps, first, ("d", 9), ("c", 5), cursor="c0")
    later = start(gaps, Entry("newest", "kept", at(7)))

    assert not add_page(gaps, later, ("c", 5), ("b", 5), cursor="c0")
    assert add_page(gaps, first, ("b", 5), ("a", 3), cursor="c1")


def test_of_two_walks_that_follow_the_same_cursors_one_that_proves_nothing_gives_way() -> None:
    """It has entered amid an instant, of which only the one from above has seen all rows."""
    gaps = tracker()
    amid = start(gaps, Entry("newest", "kept", at(6)))
    assert add_page(gaps, amid, ("c", 5), ("b", 5), cursor="c0")
    from_above = start(gaps)

    assert add_page(gaps, from_above, ("e", 9), ("d", 5), cursor="c0")
    assert not add_page(gaps, amid, ("a", 5), ("z", 3), cursor="c1")


def test_a_walk_amid_one_instant_leaves_it_to_one_that_came_from_above() -> None:
    gaps = tracker()
    amid = start(gaps, Entry("newest", "kept", at(5), NOW))
    assert add_page(gaps, amid, ("c", 3), ("b", 3), cursor="amid")
    above = start(gaps)
    assert add_page(gaps, above, ("e", 9), ("d", 3), cursor="above")

    assert not add_page(gaps, amid, ("a", 3), ("z", 3), cursor="amid, further on")
    assert add_page(gaps, above, ("c", 3), ("b", 3), cursor="above, further on")
