"""Where the walks under way stand, and which of them a gap can count on. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from etl.models import TICK, Listed, Order
from etl.planning.coverage import Gap
from etl.planning.walks.chain import list_instants
from etl.planning.walks.entries import ActiveWalk
from etl.planning.walks.walk import Walk


class Standing(NamedTuple):
    """Where a walk stood when its last page was noted. Its thread may be further on."""

    position: datetime
    frontier: datetime | None
    proves: bool
    """Whether its rows have shown their order."""
    moved_by_page: int
    """The number of the page, over all walks, that moved the frontier there."""


@dataclass(slots=True)
class Standings:
    """The walks under way, in the order of their start."""

    _known: dict[Walk, Standing] = field(default_factory=dict)
    _tracks: dict[int, Walk] = field(default_factory=dict)
    """By the hash of a next cursor: the walk that was given it first."""
    _superseded: set[Walk] = field(default_factory=set)
    """Walks that another one follows with a better proof: they end with their next page."""

    def __iter__(self) -> Iterator[Walk]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, walk: object) -> bool:
        return walk in self._known

    def start(self, walk: Walk) -> None:
        """A walk is under way."""
        self._known[walk] = Standing(walk.position(), None, False, 0)

    def note(self, walk: Walk, page: int) -> None:
        """A walk has taken the page of this number."""
        old, proves = self._known[walk], walk.proven() is not None
        moved_by = old.moved_by_page if old.frontier == walk.frontier else page
        self._known[walk] = Standing(walk.position(), walk.frontier, proves, moved_by)

    def end(self, walk: Walk) -> None:
        """A walk is over: no other one counts on it."""
        self._known.pop(walk, None)

    def list_active(self, gaps: Sequence[Gap]) -> list[ActiveWalk]:
        """Where walks close gaps: each in its own, and in the one that it passes on its way."""
        return [
            ActiveWalk(walk.entry, at)
            for walk, standing in self._known.items()
            for at in _list_places(walk, standing, gaps)
        ]

    def is_left_to_others(self, target: Gap, gaps: Sequence[Gap]) -> bool:
        """Whether others stand at all that is left of a target."""
        left = [gap for gap in gaps if gap.oldest < target.newest and gap.newest > target.oldest]
        places = [one.at for one in self.list_active(left)]
        return all(any(gap.oldest <= at <= gap.newest for at in places) for gap in left)

    def is_first_at(self, walk: Walk, gap: Gap) -> bool:
        """Whether a walk came first to a gap of one instant: one is enough, from either side."""
        mine = self._known[walk].moved_by_page
        return all(mine <= other.moved_by_page for other in self._list_standings_at(gap))

    def is_short_of_its_target(self, walk: Walk, frontier: datetime, left: Sequence[Gap]) -> bool:
        """Whether a part of the walk's target lies ahead, and no other walk is nearer to it."""
        for gap in left:
            if gap.newest <= walk.target.oldest or gap.oldest >= walk.target.newest:
                continue
            if gap.newest - gap.oldest <= TICK and self._list_standings_at(gap):
                continue
            low, high = (gap.oldest, frontier) if walk.order == "newest" else (frontier, gap.newest)
            if low < high and not any(
                low <= one.position <= high for one in self.list_others_alike(walk)
            ):
                return True
        return False

    def is_faced(self, walk: Walk, gap: Gap) -> bool:
        """Whether another walk stands at the far edge of a gap, on its way towards this one."""
        edge = gap.oldest if walk.order == "newest" else gap.newest
        return any(
            other.order != walk.order and one.proves and one.frontier == edge
            for other, one in self._known.items()
        )

    def is_overtaken(self, walk: Walk, frontier: datetime) -> bool:
        """Whether another walk in its direction stands at the same instant, and can prove it."""
        return any(one.proves and one.frontier == frontier for one in self.list_others_alike(walk))

    def meets_other(self, walk: Walk, frontier: datetime, listed: Sequence[Listed]) -> bool:
        """Whether a walk in its direction stands within its page, and so fetches what follows."""
        instants = [frontier, *list_instants(listed)]
        return any(
            one.frontier is not None
            and min(instants) <= one.frontier <= max(instants)
            and one.proves
            for one in self.list_others_alike(walk)
        )

    def claim_track(self, walk: Walk, left: Sequence[Gap]) -> bool:
        """Claim the walk's cursor. Returns False if the walk must end, as another one follows it.

        Of two, the one that came from above stays, such as one from the list's head: it alone can
        prove the instant that a cursor stands amid.
        """
        if walk in self._superseded:
            return False
        if walk.chain.cursor is None:
            return True
        track = hash((walk.order, walk.chain.cursor))
        first = self._tracks.setdefault(track, walk)
        if first not in self._known:
            self._tracks[track] = first = walk
        if first is walk:
            return True
        proves = walk.proven() is not None
        is_above = walk.starts_without_cursor and not first.starts_without_cursor
        if not proves and not is_above:
            return False
        if proves and self._known[first].proves:
            has_passed = self._known[first].frontier != walk.frontier
            return has_passed and find_gap_at(walk.order, walk.frontier, left) is not None
        self._tracks[track] = walk
        self._superseded.add(first)
        return True

    def _list_standings_at(self, gap: Gap) -> list[Standing]:
        """The walks whose next instant is all that a gap holds."""
        edges = {"newest": gap.newest, "oldest": gap.oldest}
        known = self._known.items()
        return [s for walk, s in known if s.proves and s.frontier == edges[walk.order]]

    def list_others_alike(self, walk: Walk) -> list[Standing]:
        """The other walks in the same direction."""
        others = ((other, at) for other, at in self._known.items() if other is not walk)
        return [standing for other, standing in others if other.order == walk.order]


def find_gap_at(order: Order, frontier: datetime | None, gaps: Sequence[Gap]) -> Gap | None:
    """The gap that holds the next instant of a walk whose proof has reached `frontier`."""
    if frontier is None:
        return None
    if order == "newest":
        return next((gap for gap in gaps if gap.oldest < frontier <= gap.newest), None)
    return next((gap for gap in gaps if gap.oldest <= frontier < gap.newest), None)


def _list_places(walk: Walk, standing: Standing, gaps: Sequence[Gap]) -> list[datetime]:
    frontier, places = standing.frontier, [standing.position]
    if frontier is not None and not standing.proves:
        # It is amid one instant. What it has passed is proven as soon as it leaves that.
        places.append(walk.entrance)
    elif frontier is not None and find_gap_at(walk.order, frontier, gaps):
        places.append(frontier)
    return places
