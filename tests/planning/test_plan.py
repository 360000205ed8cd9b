"""Whole runs planned by `next_walk` on a changing list, killed and taken up again."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING, TICK, Entry, Listed, Span
from etl.planning.coverage import Coverage, Gap, add, compact
from etl.planning.demand import (
    Demand,
    backfill,
    goes_on,
    incremental,
    missing,
    reconcile,
    watermark_bound,
)
from etl.planning.plan import HEAD, TAIL, ActiveWalk, PlannedWalk, next_walk
from etl.planning.walk import Walk
from tests.planning import Draws, Feed, Stroll, at, chance, unproven
from tests.planning.test_coverage import coverages, instants, is_tidy
from tests.planning.test_demand import demands

LOOKBACK = 3 * TICK
MOST_ASTRAY = 10
"""Pages after which the loops give up an entry that doesn't reach its gap."""


@dataclass
class Expedition:
    """The loops in miniature: walks side by side, saved page by page, killed now and then."""

    draws: Draws
    feed: Feed
    calm: bool = False
    coverage: Coverage = ()
    bookmarks: list[Entry] = field(default_factory=list)
    watermark: datetime | None = None
    strolls: list[Stroll] = field(default_factory=list)
    walks: int = 0
    failures: int = 0

    def demand(self) -> Demand:
        """What a new run wants, in any mode."""
        now = self.feed.tick()
        mode = self.draws.below(4)
        if mode == 0:
            return backfill(started_at=now, now=now, watermark=self.watermark, lookback=LOOKBACK)
        if mode == 1:
            return reconcile(started_at=now, now=now)
        if mode == 2:
            low, high = at(self.draws.below(10)), at(self.draws.below(10))
            return backfill(started_at=now, now=now, since=low, until=high, restart=True)
        return incremental(started_at=now, now=now, watermark=self.watermark, lookback=LOOKBACK)

    def run(self, demand: Demand, walkers: int) -> bool:
        """One run; False if it was killed. Entries without a cursor don't outlive it."""
        active: list[Stroll] = []
        refused: set[Entry] = set()
        while True:
            while len(active) < walkers and (planned := self.plan(demand, active, refused)):
                self.walks += 1
                active.append(Stroll(self.feed, Walk(planned.entry, planned.gap)))
                self.strolls.append(active[-1])
            if not active:
                return not missing(self.coverage, demand)
            if not self.calm:
                self.feed.shake()
            stroll = active[self.draws.below(len(active))]
            if not self.advance(stroll, demand):
                active.remove(stroll)
                self.close(stroll, demand, refused)
            if self.failures > 20 or (not self.calm and self.draws.one_in(12)):
                self.coverage = tuple(without_own_ends(span) for span in self.coverage)
                return False

    def plan(self, demand: Demand, active: list[Stroll], refused: set[Entry]) -> PlannedWalk | None:
        left = missing(self.coverage, demand)
        walks = [ActiveWalk(stroll.walk.order, stroll.walk.position()) for stroll in active]
        planned = next_walk(left, self.coverage, self.bookmarks, walks, refused)
        if planned is not None:
            assert_on_the_right_side(planned)
        return planned

    def advance(self, stroll: Stroll, demand: Demand) -> bool:
        """One page, saved at once. Whether the walk goes on."""
        walk = stroll.walk
        step = stroll.step(1 + self.draws.below(4))
        if step.bookmark is not None:
            self.bookmarks.append(step.bookmark)
        self.save(step.proven, demand)
        left = missing(self.coverage, demand)
        if not goes_on(walk.order, walk.frontier, walk.target, left):
            return False
        if stroll.over:
            end = stroll.end()
            self.save(end.proven if end else None, demand)
        return not stroll.over and not is_astray(walk)

    def save(self, proven: Span | None, demand: Demand) -> None:
        before = covered(self.coverage)
        if proven is not None:
            self.coverage = add(self.coverage, proven, demand.started_at)
        if not self.calm:
            self.coverage = compact(self.coverage, demand.started_at, 6)
        assert is_tidy(self.coverage)
        assert before <= covered(self.coverage)
        self.move_watermark(demand)

    def move_watermark(self, demand: Demand) -> None:
        bound = watermark_bound(self.coverage, demand, BEGINNING, self.watermark, LOOKBACK)
        if bound is None:
            return
        stored = [row.at for row in self.feed.rows if row.shown and row.at < bound]
        assert self.watermark is None or max(stored, default=BEGINNING) >= self.watermark
        self.watermark = max(stored, default=None)
        passed = self.watermark or BEGINNING
        assert any(s.oldest == BEGINNING and passed < s.newest for s in joined(self.coverage))

    def close(self, stroll: Stroll, demand: Demand, refused: set[Entry]) -> None:
        """A walk that closed nothing of its gap isn't entered the same way again."""
        if stroll.walk.target not in missing(self.coverage, demand):
            return
        if stroll.walk.entry != HEAD:
            refused.add(stroll.walk.entry)
        self.failures += stroll.walk.order == "newest"


