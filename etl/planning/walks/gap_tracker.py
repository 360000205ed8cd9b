"""What a run still has to walk, who walks where, and whether a walk goes on. Pure: no IO, no clock.

Pages count here as soon as they arrive, so that walks meet; they are saved afterwards.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from etl.errors import CursorRefused, CutShort, Malformed, Transient
from etl.models import BEGINNING, ENDLESS, TICK, Listed, floor_second
from etl.planning.coverage import Coverage, Gap, add, withdraw
from etl.planning.demand import Demand, find_gaps
from etl.planning.walks.chain import contradict, list_instants
from etl.planning.walks.density import Density
from etl.planning.walks.entries import HEAD, TAIL, Situation
from etl.planning.walks.hints import Hints
from etl.planning.walks.plan import PlannedWalk, plan_walks
from etl.planning.walks.standings import Standings, find_gap_at
from etl.planning.walks.walk import Step, Walk

MOST_FAILURES: Final = 4
"""Walks in a row that may break off or get nowhere before the run gives up. Hints don't count."""

SINGLE_PAGES: Final = 2
"""Pages of a run that one walk fetches alone: most syncs have no more."""

SHORT_LIST: Final = 4
"""Pages. In a longer list, a walk that gave way on a wrong estimate would be missing for long."""

INNER_WALKS: Final = 1.5
"""Walks that may start in the middle of a gap, per walk allowed; INNER_SHARE may allow more.

Each costs up to a request, and bursts call for many (docs/benchmarks.md).
"""

INNER_SHARE: Final = 0.2
"""As a share of the pages that have arrived: what such walks may cost."""


