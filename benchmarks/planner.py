"""The planner against the optimum, by simulation: `python -m benchmarks.planner`.

Walks fetch pages of a list in memory, a round each, as many side by side as may be in flight. The
optimum is every page once, spread evenly over the rounds.
"""

import random
import statistics
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from etl.errors import CursorRefused, CutShort
from etl.models import BEGINNING, Listed
from etl.planning.demand import Demand, Requirement
from etl.planning.walks.density import Density
from etl.planning.walks.gap_tracker import GapTracker
from etl.planning.walks.hints import Hints, build_entry
from etl.planning.walks.walk import Walk

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = 86_400
PAGE = 100
Draw = Callable[[random.Random, int], list[float]]


def even(rng: random.Random, count: int) -> list[float]:
    return [rng.random() * 300 * DAY for _ in range(count)]


def bursts(rng: random.Random, count: int) -> list[float]:
    places = [rng.random() * 300 * DAY for _ in range(12)]
    return [rng.choice(places) + rng.expovariate(1 / 3600) for _ in range(count)]


def growth(rng: random.Random, count: int) -> list[float]:
    return [300 * DAY * (rng.random() ** 3) for _ in range(count)]


def decline(rng: random.Random, count: int) -> list[float]:
    return [300 * DAY * (1 - rng.random() ** 3) for _ in range(count)]


def office(rng: random.Random, count: int) -> list[float]:
    return [rng.randrange(300) // 7 * 7 * DAY + rng.random() * 5 * DAY for _ in range(count)]


def idle(rng: random.Random, count: int) -> list[float]:
    return [180 * DAY + age for age in even(rng, count)]


def two_eras(rng: random.Random, count: int) -> list[float]:
    return [(rng.random() * 10 + rng.choice((0, 290))) * DAY for _ in range(count)]


def ties(rng: random.Random, count: int) -> list[float]:
    return [rng.randrange(count // 7 + 1) * 3600.0 for _ in range(count)]


def one_instant(rng: random.Random, count: int) -> list[float]:
    return [50.0 * DAY if n < min(count, 5_000) else age for n, age in enumerate(even(rng, count))]


SHAPES: dict[str, Draw] = {
    f.__name__: f
    for f in (even, bursts, growth, decline, office, idle, two_eras, ties, one_instant)
}


@dataclass
class Server:
    """A list in memory; `cursors`: whether it follows those of our own making."""

    instants: list[datetime]
    cursors: str = "followed"
    requests: int = 0

    @classmethod
    def draw(cls, shape: Draw, count: int, seed: int, cursors: str) -> "Server":
        ages = shape(random.Random(seed), count)
        instants = sorted((NOW - timedelta(seconds=int(age) + 60)) for age in ages)
        return cls(instants, cursors)

    def page(self, walk: Walk) -> tuple[list[Listed], str | None]:
        self.requests += 1
        start, size = self._start(walk), len(self.instants)
        if walk.order == "newest":
            rows = range(start, max(-1, start - PAGE), -1)
            after = start - PAGE if start - PAGE >= 0 else None
        else:
            rows = range(start, min(size, start + PAGE))
            after = start + PAGE if start + PAGE < size else None
        listed = [Listed(str(row), self.instants[row]) for row in rows]
        return listed, None if after is None else f"{walk.order}:{after}"

    def _start(self, walk: Walk) -> int:
        cursor = walk.chain.cursor
        if cursor is None:
            return len(self.instants) - 1 if walk.order == "newest" else 0
        if ":" in cursor:
            return int(cursor.partition(":")[2])
        if self.cursors == "refused":
            raise CursorRefused("no")
        if self.cursors == "ignored":
            return len(self.instants) - 1
        return bisect_left(self.instants, walk.entry.at) - 1


@dataclass
class Outcome:
    rounds: int = 0
    requests: int = 0
    pages: int = 0
    wrong: bool = False
    tracker: GapTracker | None = field(default=None, repr=False)


def run(server: Server, walkers: int, knots: int = 0, bookmarks: bool = False) -> Outcome:
    """One backfill, or with `knots` a reconcile, which knows where its rows are."""
    demand = Demand(NOW, (Requirement(BEGINNING, NOW, NOW),))
    step = max(1, len(server.instants) // knots) if knots else 1
    density = Density(server.instants[::step] if knots else (), step)
    tracker = GapTracker(demand, NOW, (), Hints(), density, PAGE)
    if bookmarks:
        marks = range(len(server.instants) - 1 - 5 * PAGE, 0, -5 * PAGE)
        tracker.hints.bookmarks = [
            build_entry(server.instants[at]).__class__(
                "newest", f"newest:{at}", server.instants[at]
            )
            for at in marks
        ]
    out = Outcome(pages=-(-len(server.instants) // PAGE), tracker=tracker)
    active: list[Walk] = []
    while True:
        active += [tracker.start(planned) for planned in tracker.plan(walkers)]
        if not active:
            break
        out.rounds += 1
        for walk in list(active):
            if not step_walk(server, tracker, walk):
                active.remove(walk)
        if out.rounds > 20_000:
            raise AssertionError("the planner doesn't end")
    out.requests, out.wrong = server.requests, bool(tracker.gaps)
    return out


def step_walk(server: Server, tracker: GapTracker, walk: Walk) -> bool:
    """Fetch a page for a walk. Whether it goes on."""
    try:
        listed, cursor = server.page(walk)
        tracker.prepare_judgement(walk, listed)
        walk.chain.check(listed, cursor)
    except (CursorRefused, CutShort) as error:
        if failure := tracker.finish(walk, error):
            raise failure from None
        return False
    step = walk.advance(listed, cursor, NOW + timedelta(seconds=1))
    goes_on = tracker.add_page(walk, step, listed)
    if goes_on and cursor is None and walk.order == "newest":
        server.requests += 1
        tracker.add_page(walk, walk.confirm_end(), [])
        goes_on = False
    if not goes_on or cursor is None:
        if failure := tracker.finish(walk, None):
            raise failure
        return False
    return True


def measure(
    count: int,
    walkers: int,
    seeds: int,
    cursors: str = "followed",
    *,
    knots: int = 0,
    bookmarks: bool = False,
) -> None:
    for name, shape in SHAPES.items():
        runs = [
            run(Server.draw(shape, count, seed, cursors), walkers, knots, bookmarks)
            for seed in range(seeds)
        ]
        ideal = max(1, -(-runs[0].pages // walkers))
        rounds = sorted(one.rounds / ideal for one in runs)
        extra = sorted(one.requests - one.pages for one in runs)
        wrong = sum(one.wrong for one in runs)
        print(
            f"{name:12} rounds {statistics.median(rounds):5.2f} x (max {rounds[-1]:5.2f}),"
            f" requests +{statistics.median(extra):.0f} (max +{extra[-1]})"
            f"{f' WRONG {wrong}' if wrong else ''}"
        )


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for count in (3, 150, 250, 1_000, 8_000, 20_000):
        print(f"-- first backfill of {count}, 8 in flight")
        measure(count, 8, seeds)
    for cursors in ("refused", "ignored"):
        print(f"-- first backfill of 8,000, built cursors {cursors}")
        measure(8_000, 8, seeds, cursors=cursors)
    print("-- reconcile of 20,000, 8 in flight, with bookmarks")
    measure(20_000, 8, seeds, knots=256, bookmarks=True)
    print("-- reconcile of 20,000, 8 in flight, bookmarks dead")
    measure(20_000, 8, seeds, knots=256)