def is_astray(walk: Walk) -> bool:
    if walk.entry.cursor is None or walk.pages < MOST_ASTRAY or walk.frontier is None:
        return False
    if walk.order == "newest":
        return walk.frontier > walk.target.newest
    return walk.frontier < walk.target.oldest


def without_own_ends(span: Span) -> Span:
    """A span as the database keeps it."""
    below = span.below if span.below and span.below.cursor else None
    above = span.above if span.above and span.above.cursor else None
    return replace(span, below=below, above=above)


def covered(coverage: Coverage) -> set[datetime]:
    """The covered instants among those where rows of the feed's first day lie."""
    grid = [BEGINNING, *(at(tick) for tick in range(-4, 12))]
    return {i for span in coverage for i in grid if span.oldest <= i < span.newest}


def joined(coverage: Coverage) -> list[Span]:
    """Coverage with all neighbours merged, whatever their proofs."""
    spans: list[Span] = []
    for span in coverage:
        if spans and spans[-1].newest == span.oldest:
            spans[-1] = replace(spans[-1], newest=span.newest)
        else:
            spans.append(span)
    return spans


def assert_on_the_right_side(planned: PlannedWalk) -> None:
    entry, gap = planned.entry, planned.gap
    if entry.order == "newest":
        assert entry.at > gap.oldest
    else:
        assert entry.at < gap.newest


@settings(max_examples=150, deadline=None)
@given(chance)
def test_runs_cover_only_what_they_were_shown(data: bytes) -> None:
    """Across modes, kills and changes: every row of a span was shown since its proof began."""
    draws = Draws(data)
    trip = Expedition(draws, Feed(draws))

    for _ in range(1 + draws.below(4)):
        trip.run(trip.demand(), 1 + draws.below(3))

    assert unproven(trip.feed, trip.coverage) == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_an_unhurt_run_always_meets_its_demand(data: bytes) -> None:
    """After any runs that were killed, one that isn't ends, with nothing missing."""
    draws = Draws(data)
    trip = Expedition(draws, Feed(draws))
    for _ in range(draws.below(4)):
        trip.run(trip.demand(), 1 + draws.below(3))
    trip.calm, trip.failures, trip.walks = True, 0, 0
    demand = trip.demand()

    met = trip.run(demand, 1 + draws.below(3))

    assert met
    assert missing(trip.coverage, demand) == ()
    assert trip.failures < 4, "the loops would have given up"
    assert trip.walks <= 10 + len(trip.feed.rows) + len(trip.bookmarks)


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_killed_demand_goes_on_with_smaller_gaps(data: bytes) -> None:
    draws = Draws(data)
    trip = Expedition(draws, Feed(draws))
    now = trip.feed.tick()
    demand = reconcile(started_at=now, now=now)

    for _ in range(4):
        before = covered(trip.coverage)
        trip.run(demand, 2)
        assert before <= covered(trip.coverage)
    trip.calm = True

    assert trip.run(demand, 2)
    assert {row.id for row in trip.feed.present(now)} <= {
        row.id for row in trip.feed.rows if row.shown
    }


@settings(max_examples=100, deadline=None)
@given(chance)
def test_a_full_walk_moves_the_watermark_to_the_newest_row(data: bytes) -> None:
    draws = Draws(data)
    trip = Expedition(draws, Feed(draws), calm=True)
    now = trip.feed.tick()

    trip.run(reconcile(started_at=now, now=now), 1 + draws.below(3))

    assert trip.watermark == max((row.at for row in trip.feed.rows), default=None)


entries = st.builds(Entry, st.sampled_from(["newest", "oldest"]), st.sampled_from("abcd"), instants)
walks = st.builds(ActiveWalk, st.sampled_from(["newest", "oldest"]), instants)


@settings(max_examples=150, deadline=None)
@given(
    coverages(), demands(), st.lists(entries, max_size=6), st.lists(walks, max_size=3), st.data()
)
def test_a_walk_enters_on_the_right_side_of_a_gap_that_is_left(
    coverage: Coverage,
    demand: Demand,
    bookmarks: list[Entry],
    active: list[ActiveWalk],
    data: st.DataObject,
) -> None:
    left = missing(coverage, demand)
    refused = data.draw(st.lists(st.sampled_from([TAIL, *bookmarks]), max_size=3))

    planned = next_walk(left, coverage, bookmarks, active, refused)

    if planned is not None:
        assert_on_the_right_side(planned)
        assert planned.entry not in refused
        assert any(g.oldest <= planned.gap.oldest < planned.gap.newest <= g.newest for g in left)


