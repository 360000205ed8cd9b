"""Whole runs in miniature: the loops of etl/sync around the pure rules, without IO and threads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from etl.errors import CursorRefused, CutShort
from etl.models import BEGINNING, Entry, Mode, Span, floor_second
from etl.planning.coverage import Coverage, add, compact, drop_cursors
from etl.planning.demand import Demand, bound_watermark, find_gaps, resume
from etl.planning.walks.density import Density
from etl.planning.walks.entries import HEAD
from etl.planning.walks.gap_tracker import GapTracker
from etl.planning.walks.hints import Hints
from etl.planning.walks.plan import PlannedWalk
from etl.planning.walks.walk import Step
from tests.planning import SECOND, Draws, Feed, Row, Stroll, at
from tests.planning.modes import backfill, incremental, reconcile
from tests.planning.test_coverage import is_tidy

MODES: tuple[Mode, ...] = ("incremental", "backfill", "reconcile")


@dataclass(frozen=True)
class Wish:
    """A demand as it is remembered from run to run."""

    mode: Mode
    since: datetime
    until: datetime | None
    started_at: datetime


@dataclass
class Expedition:
    """Runs on a changing list: walks side by side, saved page by page, killed now and then."""

    draws: Draws
    feed: Feed
    lookback: timedelta = 3 * SECOND
    page_size: int | None = None
    """Rows of a page; None: another number for every page."""
    may_build: bool = True
    calm: bool = False
    """Whether nothing changes, dies or is killed."""
    mortal: bool = False
    """Whether cursors die amid a run, if it isn't calm."""
    delays: bool = True
    """Whether the tracker may learn of a page long after it has arrived."""
    coverage: Coverage = ()
    bookmarks: list[Entry] = field(default_factory=list)
    stored: dict[str, datetime] = field(default_factory=dict)
    """The rows that were saved, and as of when."""
    watermark: datetime | None = None
    wish: Wish | None = None
    """What an interrupted run has left undone."""
    # Of the last run:
    started_at: datetime = BEGINNING
    failure: BaseException | None = None
    strolls: list[Stroll] = field(default_factory=list)
    repeats: dict[Stroll, int] = field(default_factory=dict)
    """Pages of a walk that showed nothing new to the run."""
    _arrived: dict[Stroll, Step] = field(default_factory=dict)
    """Pages that walks have taken in their threads, and that the tracker doesn't know yet."""
    _halted: set[Stroll] = field(default_factory=set)
    """Walks that wait for what another one shows."""
    _waiting: list[tuple[Stroll, Step, list[str]]] = field(default_factory=list)

    def choose(self, modes: Sequence[Mode] = MODES, *, bounded: bool = True) -> Wish:
        """What the next run wants: anything, or what an interrupted run has left undone."""
        now = self.feed.tick()
        if self.wish is not None and self.wish.mode in modes and not self.draws.one_in(3):
            return self.wish
        mode = modes[self.draws.below(len(modes))]
        if mode == "backfill" and bounded and self.draws.one_in(2):
            return Wish(mode, at(self.draws.below(10)), at(self.draws.below(10)), now)
        return Wish(mode, BEGINNING, None, now)

    def run(self, wish: Wish, walkers: int) -> Demand | None:
        """One run. Returns the demand that was met; None if it was killed or has failed."""
        is_new = wish.started_at == self.feed.now
        self.started_at = wish.started_at if is_new else self.feed.tick()
        self.failure, self.strolls = None, []
        self.repeats, self._arrived, self._waiting, self.wish = {}, {}, [], wish
        self._halted = set()
        demand = self._demand(wish)
        marks = list(self.bookmarks)
        hints = Hints(marks, may_build=self.may_build, started_at=self.started_at)
        size = self.page_size or 3
        density = self._density(wish)
        tracker = GapTracker(demand, self.started_at, self.coverage, hints, density, size)
        self._walk_all(tracker, walkers)
        self.coverage = tuple(without_own_ends(span) for span in self.coverage)
        if self.failure is not None or find_gaps(self.coverage, demand):
            return None
        self.wish = None
        return demand

    def _demand(self, wish: Wish) -> Demand:
        now, began = self.started_at, wish.started_at
        newest = self.watermark or max(map(self._at, self.stored), default=None)
        if wish.mode == "reconcile":
            demand = reconcile(started_at=began, now=now)
        elif wish.mode == "incremental":
            demand = incremental(
                started_at=began, now=now, watermark=newest, lookback=self.lookback
            )
        else:
            demand = backfill(
                started_at=began,
                now=now,
                since=wish.since,
                until=wish.until,
                watermark=newest,
                lookback=self.lookback,
                restart=wish.until is not None,
            )
        if began == now and self.watermark is not None:
            return demand
        since = began if self.watermark is not None else BEGINNING
        return resume(demand, self.coverage, now, self.lookback, since)

    def _density(self, wish: Wish) -> Density:
        if wish.mode != "reconcile" or self.draws.one_in(2):
            return Density()
        return Density(sorted(map(self._at, self.stored)))

    def _walk_all(self, tracker: GapTracker, walkers: int) -> None:
        active: list[Stroll] = []
        while self.failure is None:
            for planned in tracker.plan(walkers):
                self._start(tracker, planned, active)
            assert len(tracker.walks) <= max(walkers, len(active))
            if not active:
                break
            if not self.calm:
                self.feed.shake()
                self.feed.era += self.mortal and self.draws.one_in(8)
            moving = [one for one in active if self._may_move(tracker, one)]
            stroll = moving[self.draws.below(len(moving))]
            if not self._advance(tracker, stroll):
                active.remove(stroll)
            if self.calm or self.draws.one_in(2):
                self._save(tracker)
            if not self.calm and self.draws.one_in(12):
                return
        self._save(tracker)
        if tracker.gaps and self.failure is None:
            self.failure = CutShort("no way into the list leads to what is missing")

    def _start(self, tracker: GapTracker, planned: PlannedWalk, active: list[Stroll]) -> None:
        assert_on_the_right_side(planned)
        assert planned.entry not in [one.walk.entry for one in active if one.walk in tracker.walks]
        active.append(Stroll(self.feed, tracker.start(planned)))
        self.strolls.append(active[-1])

    def _advance(self, tracker: GapTracker, stroll: Stroll) -> bool:
        """One page, which the tracker may take later. Whether the walk goes on."""
        goes_on, error = False, None
        try:
            if stroll in self._halted:
                self._halted.remove(stroll)
                goes_on = tracker.keep_or_end(stroll.walk, stroll.listed)
            else:
                step = self._fetch(tracker, stroll)
                if step is None:
                    return True
                self._note_page(stroll, step)
                goes_on = tracker.add_page(stroll.walk, step, stroll.listed)
                if goes_on and stroll.walk.entry == HEAD and stroll.walk.chain.pages == 1:
                    self._halted.add(stroll)
                    return True
            if goes_on and stroll.over:
                goes_on = False
                self._end(tracker, stroll)
        except (CursorRefused, CutShort) as caught:
            error = caught
        if not goes_on:
            self.failure = tracker.finish(stroll.walk, error)
        return goes_on

    def _may_move(self, tracker: GapTracker, stroll: Stroll) -> bool:
        """Whether a walk doesn't wait for what another one shows."""
        if stroll in self._halted:
            return tracker.early_tail is None
        return stroll.page is None or tracker.may_judge(stroll.walk)

    def _fetch(self, tracker: GapTracker, stroll: Stroll) -> Step | None:
        """A page for the tracker; None if it can't be judged yet, or is learned of later."""
        if stroll not in self._arrived:
            size = self.page_size or 1 + self.draws.below(4)
            stroll.fetch(size)
            if not tracker.may_judge(stroll.walk):
                return None
            tracker.prepare_judgement(stroll.walk, stroll.page[0] if stroll.page else ())
            self._arrived[stroll] = stroll.step(size)
            if self.delays and self.draws.one_in(3):
                return None
        return self._arrived.pop(stroll)

    def _end(self, tracker: GapTracker, stroll: Stroll) -> None:
        behind_the_end = not stroll.walk.starts_without_cursor and stroll.walk.end.lowest is None
        if stroll.walk.order == "oldest" or behind_the_end:
            return
        end = stroll.end()
        if end is None:
            raise CutShort("the list ended before its oldest session")
        self._waiting.append((stroll, end, []))
        tracker.add_page(stroll.walk, end, [])

    def _note_page(self, stroll: Stroll, step: Step) -> None:
        ids = [row.id for row in stroll.listed if row.id is not None]
        known = {id for one in self._waiting for id in one[2]}
        known |= {id for id, time in self.stored.items() if time >= self.started_at}
        if ids and known.issuperset(ids):
            self.repeats[stroll] = self.repeats.get(stroll, 0) + 1
        self._waiting.append((stroll, step, ids))

    def _save(self, tracker: GapTracker) -> None:
        """Save what waits, rows and checkpoint together."""
        before = covered(self.coverage)
        for stroll, step, ids in self._waiting:
            for id in ids:
                self.stored[id] = max(stroll.last_at, self.stored.get(id, BEGINNING))
            if step.proven is not None:
                self.coverage = add(self.coverage, step.proven, self.started_at)
            if step.bookmark is not None:
                self.bookmarks.append(step.bookmark)
        self._waiting = []
        self.coverage = drop_cursors(self.coverage, tracker.hints.is_alive)
        if not self.calm:
            self.coverage = compact(self.coverage, tracker.demand.started_at, 6)
        assert is_tidy(self.coverage)
        assert before <= covered(self.coverage)
        assert all(span.newest <= floor_second(self.feed.now) for span in self.coverage)
        self._move_watermark(tracker.demand)

    def _move_watermark(self, demand: Demand) -> None:
        bound = bound_watermark(self.coverage, demand, BEGINNING, self.watermark, self.lookback)
        if bound is None:
            return
        mark = max((self._at(id) for id in self.stored if self._at(id) < bound), default=None)
        assert self.watermark is None or (mark or BEGINNING) >= self.watermark
        self.watermark = mark
        passed = self.watermark or BEGINNING
        assert any(s.oldest == BEGINNING and passed < s.newest for s in joined(self.coverage))
        assert passed <= floor_second(self.feed.now)

    def _at(self, id: str) -> datetime:
        return next(row.at for row in self.feed.rows if row.id == id)

    def unproven(self) -> list[Row]:
        """Rows that the coverage claims and that were not saved since its proof began."""
        return [
            row
            for span in self.coverage
            for row in self.feed.present(span.proven_at or BEGINNING)
            if span.oldest <= row.at < span.newest
            and self.stored.get(row.id, BEGINNING) < (span.proven_at or at(0))
        ]


def without_own_ends(span: Span) -> Span:
    """A span as the database keeps it."""
    below = span.below if span.below and span.below.cursor else None
    above = span.above if span.above and span.above.cursor else None
    return replace(span, below=below, above=above)


def covered(coverage: Coverage) -> set[datetime]:
    """The covered instants among those where rows of the feed's first day lie."""
    grid = [BEGINNING, *(at(second) for second in range(-4, 40))]
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
