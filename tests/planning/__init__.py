"""A model of the API's list, small enough to search: rows on a grid that is full of ties.

The feed knows when each row came, went and was shown, so a test can ask whether what a walk
claims is true. Its clock moves on by a tick with everything that happens.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from etl.models import BEGINNING, TICK, Entry, Listed, Order, Span
from etl.planning.walk import AbsenceCheck, Step, Walk, end_holds

START = datetime(2026, 1, 1, tzinfo=UTC)
GRID = 10
"""Instants of the first rows: so few that most are shared."""

chance = st.binary(min_size=250, max_size=250)


def at(ticks: int) -> datetime:
    """The instant so many ticks after the start."""
    return START + ticks * TICK


class Draws:
    """Choices read from hypothesis' bytes: zeros, the plainest choice, once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._left = iter(data)

    def below(self, count: int) -> int:
        return next(self._left, 0) % count

    def one_in(self, count: int) -> bool:
        return self.below(count) == count - 1


@dataclass(eq=False)
class Row:
    """One session: when it is dated, when it came, went and was last shown, and what is legible."""

    number: int
    at: datetime
    came: datetime
    went: datetime | None = None
    shown: datetime | None = None
    bad_id: bool = False
    bad_instant: bool = False
    hidden: bool = False

    @property
    def id(self) -> str:
        return f"s{self.number}"

    @property
    def key(self) -> tuple[datetime, int]:
        return (self.at, self.number)

    def alive(self, time: datetime) -> bool:
        return self.came <= time and (self.went is None or self.went > time)

    def listed(self) -> Listed:
        return Listed(None if self.bad_id else self.id, None if self.bad_instant else self.at)


@dataclass
class Feed:
    """The list of one agent: a keyset over `(created_at, id)`, in both orders.

    `illegible`: some rows lack a readable id or instant. `gappy`: some rows count for the length
    of a page and are not shown, so that pages come short or empty.
    """

    draws: Draws
    illegible: bool = False
    gappy: bool = False
    rows: list[Row] = field(default_factory=list)
    issued: list[Entry] = field(default_factory=list)
    now: datetime = START + timedelta(seconds=1)

    def __post_init__(self) -> None:
        for _ in range(self.draws.below(16)):
            self.put(at(self.draws.below(GRID)))

    def put(self, instant: datetime) -> None:
        """A new row; its number is random, so that ties are put anywhere among their like."""
        number = self.draws.below(100) * 1000 + len(self.rows)
        bad_id = self.illegible and self.draws.one_in(6)
        bad_instant = self.illegible and self.draws.one_in(6)
        row = Row(number, instant, self.tick(), bad_id=bad_id, bad_instant=bad_instant)
        row.hidden = self.gappy and self.draws.one_in(4)
        self.rows.append(row)

    def shake(self) -> None:
        """Perhaps something happens: rows go, and come at the head, the tail and in between."""
        for _ in range(self.draws.below(3)):
            what = self.draws.below(6)
            there = [row for row in self.rows if row.went is None]
            if what == 0 and there:
                there[self.draws.below(len(there))].went = self.tick()
            elif what == 1:
                self.put(self.now)
            elif what == 2:
                self.put(at(-1 - self.draws.below(3)))
            elif what == 3:
                self.put(at(self.draws.below(GRID)))
            elif what == 4 and there:
                self.put(there[self.draws.below(len(there))].at)
            elif what == 5 and self.draws.one_in(4):
                self.put(self.now + (1 + self.draws.below(4)) * TICK)

    def page(
        self, order: Order, cursor: str | None, size: int
    ) -> tuple[list[Listed], str | None, datetime]:
        """One answer: its rows, the cursor after them, and the time of its request."""
        requested_at = self.tick()
        rows = sorted((row for row in self.rows if row.went is None), key=lambda row: row.key)
        if order == "newest":
            rows.reverse()
        if cursor is not None:
            rows = [row for row in rows if _lies_beyond(row, order, cursor)]
        counted, more = rows[:size], rows[size:]
        next_cursor = _cursor(order, counted[-1]) if more else None
        if more:
            self.issued.append(Entry(order, next_cursor, more[0].at))
        shown = [row for row in counted if not row.hidden]
        for row in shown:
            row.shown = requested_at
        return [row.listed() for row in shown], next_cursor, requested_at

    def tail(self) -> list[Listed]:
        """What the end check is told: the oldest row that is shown."""
        rows = [row for row in self.rows if row.went is None and not row.hidden]
        return [row.listed() for row in sorted(rows, key=lambda row: row.key)[:1]]

    def present(self, since: datetime) -> list[Row]:
        """The rows that were in the list from then on to this day."""
        return [
            row for row in self.rows if row.came <= since and row.went is None and not row.hidden
        ]

    def tick(self) -> datetime:
        self.now += TICK
        return self.now