@settings(max_examples=150, deadline=None)
@given(coverages(), demands(), st.lists(entries, max_size=6))
def test_every_gap_that_nobody_attends_gets_a_walk(
    coverage: Coverage, demand: Demand, bookmarks: list[Entry]
) -> None:
    left = missing(coverage, demand)

    planned = next_walk(left, coverage, bookmarks)

    assert (planned is None) == (left == ())
    assert planned is None or planned.gap in left


@settings(max_examples=150, deadline=None)
@given(coverages(), demands(), st.lists(entries, max_size=6), st.sampled_from([[], [TAIL]]))
def test_two_walks_never_enter_the_same_way(
    coverage: Coverage, demand: Demand, bookmarks: list[Entry], refused: list[Entry]
) -> None:
    """Walks are staffed before the first page of any has come."""
    left = missing(coverage, demand)
    started: list[Walk] = []
    while len(started) < 12:
        active = [ActiveWalk(walk.order, walk.position()) for walk in started]
        in_use = [*refused, *(walk.entry for walk in started)]
        planned = next_walk(left, coverage, bookmarks, active, in_use)
        if planned is None:
            break
        started.append(Walk(planned.entry, planned.gap))

    taken = [walk.entry for walk in started if walk.entry not in (HEAD, TAIL)]

    assert len(taken) == len(set(taken))


def test_a_fresh_history_is_walked_from_both_ends() -> None:
    gap = Gap(BEGINNING, at(9))

    first = next_walk([gap], (), [])
    second = next_walk([gap], (), [], [ActiveWalk("newest", at(9))])
    both = [ActiveWalk("newest", at(9)), ActiveWalk("oldest", BEGINNING)]

    assert first == PlannedWalk(HEAD, gap)
    assert second == PlannedWalk(TAIL, gap)
    assert next_walk([gap], (), [], both) is None


def test_a_walk_that_broke_off_is_taken_up_at_its_edge() -> None:
    below, above = Entry("newest", "b", at(6)), Entry("oldest", "a", at(2))
    coverage = (
        Span(BEGINNING, at(3), at(100), above=above),
        Span(at(6), at(9), at(100), below=below),
    )
    gap = Gap(at(3), at(6))

    assert next_walk([gap], coverage, []) == PlannedWalk(below, gap)
    second = next_walk([gap], coverage, [], [ActiveWalk("newest", at(6))])
    assert second == PlannedWalk(above, gap)


def test_a_tail_walk_that_met_the_end_is_not_repeated_while_the_head_is_slow() -> None:
    """A list of one page: another walk from the tail would show the same page again."""
    now, rows = at(1000), [Listed("a", at(1)), Listed("b", at(2))]
    tail = Walk(TAIL, Gap(BEGINNING, now))
    proven = tail.advance(rows, None, now).proven
    assert proven is not None
    coverage = add((), proven, now)
    left = missing(coverage, backfill(started_at=now, now=now))

    planned = next_walk(left, coverage, [], [ActiveWalk("newest", now)])

    assert planned is None


def test_a_long_gap_under_walk_is_entered_in_its_middle() -> None:
    marks = [Entry("newest", f"m{tick}", at(tick)) for tick in (2, 4, 6)]
    gap = Gap(BEGINNING, at(9))

    assert next_walk([gap], (), marks, [ActiveWalk("newest", at(9))]) == PlannedWalk(marks[1], gap)


def test_a_refused_cursor_is_passed_over() -> None:
    mark = Entry("newest", "m", at(9))
    gap = Gap(BEGINNING, at(9))

    assert next_walk([gap], (), [mark]) == PlannedWalk(mark, gap)
    assert next_walk([gap], (), [mark], refused={mark}) == PlannedWalk(HEAD, gap)


def test_an_old_gap_is_entered_at_the_nearest_bookmark_above() -> None:
    marks = [Entry("newest", f"m{tick}", at(tick)) for tick in (5, 7, 9)]
    gap = Gap(at(2), at(6))
    coverage = (Span(BEGINNING, at(2), at(100)), Span(at(6), at(20), at(100)))

    assert next_walk([gap], coverage, marks) == PlannedWalk(marks[1], gap)


def test_nothing_left_needs_no_walk() -> None:
    assert next_walk([], (), []) is None


def test_the_head_and_the_tail_lie_beyond_every_instant() -> None:
    assert at(10**12) < HEAD.at
    assert TAIL.at == BEGINNING < at(-(10**12)) - timedelta(0)
