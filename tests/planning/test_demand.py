"""What each mode demands, when a walk goes on, and how far the watermark may move."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING, Span
from etl.planning.coverage import Coverage, Gap, add
from etl.planning.demand import Demand, Requirement, bound_watermark, find_gaps, resume, subtract
from etl.planning.run_demand import AgentState, RunOptions, choose_history_from
from tests.planning import SECOND, TOCK, at
from tests.planning.modes import backfill, incremental, reconcile
from tests.planning.test_coverage import GRID, coverages, instants, proofs, times

NOW = at(500)
slices = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda b: b[0] < b[1]))
HOUR = timedelta(hours=1)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    bounds = st.tuples(instants | st.just(BEGINNING), instants, times)
    wanted = [Requirement(*bound) for bound in draw(st.lists(bounds, min_size=1, max_size=3))]
    return Demand(at(100), tuple(wanted))


@settings(max_examples=150, deadline=None)
@given(coverages(), demands())
def test_missing_is_what_some_requirement_lacks(coverage: Coverage, demand: Demand) -> None:
    known = proofs(coverage)
    wanted = {
        instant
        for need in demand.requirements
        for instant in (BEGINNING, *GRID)
        if need.oldest <= instant < need.newest
        and (instant not in known or (need.since is not None and known[instant] < need.since))
    }

    found = find_gaps(coverage, demand)

    edges = [edge for gap in found for edge in gap]
    assert {i for i in (BEGINNING, *GRID) for g in found if g.oldest <= i < g.newest} == wanted
    assert edges == sorted(set(edges)), "gaps are sorted, not empty and don't touch"


@settings(max_examples=150, deadline=None)
@given(coverages(), demands())
def test_nothing_is_missing_once_the_gaps_are_walked(coverage: Coverage, demand: Demand) -> None:
    for gap in find_gaps(coverage, demand):
        coverage = add(coverage, Span(gap.oldest, gap.newest, at(400)), at(400))

    assert find_gaps(coverage, demand) == ()


def test_incremental_wants_the_lookback_anew_and_all_below_ever() -> None:
    watermark = NOW - 3 * HOUR
    demand = incremental(started_at=NOW, now=NOW, watermark=watermark, lookback=HOUR)
    old = (Span(BEGINNING, watermark, at(0)),)

    assert find_gaps(old, demand) == (Gap(watermark - HOUR, NOW),)
    assert find_gaps((), demand) == (Gap(BEGINNING, NOW),)


def test_incremental_without_a_watermark_wants_all_history_anew() -> None:
    """Nothing is stored that could be a mark."""
    demand = incremental(started_at=NOW, now=NOW, watermark=None, lookback=HOUR)

    assert find_gaps((), demand) == (Gap(BEGINNING, NOW),)
    assert find_gaps((Span(BEGINNING, NOW, None),), demand) == (Gap(BEGINNING, NOW),)
    assert find_gaps((Span(BEGINNING, NOW, NOW),), demand) == ()


def test_incremental_also_closes_a_gap_far_below() -> None:
    demand = incremental(started_at=NOW, now=NOW, watermark=NOW, lookback=2 * SECOND)
    coverage = (Span(BEGINNING, at(3), at(0)), Span(at(5), NOW, at(0)))

    assert find_gaps(coverage, demand) == (Gap(at(3), at(5)), Gap(NOW - 2 * SECOND, NOW))


def test_no_demand_goes_below_where_history_begins() -> None:
    floor = NOW - HOUR
    wanted = [
        incremental(started_at=NOW, now=NOW, watermark=NOW, lookback=9 * HOUR, floor=floor),
        reconcile(started_at=NOW, now=NOW, floor=floor),
        backfill(started_at=NOW, now=NOW, since=floor, watermark=NOW, lookback=9 * HOUR),
    ]

    assert [find_gaps((), demand) for demand in wanted] == [(Gap(floor, NOW),)] * 3


def test_backfill_takes_any_proof_and_a_restart_none_from_before() -> None:
    coverage = (Span(BEGINNING, NOW, at(0)),)

    assert find_gaps(coverage, backfill(started_at=NOW, now=NOW)) == ()
    again = backfill(started_at=NOW, now=NOW, restart=True)
    assert find_gaps(coverage, again) == (Gap(BEGINNING, NOW),)


def test_backfill_stays_within_since_and_until() -> None:
    bounded = backfill(started_at=NOW, now=NOW, since=at(3), until=at(8), watermark=at(400))
    beyond = backfill(started_at=NOW, now=NOW, since=at(3), until=NOW + HOUR)

    assert find_gaps((), bounded) == (Gap(at(3), at(8)),)
    assert find_gaps((), beyond) == (Gap(at(3), NOW),)


def test_backfill_to_the_head_proves_the_lookback_anew() -> None:
    coverage = (Span(BEGINNING, NOW, at(0)),)
    demand = backfill(started_at=NOW, now=NOW, watermark=at(490), lookback=2 * SECOND)

    assert find_gaps(coverage, demand) == (Gap(at(488), NOW),)


def test_reconcile_takes_only_proofs_since_it_began() -> None:
    began = at(300)
    coverage = (Span(BEGINNING, at(5), at(299)), Span(at(5), at(9), began))

    demand = reconcile(started_at=began, now=NOW)

    assert find_gaps(coverage, demand) == (Gap(BEGINNING, at(5)), Gap(at(9), NOW))


@settings(max_examples=150, deadline=None)
@given(
    coverages(),
    demands(),
    instants | st.just(BEGINNING),
    st.none() | instants,
    st.integers(0, 5).map(lambda seconds: seconds * SECOND),
)
def test_the_watermark_never_passes_a_gap(
    coverage: Coverage,
    demand: Demand,
    floor: datetime,
    watermark: datetime | None,
    lookback: timedelta,
) -> None:
    known = proofs(coverage)

    bound = bound_watermark(coverage, demand, floor, watermark, lookback)

    if bound is not None:
        assert all(i in known for i in (BEGINNING, *GRID) if floor <= i < bound)
        assert find_gaps(coverage, demand) == ()
    if bound is not None and watermark is not None:
        anew = [i for i in GRID if max(floor, watermark - lookback) <= i < bound]
        assert all(known[i] >= demand.started_at for i in anew)


def test_the_watermark_stays_until_its_lookback_is_proven_anew() -> None:
    old = Span(BEGINNING, at(8), at(100))
    head = Span(at(8), NOW, at(300))
    lower = Span(at(5), NOW, at(300))
    demand = backfill(started_at=at(300), now=NOW)

    def bound(coverage: Coverage) -> datetime | None:
        return bound_watermark(coverage, demand, BEGINNING, at(7), 2 * SECOND)

    assert bound((old, head)) is None
    assert bound(add((old,), lower, at(300))) == NOW


def test_the_watermark_stays_until_the_demand_is_met() -> None:
    demand = reconcile(started_at=at(300), now=NOW)
    coverage = (Span(BEGINNING, at(3), at(100)), Span(at(3), NOW, at(300)))

    assert bound_watermark(coverage, demand, BEGINNING, at(9), SECOND) is None


def test_the_first_watermark_needs_history_to_its_end() -> None:
    demand = backfill(started_at=NOW, now=NOW, since=at(1))
    part, whole = (Span(at(1), NOW, at(1)),), (Span(BEGINNING, NOW, at(1)),)

    assert bound_watermark(part, demand, BEGINNING, None, HOUR) is None
    assert bound_watermark(part, demand, at(1), None, HOUR) == NOW
    assert bound_watermark(whole, demand, BEGINNING, None, HOUR) == NOW


def test_no_demand_goes_beyond_the_second_of_its_run() -> None:
    now = NOW + 3 * TOCK
    wanted = [
        incremental(started_at=now, now=now, watermark=at(9), lookback=HOUR),
        reconcile(started_at=now, now=now),
        backfill(started_at=now, now=now, watermark=at(9), lookback=HOUR),
        backfill(started_at=now, now=now, until=now),
    ]

    assert {find_gaps((), demand)[-1].newest for demand in wanted} == {NOW}


def test_a_run_taken_up_wants_anew_what_was_proven_within_its_lookback() -> None:
    """Sessions turn up late in the list: they were dated just before the proof."""
    demand = reconcile(started_at=at(300), now=NOW)
    coverage = (
        Span(BEGINNING, at(200), at(310)),
        Span(at(200), at(305), at(310)),
        Span(at(350), at(400), at(401)),
    )

    taken_up = resume(demand, coverage, NOW, 20 * SECOND, demand.started_at)

    lacking = [Gap(at(290), at(350)), Gap(at(381), NOW)]
    assert list(find_gaps(coverage, taken_up)) == lacking
    anew = add(coverage, Span(at(290), NOW, NOW), NOW)
    assert find_gaps(anew, taken_up) == ()


def test_a_run_taken_up_leaves_proofs_from_before_it_to_the_demand() -> None:
    demand = incremental(started_at=at(300), now=NOW, watermark=at(200), lookback=20 * SECOND)
    coverage = (Span(BEGINNING, at(250), at(250)),)

    taken_up = resume(demand, coverage, NOW, 20 * SECOND, demand.started_at)

    assert find_gaps(coverage, taken_up) == find_gaps(coverage, demand) == (Gap(at(180), NOW),)


def test_a_run_taken_up_that_does_not_reach_the_head_wants_no_more() -> None:
    demand = backfill(started_at=at(300), now=NOW, since=at(3), until=at(400))

    assert resume(demand, (Span(at(3), at(350), at(360)),), NOW, HOUR, demand.started_at) == demand


@settings(max_examples=150, deadline=None)
@given(coverages(), demands(), st.integers(0, 5).map(lambda seconds: seconds * SECOND))
def test_a_run_taken_up_wants_no_less_and_nothing_below_its_demand(
    coverage: Coverage, demand: Demand, lookback: timedelta
) -> None:
    taken_up = resume(demand, coverage, at(0), lookback, demand.started_at)
    lowest = min(need.oldest for need in demand.requirements)

    wanted, before = find_gaps(coverage, taken_up), find_gaps(coverage, demand)

    assert all(gap.oldest >= lowest for gap in wanted)
    for gap in before:
        assert any(one.oldest <= gap.oldest and gap.newest <= one.newest for one in wanted)


def test_the_distance_below_stops_at_the_end_of_history() -> None:
    assert subtract(at(5), 2 * SECOND) == at(3)
    assert subtract(BEGINNING + SECOND, HOUR) == BEGINNING
    assert subtract(NOW, timedelta.max) == BEGINNING


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 29), slices)
def test_history_begins_where_backfills_of_parts_have_reached_without_a_gap(
    first: int, parts: list[tuple[int, int]]
) -> None:
    state = AgentState(history_from=at(first), coverage=(Span(at(first), at(30), at(100)),))
    for low, high in parts:
        options = RunOptions("backfill", since=at(low), until=at(high))
        state.history_from = choose_history_from(state, options)
        state.coverage = add(state.coverage, Span(at(low), at(high), at(100)), at(100))
    bottom = first
    while lower := [low for low, high in parts if low < bottom <= high]:
        bottom = min(lower)
    last = RunOptions("backfill", since=at(first), until=at(30))

    assert choose_history_from(state, last) == at(bottom)


def test_a_backfill_of_all_lifts_the_bound_and_a_sync_leaves_it() -> None:
    state = AgentState(at(40), at(10), coverage=(Span(at(10), at(50), at(100)),))

    assert choose_history_from(state, RunOptions("backfill")) is None
    assert choose_history_from(state, RunOptions("incremental", since=at(5))) == at(10)
    assert choose_history_from(state, RunOptions("reconcile")) == at(10)