def _cursor(order: Order, row: Row) -> str:
    return f"{order} {row.at.isoformat()} {row.number}"


def _lies_beyond(row: Row, order: Order, cursor: str) -> bool:
    issued_for, instant, number = cursor.split(" ")
    assert issued_for == order, "a cursor is bound to the order that it was issued under"
    key = (datetime.fromisoformat(instant), int(number))
    return row.key < key if order == "newest" else row.key > key


@dataclass(eq=False)
class Stroll:
    """One walk through the feed, and which instants its pages have passed, and when."""

    feed: Feed
    walk: Walk
    passed: list[tuple[datetime, datetime, datetime]] = field(default_factory=list)
    began_at: datetime | None = None
    last_at: datetime = BEGINNING
    over: bool = False
    accused: list[tuple[Row, AbsenceCheck]] = field(default_factory=list)

    def step(self, size: int) -> Step:
        """Fetch a page and take it."""
        walk = self.walk
        listed, next_cursor, requested_at = self.feed.page(walk.order, walk.cursor, size)
        self.began_at, self.last_at = self.began_at or requested_at, requested_at
        walk.check(listed, next_cursor)
        self._pass(listed, requested_at)
        step = walk.advance(listed, next_cursor, requested_at)
        self._judge(step.absence)
        self.over = next_cursor is None
        return step

    def end(self) -> Step | None:
        """The end check, after a last page. None where it disagrees, or isn't called for."""
        if self.walk.order == "oldest" or not end_holds(self.walk, self.feed.tail()):
            return None
        step = self.walk.confirm_end()
        self._judge(step.absence)
        return step

    def _pass(self, listed: list[Listed], time: datetime) -> None:
        instants = [row.created_at for row in listed if row.created_at is not None]
        if instants:
            ends = (self.walk.last or instants[0], instants[-1])
            self.passed.append((min(ends), max(ends), time))

    def _judge(self, absence: AbsenceCheck | None) -> None:
        """Note the rows that are suspected, though they were there when pages passed them."""
        if absence is None:
            return
        self.accused += [
            (row, absence)
            for row in self.feed.rows
            if absence.oldest <= row.at < absence.newest
            and row.id not in absence.held
            and not row.hidden
            and self._was_there(row, max(absence.requested_at, self.last_at))
        ]

    def _was_there(self, row: Row, until: datetime) -> bool:
        times = [time for low, high, time in self.passed if low <= row.at <= high]
        if not times or self.feed.illegible or self.feed.gappy:
            times.append(self.began_at or until)
        return all(row.alive(time) for time in (*times, until))


def unproven(feed: Feed, spans: Iterable[Span]) -> list[Row]:
    """Rows that a span claims and that no answer has shown since its proof began."""
    return [
        row
        for span in spans
        for row in feed.present(span.proven_at or BEGINNING)
        if span.oldest <= row.at < span.newest
        and (row.shown is None or (span.proven_at is not None and row.shown < span.proven_at))
    ]
