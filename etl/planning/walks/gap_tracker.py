"""What a run still has to walk, who walks where, and whether a walk goes on. Pure: no IO, no clock.

Pages count here as soon as they arrive, so that walks meet; they are saved afterwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from etl.errors import CursorRefused, CutShort, Malformed, Transient
from etl.models import BEGINNING, ENDLESS, TICK, Listed, floor_second
from etl.planning.coverage import Coverage, Gap, add
from etl.planning.demand import Demand, missing
from etl.planning.walks.chain import dated
from etl.planning.walks.density import Density
from etl.planning.walks.hints import Hints
from etl.planning.walks.plan import HEAD, TAIL, ActiveWalk, PlannedWalk, Situation, plan_walks
from etl.planning.walks.walk import Step, Walk

__all__ = ["GapTracker"]

MOST_FAILURES: Final = 4
"""Walks in a row that may break off or get nowhere before the run gives up. Hints don't count."""

SINGLE_PAGES: Final = 2
"""Pages of a run that one walk fetches alone: most syncs have no more."""


class Standing(NamedTuple):
    """Where a walk stood when the tracker took its last page. Its thread may be further on."""

    position: datetime
    frontier: datetime | None
    proves: bool
    """Whether its rows have shown their order."""
    arrived: int
    """The number of the page, over all walks, that moved the frontier there."""


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
    walks: dict[Walk, Standing] = field(default_factory=dict)
    """The walks under way, in the order of their start, and where each stands."""
    pages: int = 0
    """How many pages have arrived."""
    ceiling: datetime | None = None
    """The oldest instant that the list, newest first, has shown in order."""
    _tail_is_shut: bool = False
    """Whether a walk from the list's tail has failed in this run."""
    _useful: set[Walk] = field(default_factory=set)
    """Walks under way that have proven something."""
    _failures: int = 0
    """Walks in a row that broke off or got nowhere; see MOST_FAILURES."""
    _tracks: dict[int, Walk] = field(default_factory=dict)
    """By the hash of a next cursor: the walk that was given it first."""
    _superseded: set[Walk] = field(default_factory=set)
    """Walks that another one follows with a better proof: they end with their next page."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is left to walk."""
        return missing(self.coverage, self.demand)

    @property
    def _second(self) -> datetime:
        """The beginning of the second in which a run that looks at the head began."""
        head = max((need.newest for need in self.demand.requirements), default=BEGINNING)
        return head if head >= floor_second(self.started_at) else ENDLESS

    @property
    def walk_from_tail(self) -> Walk | None:
        """The walk that is under way from the list's end, if there is one."""
        return next((walk for walk in self.walks if walk.entry == TAIL), None)

    def plan(self, walkers: int) -> list[PlannedWalk]:
        """The walks to start, if so many may be under way."""
        free, gaps = walkers - len(self.walks), self.gaps
        # A walk from the list's end is worth it sooner: it spares the check of that end.
        single = 1 if gaps and gaps[0].oldest == BEGINNING else SINGLE_PAGES
        if self.pages < single and not self.density.stored:
            free = min(free, 1 - len(self.walks))
        if free <= 0 or not gaps:
            return []
        active = [
            ActiveWalk(one.entry, at)
            for one, standing in self.walks.items()
            for at in self._places(one, standing, gaps)
        ]
        is_open = self.ceiling is not None and not self._tail_is_shut
        now = Situation(
            gaps,
            self.coverage,
            active,
            self.density,
            self.page_size,
            free,
            is_open,
            floor_second(self.started_at),
            self.pages,
        )
        return plan_walks(now, self.hints)

    def start(self, planned: PlannedWalk) -> Walk:
        """Begin a walk."""
        walk = Walk(planned.entry, planned.gap, self.ceiling)
        self.walks[walk] = Standing(walk.position(), None, False, 0)
        return walk

    def take(self, walk: Walk, step: Step, listed: Sequence[Listed]) -> bool:
        """Take what a page of a walk has shown. Returns whether the walk goes on."""
        before, self.pages = self.gaps, self.pages + 1
        old = self.walks[walk]
        arrived = old.arrived if old.frontier == walk.frontier else self.pages
        proves = walk.proven() is not None
        self.walks[walk] = Standing(walk.position(), walk.frontier, proves, arrived)
        if step.proven is not None:
            self.coverage = add(self.coverage, step.proven, self.started_at)
        left = self.gaps
        if left != before:
            self._useful.add(walk)
        if step.bookmark is not None:
            self.hints.keep(step.bookmark)
        self._learn(walk, listed)
        goes_on = self._goes_on(walk, left, listed)
        if not goes_on:
            # Its place is free at once, and no other walk counts on it.
            self.walks.pop(walk, None)
        return goes_on

    def finish(self, walk: Walk, error: BaseException | None) -> BaseException | None:
        """Forget a walk that is over. Returns its error if no other way may help."""
        self.walks.pop(walk, None)
        useful = walk in self._useful
        self._useful.discard(walk)
        if useful:
            self._failures = 0
        if not useful and walk.entry.cursor is not None:
            # It brought nothing: another attempt would bring as little.
            self.hints.refuse(walk.entry)
        if error is None and (useful or self._is_attended(walk)):
            return None
        if self._is_hint_refused(walk, error):
            return None
        if isinstance(error, CursorRefused):
            self.hints.bury(walk.chain.issued_at)
        self._drop_entry(walk)
        if error is not None and not isinstance(error, CursorRefused | CutShort):
            return error
        if error is not None and self._is_alone_above(walk):
            return error
        if useful or (error is None and (walk.entry != HEAD or self._rivals(walk))):
            return None
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return None
        return error or CutShort("no walk through the list gets any further", "try again later")

    def pages_left(self) -> float:
        """An estimate of the pages that are left; infinite if nobody knows."""
        return sum(self.density.rows(gap.oldest, gap.newest) for gap in self.gaps) / self.page_size

    def share_done(self, seen: int) -> float | None:
        """The share of the rows that have been seen; None: nobody knows how many are left."""
        left = self.pages_left() * self.page_size
        if math.isinf(left):
            return None
        return seen / (seen + left) if left else 1.0

    def _learn(self, walk: Walk, listed: Sequence[Listed]) -> None:
        instants = dated(listed)
        if not instants:
            return
        if walk.chain.pages == 1 and walk.entry.cursor is not None:
            self.hints.confirm(walk.entry)
            idle = sorted((walk.entry.at, instants[0]))
            self.density.take_idle(idle[0], idle[1])
        if walk.entry == TAIL and walk.chain.first is not None:
            self.density.oldest = walk.chain.first
        self.density.take(min(instants), max(instants), len(instants))
        if walk.order == "newest" and walk.chain.in_order and walk.chain.shows_order:
            lowest = walk.end.lowest or instants[-1]
            self.ceiling = min(self.ceiling or lowest, lowest)

    def _goes_on(self, walk: Walk, left: Sequence[Gap], listed: Sequence[Listed]) -> bool:
        """A walk goes on while it stands at a gap, or is on its way to one, and nobody else is."""
        if not walk.chain.in_order:
            return walk.order == "newest" and walk.is_unbroken
        frontier = walk.frontier
        if frontier is not None and self._is_above(walk):
            return True
        if not left or self._is_on_anothers_track(walk, left):
            return False
        if frontier is None or walk.proven() is None:
            return True
        gap = self._gap_at(walk, frontier, left)
        if gap is None:
            return walk not in self._useful and self._is_short(walk, frontier, left)
        if gap.newest - gap.oldest <= TICK:
            # Rows of one instant: a second walk, also from the other side, would fetch the same.
            mine = self.walks[walk].arrived
            return all(mine <= other.arrived for other in self._standings_at(gap))
        # A rival that stands amid this page has already requested what comes next.
        edges = sorted(
            (frontier, min(dated(listed), default=frontier), max(dated(listed), default=frontier))
        )
        return not any(
            one.frontier is not None and edges[0] <= one.frontier <= edges[-1] and one.proves
            for one in self._rivals(walk)
        )

    def _is_above(self, walk: Walk) -> bool:
        """Whether a walk from the head has not yet passed the second in which the run began.

        Sessions of this second are in no gap, as more of them may come.
        """
        is_head = walk.entry == HEAD and self._second != ENDLESS
        return is_head and (walk.frontier is None or walk.frontier > self._second)

    def _is_alone_above(self, walk: Walk) -> bool:
        """Whether no gap is left that would lead another walk through the second of the run."""
        return self._is_above(walk) and all(gap.newest < self._second for gap in self.gaps)

    def _is_on_anothers_track(self, walk: Walk, left: Sequence[Gap]) -> bool:
        """Whether a walk follows the same cursors as another one; of two, one ends.

        Only the one that came from above can prove the instant that a cursor stands amid.
        """
        if walk in self._superseded or walk.chain.cursor is None:
            return walk in self._superseded
        track = hash((walk.order, walk.chain.cursor))
        first = self._tracks.setdefault(track, walk)
        if first is walk or first not in self.walks:
            return False
        if walk.proven() is None:
            return True
        if self.walks[first].proves:
            assert walk.frontier is not None
            passed = self.walks[first].frontier != walk.frontier
            return not (passed and self._gap_at(walk, walk.frontier, left))
        self._tracks[track] = walk
        self._superseded.add(first)
        return False

    def _places(self, walk: Walk, standing: Standing, left: Sequence[Gap]) -> list[datetime]:
        """Where a walk closes gaps: in its own, and in the one that it passes on its way there."""
        frontier, places = standing.frontier, [standing.position]
        if frontier is not None and standing.proves and self._gap_at(walk, frontier, left):
            places.append(frontier)
        return places

    def _gap_at(self, walk: Walk, frontier: datetime, left: Sequence[Gap]) -> Gap | None:
        """The gap that holds the next instant of a walk."""
        if walk.order == "newest":
            return next((gap for gap in left if gap.oldest < frontier <= gap.newest), None)
        return next((gap for gap in left if gap.oldest <= frontier < gap.newest), None)

    def _is_short(self, walk: Walk, frontier: datetime, left: Sequence[Gap]) -> bool:
        """Whether a part of the walk's gap lies ahead, and no other walk is nearer to it."""
        for gap in left:
            if gap.newest <= walk.target.oldest or gap.oldest >= walk.target.newest:
                continue
            if gap.newest - gap.oldest <= TICK and self._standings_at(gap):
                continue
            low, high = (gap.oldest, frontier) if walk.order == "newest" else (frontier, gap.newest)
            if low < high and not any(low <= one.position <= high for one in self._rivals(walk)):
                return True
        return False

    def _standings_at(self, gap: Gap) -> list[Standing]:
        """The walks whose next instant is all that a gap holds."""
        edges = {"newest": gap.newest, "oldest": gap.oldest}
        known = self.walks.items()
        return [s for walk, s in known if s.proves and s.frontier == edges[walk.order]]

    def _rivals(self, walk: Walk) -> list[Standing]:
        others = ((other, at) for other, at in self.walks.items() if other is not walk)
        return [standing for other, standing in others if other.order == walk.order]

    def _is_attended(self, walk: Walk) -> bool:
        """Whether nothing is left of a walk's gap, or another walk is in it."""
        left = [gap for gap in self.gaps if gap.oldest < walk.target.newest]
        left = [gap for gap in left if gap.newest > walk.target.oldest]
        known = self.walks.items()
        places = [at for other, standing in known for at in self._places(other, standing, left)]
        return all(any(gap.oldest <= at <= gap.newest for at in places) for gap in left)

    def _is_hint_refused(self, walk: Walk, error: BaseException | None) -> bool:
        """Whether a cursor has failed at once, which costs its request and no more.

        Also by an error that is the server's own: if the cursor isn't the cause, the walk from the
        list's end meets it too.
        """
        refused = isinstance(error, CursorRefused) or (
            walk.entry.cursor is not None and isinstance(error, CutShort | Malformed | Transient)
        )
        if walk.chain.pages or not refused or walk.entry == HEAD:
            return False
        if walk.entry == TAIL:
            self._tail_is_shut = True
        else:
            self.hints.refuse_all_like(walk.entry)
        return True

    def _drop_entry(self, walk: Walk) -> None:
        if walk.entry == TAIL:
            self._tail_is_shut = True
        elif walk.entry != HEAD:
            self.hints.refuse(walk.entry)