@dataclass(slots=True)
class GapTracker:
    """The gaps of one demand, and the walks that close them."""

    demand: Demand
    """What the run wants proven."""
    started_at: datetime
    """When the run began: what is proven since then merges."""
    coverage: Coverage
    """What is proven, by earlier runs and by the pages that have arrived."""
    hints: Hints
    """Entries that need a cursor."""
    density: Density
    """Where the rows are, as far as is known."""
    page_size: int
    """Rows of a full page."""
    walks: Standings = field(default_factory=Standings)
    """The walks under way."""
    pages: int = 0
    """How many pages have arrived."""
    ceiling: datetime | None = None
    """The oldest instant that the list, newest first, has shown in order."""
    early_tail: Walk | None = None
    """The walk from the tail that began before the head had shown its order.

    None once it has a page or is over.
    """
    _head_rows: Sequence[Listed] = ()
    """The rows of the list's first page, newest first."""
    _inner_started: int = 0
    """How many walks have entered amid a gap."""
    _tail_is_shut: bool = False
    """Whether a walk from the list's tail has failed in this run."""
    _gains: Counter[Walk] = field(default_factory=Counter)
    """How many pages of each walk under way have proven something."""
    _failures: int = 0
    """Walks in a row that broke off or got nowhere; see MOST_FAILURES."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is left to walk."""
        return find_gaps(self.coverage, self.demand)

    @property
    def _head_second(self) -> datetime:
        """The beginning of the second in which a run that looks at the head began."""
        head = self.demand.newest
        return head if head >= floor_second(self.started_at) else ENDLESS

    @property
    def walk_from_tail(self) -> Walk | None:
        """The walk that is under way from the list's end, if there is one."""
        return next((walk for walk in self.walks if walk.entry == TAIL), None)

    def plan(self, walkers: int) -> list[PlannedWalk]:
        """The walks to start, if so many may be under way."""
        free, gaps = walkers - len(self.walks), self.gaps
        to_the_end = bool(gaps) and gaps[0].oldest == BEGINNING
        # From the end of history a second walk is worth it after one page: it spares the end check.
        single = 1 if to_the_end else SINGLE_PAGES
        # The two ends of a list that was never walked tell where its rows are.
        both_ends = to_the_end and not (self.coverage or self.hints.bookmarks or self.pages)
        if self.pages < single and (self.density.grows or not self.density.stored):
            free = min(free, (2 if both_ends else 1) - len(self.walks))
        if free <= 0 or not gaps:
            return []
        is_open = (both_ends or self.ceiling is not None) and not self._tail_is_shut
        most_inner = int(max(INNER_WALKS * walkers, INNER_SHARE * self.pages))
        now = Situation(
            gaps=gaps,
            coverage=self.coverage,
            active=self.walks.list_active(gaps),
            density=self.density,
            page_size=self.page_size,
            free=free,
            tail_is_open=is_open,
            head_second=floor_second(self.started_at),
            pages=self.pages,
            inner_left=most_inner - self._inner_started,
        )
        return plan_walks(now, self.hints)

    def start(self, planned: PlannedWalk) -> Walk:
        """Begin a walk."""
        walk = Walk(planned.entry, planned.gap, self.ceiling)
        self._inner_started += planned.is_inner
        if walk.entry == TAIL and self.ceiling is None:
            self.early_tail = walk
        self.walks.start(walk)
        return walk

    def may_judge(self, walk: Walk) -> bool:
        """Whether a walk's first page can be judged: the tail's only after the head's."""
        no_head = all(one.entry != HEAD for one in self.walks)
        return walk is not self.early_tail or self.pages > 0 or no_head

    def prepare_judgement(self, walk: Walk, listed: Sequence[Listed]) -> None:
        """Tell the early tail what the head has shown. Raises CursorRefused if they don't agree."""
        if walk is self.early_tail:
            walk.chain.ceiling = self.ceiling
            if self.ceiling is None:
                raise CursorRefused("the list newest first has not shown its order")
            if contradict(self._head_rows, listed):
                raise CursorRefused("the list oldest first has other rows than newest first")

    def keep_or_end(self, walk: Walk, listed: Sequence[Listed]) -> bool:
        """Whether a walk goes on after a page, by all that is known now."""
        goes_on = self._goes_on(walk, self.gaps, listed)
        if not goes_on:
            # Its place is free at once.
            self.walks.end(walk)
        return goes_on

    def add_page(self, walk: Walk, step: Step, listed: Sequence[Listed]) -> bool:
        """Take what a page of a walk has shown. Returns whether the walk goes on."""
        self._forget_early(walk)
        before, self.pages = self.gaps, self.pages + 1
        self.walks.note(walk, self.pages)
        if walk.entry == HEAD and walk.chain.pages == 1:
            self._head_rows = listed
        if step.proven is not None:
            self.coverage = add(self.coverage, step.proven, self.started_at)
        if step.withdrawn is not None:
            self.coverage = withdraw(self.coverage, step.withdrawn)
            self._gains[walk] -= 1
        elif self.gaps != before:
            self._gains[walk] += 1
        if step.bookmark is not None:
            self.hints.add_bookmark(step.bookmark)
        self._learn(walk, listed)
        return self.keep_or_end(walk, listed)

    def finish(self, walk: Walk, error: BaseException | None) -> BaseException | None:
        """Forget a walk that is over. Returns its error if no other way may help."""
        self.walks.end(walk)
        self._forget_early(walk)
        useful = self._gains.pop(walk, 0) > 0
        if useful:
            self._failures = 0
        elif walk.entry.cursor is not None:
            # It brought nothing: another attempt would bring as little.
            self.hints.refuse(walk.entry)
        if self._is_done(walk, error, useful=useful):
            return None
        if _is_refused_hint(walk, error):
            self._take_out_of_use(walk, error)
            return None
        if isinstance(error, CursorRefused):
            self.hints.expire_before(walk.chain.issued_at)
        self._drop_entry(walk)
        if self._is_fatal(walk, error):
            return error
        # A walk that gave way has not failed; one from the head may have nobody to give way to.
        gave_way = error is None and (walk.entry != HEAD or self.walks.list_others_alike(walk))
        if useful or gave_way:
            return None
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return None
        return error or CutShort("no walk through the list gets any further", "try again later")

    def estimate_pages_left(self) -> float:
        """An estimate of the pages that are left; infinite if nobody knows."""
        return (
            sum(self.density.estimate_rows(gap.oldest, gap.newest) for gap in self.gaps)
            / self.page_size
        )

    def share_done(self, seen: int) -> float | None:
        """The share of the rows that have been seen; None: nobody knows how many are left."""
        left = self.estimate_pages_left() * self.page_size
        if math.isinf(left):
            return None
        return seen / (seen + left) if left else 1.0

    def _learn(self, walk: Walk, listed: Sequence[Listed]) -> None:
        instants = list_instants(listed)
        if not instants:
            return
        if walk.chain.pages == 1 and walk.entry.cursor is not None:
            self.hints.confirm(walk.entry)
            idle = sorted((walk.entry.at, instants[0]))
            self.density.pages.add_idle_span(idle[0], idle[1])
        if walk.entry == TAIL and walk.chain.first is not None:
            self.density.pages.oldest = walk.chain.first
        self.density.pages.add_page(min(instants), max(instants), len(instants))
        if walk.order == "newest" and walk.chain.in_order and walk.chain.shows_order:
            lowest = walk.end.lowest or instants[-1]
            self.ceiling = min(self.ceiling or lowest, lowest)

    def _goes_on(self, walk: Walk, left: Sequence[Gap], listed: Sequence[Listed]) -> bool:
        """A walk goes on while it stands at a gap, or is on its way to one, and nobody else is."""
        if not walk.chain.in_order:
            return walk.order == "newest" and walk.starts_without_cursor
        frontier = walk.frontier
        if frontier is not None and self._is_above_head_second(walk):
            return True
        if not left or not self.walks.claim_track(walk, left):
            return False
        if frontier is None:
            return True
        if walk.proven() is None:
            # It began amid rows of one instant: who comes from above has to walk all of them.
            return not self.walks.is_overtaken(walk, frontier)
        gap = find_gap_at(walk.order, frontier, left)
        if gap is None:
            is_short = self.walks.is_short_of_its_target(walk, frontier, left)
            return self._gains[walk] <= 0 and is_short
        if gap.newest - gap.oldest <= TICK:
            return self.walks.is_first_at(walk, gap)
        if self.walks.is_faced(walk, gap) and self._is_last_page(gap):
            return False
        return not self.walks.meets_other(walk, frontier, listed)

    def _is_last_page(self, gap: Gap) -> bool:
        """Whether one request brings the rest of a short list, as far as is known."""
        is_short = self.pages <= SHORT_LIST
        return is_short and self.density.estimate_rows(gap.oldest, gap.newest) <= self.page_size

    def _is_done(self, walk: Walk, error: BaseException | None, *, useful: bool) -> bool:
        """Whether nothing is left of what a walk was for, or others are at it."""
        if error is None:
            return useful or self.walks.is_left_to_others(walk.target, self.gaps)
        # Others may have met the demand while this one tried again.
        is_late = isinstance(error, Transient) and not self.gaps
        return is_late and not self._is_above_head_second(walk)

    def _is_fatal(self, walk: Walk, error: BaseException | None) -> bool:
        """Whether every walk would meet an error, or no other walk would come by there."""
        is_its_own = error is None or isinstance(error, CursorRefused | CutShort)
        return not is_its_own or (error is not None and self._alone_reaches_head_second(walk))

    def _is_above_head_second(self, walk: Walk) -> bool:
        """Whether a walk from the head has not yet passed the second in which the run began.

        Sessions of this second are in no gap, as more of them may come.
        """
        is_head = walk.entry == HEAD and self._head_second != ENDLESS
        return is_head and (walk.frontier is None or walk.frontier > self._head_second)

    def _alone_reaches_head_second(self, walk: Walk) -> bool:
        """Whether no gap is left that would lead another walk through the second of the run."""
        return self._is_above_head_second(walk) and all(
            gap.newest < self._head_second for gap in self.gaps
        )

    def _take_out_of_use(self, walk: Walk, error: BaseException | None) -> None:
        """Use a refused cursor no more, nor others like it."""
        if walk.entry == TAIL:
            # A page that no head has judged may be requested again.
            self._tail_is_shut = walk.chain.ceiling is not None
        else:
            self.hints.refuse_all_like(walk.entry, may_be_outage=isinstance(error, Transient))

    def _forget_early(self, walk: Walk) -> None:
        if walk is self.early_tail:
            self.early_tail = None

    def _drop_entry(self, walk: Walk) -> None:
        if walk.entry == TAIL:
            self._tail_is_shut = True
        elif walk.entry != HEAD:
            self.hints.refuse(walk.entry)


def _is_refused_hint(walk: Walk, error: BaseException | None) -> bool:
    """Whether a walk's cursor failed at once: it costs its request and no more.

    The error may be the server's own: if the cursor isn't the cause, the walk from the list's end
    meets it too.
    """
    refused = isinstance(error, CursorRefused) or (
        walk.entry.cursor is not None and isinstance(error, CutShort | Malformed | Transient)
    )
    return refused and not walk.chain.pages
