"""Where walks enter the list: the right side of a gap, never twice the same way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING, ENDLESS, Entry, Span, just_after
from etl.planning.coverage import Coverage, Gap
from etl.planning.demand import Demand, find_gaps
from etl.planning.walks.density import Density
from etl.planning.walks.entries import HEAD, TAIL, ActiveWalk, Situation
from etl.planning.walks.hints import Hints, is_built
from etl.planning.walks.plan import LONG, PlannedWalk, plan_walks
from etl.planning.walks.walk import Walk
from tests.planning import at
from tests.planning.expedition import assert_on_the_right_side
from tests.planning.test_coverage import coverages, instants
from tests.planning.test_demand import demands

entries = st.builds(Entry, st.sampled_from(["newest", "oldest"]), st.sampled_from("abcd"), instants)
walks = st.builds(ActiveWalk, entries | st.sampled_from([HEAD, TAIL]), instants)
densities = st.builds(
    Density,
    st.lists(instants, max_size=9).map(sorted),
    st.just(1),
    st.none() | st.just(at(0)),
)
hints = st.builds(
    Hints,
    st.lists(entries, max_size=6),
    st.booleans(),
    st.none() | st.booleans(),
)


def situation(
    gaps: Sequence[Gap],
    coverage: Coverage = (),
    active: Sequence[ActiveWalk] = (),
    *,
    density: Density | None = None,
    page_size: int = 1,
    free: int = 8,
    tail_is_open: bool = True,
) -> Situation:
    density = density or Density()
    return Situation(gaps, coverage, active, density, page_size, free, tail_is_open)


def even(low: int, high: int) -> Density:
    """A row every second."""
    return Density([at(second) for second in range(low, high)])


@settings(max_examples=200, deadline=None)
@given(
    coverages(), demands(), hints, st.lists(walks, max_size=3), densities, st.integers(0, 6),
    st.booleans(),
)  # fmt: skip
def test_walks_enter_on_the_right_side_of_a_gap_that_is_left_each_its_own_way(
    coverage: Coverage,
    demand: Demand,
    known: Hints,
    active: list[ActiveWalk],
    density: Density,
    free: int,
    is_open: bool,
) -> None:
    left = find_gaps(coverage, demand)
    now = situation(left, coverage, active, density=density, free=free, tail_is_open=is_open)

    planned = plan_walks(now, known)

    assert len(planned) <= free
    used = [*(one.entry for one in planned), *{walk.entry for walk in active}]
    assert len(used) == len(set(used))
    assert is_open or TAIL not in {one.entry for one in planned}
    for one in planned:
        assert_on_the_right_side(one)
        gap = one.gap
        assert any(g.oldest <= gap.oldest < gap.newest <= g.newest for g in left)
        assert not is_built(one.entry) or known.may_build


@settings(max_examples=200, deadline=None)
@given(coverages(), demands(), hints, densities)
def test_while_something_is_left_a_run_without_walks_gets_one(
    coverage: Coverage, demand: Demand, known: Hints, density: Density
) -> None:
    left = find_gaps(coverage, demand)

    planned = plan_walks(situation(left, coverage, density=density, free=1), known)

    assert len(planned) == bool(left)


@settings(max_examples=150, deadline=None)
@given(coverages(), demands(), hints, densities, st.integers(1, 8))
def test_walks_that_stand_where_they_entered_are_not_started_again(
    coverage: Coverage, demand: Demand, known: Hints, density: Density, walkers: int
) -> None:
    """Planning goes on before the first page of any walk has come; it settles."""
    left = find_gaps(coverage, demand)
    started: list[Walk] = []
    for _ in range(walkers + 1):
        active = [ActiveWalk(walk.entry, walk.position()) for walk in started]
        free = walkers - len(started)
        now = situation(left, coverage, active, density=density, free=free)
        started += [Walk(one.entry, one.gap) for one in plan_walks(now, known)]

    assert len(started) <= walkers
    assert len({walk.entry for walk in started}) == len(started)


def test_a_fresh_history_is_walked_from_both_ends_where_no_cursor_may_be_built() -> None:
    gap = Gap(BEGINNING, at(9))

    planned = plan_walks(situation([gap], free=2), Hints(may_build=False))

    assert planned == [PlannedWalk(HEAD, gap), PlannedWalk(TAIL, gap)]
    both = [ActiveWalk(HEAD, at(9)), ActiveWalk(TAIL, BEGINNING)]
    assert plan_walks(situation([gap], active=both), Hints(may_build=False)) == []


def test_the_tail_is_entered_only_once_the_list_has_shown_its_order() -> None:
    gap = Gap(BEGINNING, at(9))

    planned = plan_walks(situation([gap], tail_is_open=False), Hints(may_build=False))

    assert planned == [PlannedWalk(HEAD, gap)]


def test_walks_share_a_gap_by_its_rows() -> None:
    gap = Gap(at(0), at(100))
    density = Density([*(at(second) for second in range(90)), at(95)])
    known = Hints(built_works=True)
    active = [ActiveWalk(HEAD, at(100))]

    planned = plan_walks(situation([gap], active=active, density=density, free=2), known)

    [middle, low] = sorted((one.entry.at for one in planned), reverse=True)
    assert at(58) <= middle <= at(62)
    assert at(28) <= low <= at(32)


def test_a_walk_is_left_alone_with_two_pages() -> None:
    gap = Gap(at(0), at(20))
    active = [ActiveWalk(HEAD, at(20))]
    now = situation([gap], active=active, density=even(0, 20), page_size=10)

    assert plan_walks(now, Hints(built_works=True)) == []


def test_after_many_pages_a_walk_is_worth_one() -> None:
    gap = Gap(at(0), at(20))
    active = [ActiveWalk(HEAD, at(20))]
    now = situation([gap], active=active, density=even(0, 20), page_size=10)

    [planned] = plan_walks(replace(now, pages=LONG), Hints(built_works=True))

    assert at(9) <= planned.entry.at <= at(11)


def test_the_first_cursor_of_our_own_goes_alone() -> None:
    gap = Gap(at(0), at(100))
    now = situation([gap], active=[ActiveWalk(HEAD, at(100))], density=even(0, 100))

    planned = plan_walks(now, Hints())

    assert [is_built(one.entry) for one in planned] == [True]


def test_a_walk_that_broke_off_is_taken_up_at_its_edges() -> None:
    below, above = Entry("newest", "b", at(6)), Entry("oldest", "a", at(2))
    coverage = (
        Span(BEGINNING, at(3), at(100), above=above),
        Span(at(6), at(9), at(100), below=below),
    )
    gap = Gap(at(3), at(6))
    known = Hints(may_build=False)

    planned = plan_walks(situation([gap], coverage), known)

    assert planned == [PlannedWalk(below, gap), PlannedWalk(above, gap)]


def test_a_long_gap_under_walk_is_entered_at_the_bookmark_nearest_to_its_middle() -> None:
    marks = [Entry("newest", f"m{second}", at(second)) for second in (2, 4, 6)]
    gap = Gap(at(0), at(9))
    now = situation([gap], active=[ActiveWalk(HEAD, at(9))], density=even(0, 9), free=1)

    assert plan_walks(now, Hints(marks)) == [PlannedWalk(marks[1], gap)]


def test_the_first_cursor_of_an_earlier_run_goes_alone_and_is_the_youngest() -> None:
    """Where the youngest is refused, all are: one request is lost, whatever the walks."""
    marks = [
        Entry("newest", f"m{second}", at(second), issued_at=at(20 + age))
        for age, second in ((1, 2), (3, 4), (2, 6))
    ]
    gap = Gap(at(0), at(9))
    now = situation([gap], active=[ActiveWalk(HEAD, at(9))], density=even(0, 9), free=4)
    hints = Hints(marks, may_build=False, started_at=at(30))

    assert plan_walks(now, hints) == [PlannedWalk(marks[1], gap)]
    hints.refuse_all_like(marks[1])
    assert plan_walks(now, hints) == []


def test_a_refused_cursor_of_an_earlier_run_is_the_last_that_is_tried_for_speed() -> None:
    older, younger = (Entry("newest", f"m{n}", at(4), issued_at=at(20 + n)) for n in (1, 2))
    now = situation([Gap(at(0), at(9))], active=[ActiveWalk(HEAD, at(9))], density=even(0, 9))
    hints = Hints([younger], may_build=False, started_at=at(30))

    hints.refuse_all_like(older)

    assert plan_walks(now, hints) == []
    assert hints.list_entries(()) == [younger], "it may still be the nearest way to a gap"


def test_no_cursor_of_an_earlier_run_is_tried_for_speed_where_that_is_forbidden() -> None:
    mark = Entry("newest", "m", at(4), issued_at=at(20))
    now = situation([Gap(at(0), at(9))], active=[ActiveWalk(HEAD, at(9))], density=even(0, 9))
    hints = Hints([mark], may_build=False, may_try_stored=False, started_at=at(30))

    assert plan_walks(now, hints) == []
    assert hints.list_entries(()) == [mark]


def test_a_refused_cursor_is_skipped() -> None:
    mark = Entry("newest", "m", at(9))
    gap = Gap(BEGINNING, at(9))
    known = Hints([mark], may_build=False)

    assert plan_walks(situation([gap], free=1), known) == [PlannedWalk(mark, gap)]
    known.refuse(mark)
    assert plan_walks(situation([gap], free=1), known) == [PlannedWalk(HEAD, gap)]


def test_an_old_gap_is_entered_at_the_nearest_bookmark_above() -> None:
    marks = [Entry("newest", f"m{second}", at(second)) for second in (5, 7, 9)]
    gap = Gap(at(2), at(6))
    coverage = (Span(BEGINNING, at(2), at(100)), Span(at(6), at(20), at(100)))
    now = situation([gap], coverage, density=even(0, 20), free=1)

    assert plan_walks(now, Hints(marks)) == [PlannedWalk(marks[1], gap)]


def test_a_dead_edge_is_entered_at_a_cursor_of_our_own() -> None:
    edge = Entry("newest", "dead", at(7))
    coverage = (Span(BEGINNING, at(2), at(100)), Span(at(6), at(20), at(100), below=edge))
    gap = Gap(at(2), at(6))
    known = Hints(built_works=True)
    known.refuse(edge)

    [planned] = plan_walks(situation([gap], coverage, free=1), known)

    assert is_built(planned.entry)
    assert at(7) < planned.entry.at < at(8)


def test_the_head_is_not_entered_for_a_gap_that_another_walk_is_nearer_to() -> None:
    gap, upper = Gap(at(2), at(3)), Gap(at(5), at(9))
    coverage = (Span(BEGINNING, at(2), at(100)), Span(at(3), at(5), at(100)))
    mark = Entry("newest", "m", at(7))
    known = Hints(may_build=False)
    now = situation([gap, upper], coverage, [ActiveWalk(mark, at(7))], density=even(0, 9))

    assert gap not in [one.gap for one in plan_walks(now, known)]


def test_a_bookmark_far_below_a_gap_that_another_walk_is_nearer_to_is_not_entered() -> None:
    gap, upper = Gap(at(50), at(53)), Gap(at(55), at(59))
    coverage = (Span(BEGINNING, at(50), at(100)), Span(at(53), at(55), at(100)))
    known = Hints([Entry("oldest", "m", at(40)), Entry("oldest", "n", at(10))], may_build=False)

    def plan(standing: int) -> list[Entry]:
        active = [ActiveWalk(Entry("newest", "k", at(59)), at(standing))]
        now = situation([gap, upper], coverage, active, density=even(0, 60))
        return [one.entry for one in plan_walks(now, known) if one.gap == gap]

    assert plan(57) == []
    assert plan(59) == []
    known.bookmarks.append(Entry("oldest", "o", at(48)))
    assert plan(57) == [Entry("oldest", "o", at(48))]


def test_so_many_walks_enter_amid_a_gap_and_no_more() -> None:
    now = situation([Gap(BEGINNING, at(100))], density=even(0, 100), free=8)
    known = Hints(built_works=True)

    planned = plan_walks(replace(now, inner_left=2), known)

    assert sum(one.is_inner for one in planned) == 2
    assert {HEAD, TAIL} <= {one.entry for one in planned}
    assert sum(one.is_inner for one in plan_walks(now, known)) == 6


def test_nobody_enters_amid_the_rows_of_one_instant() -> None:
    """Such an entry proves none of them: the walk from above reads them all the same."""
    stored = [at(0), *[at(20)] * 30, at(40), at(41)]
    marks = [Entry("newest", "amid", at(20)), Entry("newest", "below", at(10))]
    active = [ActiveWalk(HEAD, at(40))]
    gap = Gap(at(0), at(50))
    now = situation([gap], active=active, density=Density(stored), page_size=2)

    planned = plan_walks(now, Hints(marks, may_build=False))

    assert [one.entry for one in planned if one.entry.order == "newest"] == [marks[1]]


def test_nobody_enters_right_above_the_rows_of_one_instant() -> None:
    stored = [*(at(second) for second in range(10)), *[at(20)] * 15, *[at(21)] * 15, at(40)]
    known = Hints(built_works=True)
    active = [ActiveWalk(HEAD, at(40))]
    now = situation([Gap(at(0), at(50))], active=active, density=Density(stored), page_size=2)

    built = [one.entry.at for one in plan_walks(now, known) if one.entry.order == "newest"]

    assert built
    assert max(built) <= at(20)


def test_a_walk_amid_one_instant_is_left_alone_with_it() -> None:
    stored = [*[at(20)] * 30]
    gap = Gap(at(20), just_after(at(20)))
    active = [ActiveWalk(HEAD, gap.newest)]
    now = situation([gap], active=active, density=Density(stored), page_size=2)

    assert plan_walks(now, Hints([Entry("oldest", "x", at(10))])) == []


def test_nothing_left_needs_no_walk() -> None:
    assert plan_walks(situation([]), Hints()) == []


def test_the_head_and_the_tail_lie_beyond_every_instant() -> None:
    assert at(10**10) < HEAD.at == ENDLESS
    assert TAIL.at == BEGINNING < at(-(10**10)) - timedelta(0)
