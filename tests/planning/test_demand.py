"""What each mode demands, when a walk goes on, and how far the watermark may move."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING, TICK, Order, Span
from etl.planning.coverage import Coverage, Gap, add
from etl.planning.demand import (
    Demand,
    Requirement,
    backfill,
    goes_on,
    incremental,
    missing,
    reconcile,
    share_done,
    subtract,
    watermark_bound,
)
from tests.planning import at
from tests.planning.test_coverage import GRID, coverages, instants, proofs, times

NOW = at(500)
HOUR = timedelta(hours=1)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    bounds = st.tuples(instants | st.just(BEGINNING), instants, times)
    wanted = [Requirement(*bound) for bound in draw(st.lists(bounds, min_size=1, max_size=3))]
    return Demand("backfill", at(100), tuple(wanted))


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

    found = missing(coverage, demand)

    edges = [edge for gap in found for edge in gap]
    assert {i for i in (BEGINNING, *GRID) for g in found if g.oldest <= i < g.newest} == wanted
    assert edges == sorted(set(edges)), "gaps are sorted, not empty and don't touch"


@settings(max_examples=150, deadline=None)
@given(coverages(), demands())
def test_nothing_is_missing_once_the_gaps_are_walked(coverage: Coverage, demand: Demand) -> None:
    for gap in missing(coverage, demand):
        coverage = add(coverage, Span(gap.oldest, gap.newest, at(400)), at(400))

    assert missing(coverage, demand) == ()


def test_incremental_wants_the_lookback_anew_and_all_below_ever() -> None:
    watermark = NOW - 3 * HOUR
    demand = incremental(started_at=NOW, now=NOW, watermark=watermark, lookback=HOUR)
    old = (Span(BEGINNING, watermark, at(0)),)

    assert missing(old, demand) == (Gap(watermark - HOUR, NOW),)
    assert missing((), demand) == (Gap(BEGINNING, NOW),)


def test_incremental_without_a_watermark_wants_all_history() -> None:
    demand = incremental(started_at=NOW, now=NOW, watermark=None, lookback=HOUR)

    assert missing((), demand) == (Gap(BEGINNING, NOW),)
    assert missing((Span(BEGINNING, NOW, None),), demand) == ()


def test_incremental_also_closes_a_gap_far_below() -> None:
    demand = incremental(started_at=NOW, now=NOW, watermark=NOW, lookback=2 * TICK)
    coverage = (Span(BEGINNING, at(3), at(0)), Span(at(5), NOW, at(0)))

    assert missing(coverage, demand) == (Gap(at(3), at(5)), Gap(NOW - 2 * TICK, NOW))


def test_no_demand_goes_below_where_history_begins() -> None:
    floor = NOW - HOUR
    wanted = [
        incremental(started_at=NOW, now=NOW, watermark=NOW, lookback=9 * HOUR, floor=floor),
        reconcile(started_at=NOW, now=NOW, floor=floor),
        backfill(started_at=NOW, now=NOW, since=floor, watermark=NOW, lookback=9 * HOUR),
    ]

    assert [missing((), demand) for demand in wanted] == [(Gap(floor, NOW),)] * 3


def test_backfill_takes_any_proof_and_a_restart_none_from_before() -> None:
    coverage = (Span(BEGINNING, NOW, at(0)),)

    assert missing(coverage, backfill(started_at=NOW, now=NOW)) == ()
    again = backfill(started_at=NOW, now=NOW, restart=True)
    assert missing(coverage, again) == (Gap(BEGINNING, NOW),)


def test_backfill_stays_within_since_and_until() -> None:
    bounded = backfill(started_at=NOW, now=NOW, since=at(3), until=at(8), watermark=at(400))
    beyond = backfill(started_at=NOW, now=NOW, since=at(3), until=NOW + HOUR)

    assert missing((), bounded) == (Gap(at(3), at(8)),)
    assert missing((), beyond) == (Gap(at(3), NOW),)


def test_backfill_to_the_head_proves_the_lookback_anew() -> None:
    coverage = (Span(BEGINNING, NOW, at(0)),)
    demand = backfill(started_at=NOW, now=NOW, watermark=at(490), lookback=2 * TICK)

    assert missing(coverage, demand) == (Gap(at(488), NOW),)


def test_reconcile_takes_only_proofs_since_it_began() -> None:
    began = at(300)
    coverage = (Span(BEGINNING, at(5), at(299)), Span(at(5), at(9), began))

    demand = reconcile(started_at=began, now=NOW)

    assert missing(coverage, demand) == (Gap(BEGINNING, at(5)), Gap(at(9), NOW))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["newest", "oldest"]), instants, coverages(), demands(), st.data())
def test_a_walk_goes_on_while_it_is_short_of_its_gap_or_stands_at_one(
    order: Order, frontier: datetime, coverage: Coverage, demand: Demand, data: st.DataObject
) -> None:
    left = missing(coverage, demand)
    target = data.draw(st.sampled_from(left or (Gap(at(2), at(5)),)))
    following = frontier - TICK if order == "newest" else frontier
    at_work = any(gap.oldest <= following < gap.newest for gap in left)
    short = frontier > target.newest if order == "newest" else frontier < target.oldest

    assert goes_on(order, frontier, target, left) == (at_work or short)


def test_a_walk_without_a_frontier_goes_on() -> None:
    assert goes_on("newest", None, Gap(at(0), at(1)), ())


@settings(max_examples=150, deadline=None)
@given(
    coverages(),
    demands(),
    instants | st.just(BEGINNING),
    st.none() | instants,
    st.integers(0, 5).map(lambda ticks: ticks * TICK),
)
def test_the_watermark_never_passes_a_gap(
    coverage: Coverage,
    demand: Demand,
    floor: datetime,
    watermark: datetime | None,
    lookback: timedelta,
) -> None:
    known = proofs(coverage)

    bound = watermark_bound(coverage, demand, floor, watermark, lookback)

    if bound is not None:
        assert all(i in known for i in (BEGINNING, *GRID) if floor <= i < bound)
        assert missing(coverage, demand) == ()
    if bound is not None and watermark is not None:
        anew = [i for i in GRID if max(floor, watermark - lookback) <= i < bound]
        assert all(known[i] >= demand.started_at for i in anew)


def test_the_watermark_stays_until_its_lookback_is_proven_anew() -> None:
    old = Span(BEGINNING, at(8), at(100))
    head = Span(at(8), NOW, at(300))
    lower = Span(at(5), NOW, at(300))
    demand = backfill(started_at=at(300), now=NOW)

    def bound(coverage: Coverage) -> datetime | None:
        return watermark_bound(coverage, demand, BEGINNING, at(7), 2 * TICK)

    assert bound((old, head)) is None
    assert bound(add((old,), lower, at(300))) == NOW


def test_the_watermark_stays_until_the_demand_is_met() -> None:
    demand = reconcile(started_at=at(300), now=NOW)
    coverage = (Span(BEGINNING, at(3), at(100)), Span(at(3), NOW, at(300)))

    assert watermark_bound(coverage, demand, BEGINNING, at(9), TICK) is None


def test_the_first_watermark_needs_history_to_its_end() -> None:
    demand = backfill(started_at=NOW, now=NOW, since=at(1))
    part, whole = (Span(at(1), NOW, at(1)),), (Span(BEGINNING, NOW, at(1)),)

    assert watermark_bound(part, demand, BEGINNING, None, HOUR) is None
    assert watermark_bound(part, demand, at(1), None, HOUR) == NOW
    assert watermark_bound(whole, demand, BEGINNING, None, HOUR) == NOW


@settings(max_examples=100, deadline=None)
@given(coverages(), demands(), st.none() | instants)
def test_the_share_done_is_a_share(
    coverage: Coverage, demand: Demand, oldest: datetime | None
) -> None:
    left = missing(coverage, demand)

    share = share_done(left, oldest)

    assert share is None or 0 <= share <= 1
    assert left or share == 1


def test_the_share_done_is_the_time_that_no_gap_holds() -> None:
    assert share_done((Gap(at(4), at(10)),), at(0)) == 0.4
    assert share_done((Gap(at(0), at(2)), Gap(at(8), at(10))), at(4)) == pytest.approx(2 / 3)
    assert share_done((Gap(BEGINNING, at(10)),), at(0)) is None
    assert share_done((Gap(at(4), at(10)),), None) is None


def test_the_distance_below_stops_at_the_end_of_history() -> None:
    assert subtract(at(5), 2 * TICK) == at(3)
    assert subtract(BEGINNING + TICK, HOUR) == BEGINNING
    assert subtract(NOW, timedelta.max) == BEGINNING
