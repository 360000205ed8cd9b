"""A model of the API's list, small enough to search: rows on a grid of seconds, full of ties.

The feed knows when each row came, went and was shown, so a test can ask whether what a walk
claims is true. Its clock moves on by a quarter of a second with everything that happens, and new
rows are dated by the whole second: some are dated before the request that has missed them.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import strategies as st

from etl.errors import CursorRefused
from etl.models import BEGINNING, Entry, Listed, Order, Span, floor_second
from etl.planning.walks.absence import AbsenceCheck
from etl.planning.walks.walk import Step, Walk

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TOCK = timedelta(milliseconds=250)
"""The step of the feed's clock."""
GRID = 10
"""Instants of the first rows: so few that most are shared."""

chance = st.binary(min_size=250, max_size=250)


def at(seconds: int) -> datetime:
    """The instant so many seconds after the start."""
    return START + seconds * SECOND


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
    """The list of one agent: a keyset over `(created_at, id)`, in both orders."""

    draws: Draws
    illegible: bool = False
    """Some rows lack a readable id or instant."""
    gappy: bool = False
    """Some rows count for the length of a page and are not shown: pages come short or empty."""
    ignores_order: bool = False
    """Every list comes newest first."""
    cuts: bool = False
    """Some pages have no next cursor, though there is more."""
    dead: Literal["refused", "first page"] = "refused"
    """What becomes of a cursor that has died."""
    built: Literal["followed", "refused", "first page"] = "followed"
    """What becomes of a cursor that the server never issued."""
    lag: timedelta | None = None
    """New rows are dated by up to so much before they turn up; None: at any instant."""
    rows: list[Row] = field(default_factory=list)
    issued: list[Entry] = field(default_factory=list)
    requests: int = 0
    era: int = 0
    """Cursors of earlier eras are dead."""
    now: datetime = START + 12 * SECOND

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
                self.put(floor_second(self.now + TOCK))
            elif self.lag is not None:
                self.put(self._late())
            elif what == 2:
                self.put(at(-1 - self.draws.below(3)))
            elif what == 3:
                self.put(at(self.draws.below(GRID)))
            elif what == 4 and there:
                self.put(there[self.draws.below(len(there))].at)
            elif what == 5 and self.draws.one_in(4):
                self.put(self.now + (1 + self.draws.below(4)) * TOCK)

    def _late(self) -> datetime:
        """The date of a row that turns up less than `lag` after it, by the second if it can be."""
        assert self.lag is not None
        came = self.now + TOCK
        dated = came - self.draws.below(self.lag // TOCK) * TOCK
        return floor_second(dated) if came - floor_second(dated) < self.lag else dated

    def page(
        self, order: Order, cursor: str | None, size: int
    ) -> tuple[list[Listed], str | None, datetime]:
        """One response: its rows, the cursor after them, and the time of its request.

        Raises CursorRefused.
        """
        requested_at = self.tick()
        self.requests += 1
        order = "newest" if self.ignores_order else order
        rows = self._behind(order, cursor)
        counted, more = rows[:size], rows[size:]
        if more and self.cuts and self.draws.one_in(4):
            more = []
        next_cursor = self._cursor(order, counted[-1]) if more else None
        if more:
            self.issued.append(Entry(order, next_cursor, more[0].at, requested_at))
        shown = [row for row in counted if not row.hidden]
        for row in shown:
            row.shown = requested_at
        return [row.listed() for row in shown], next_cursor, requested_at

    def present(self, since: datetime) -> list[Row]:
        """The rows that were in the list from then on to this day."""
        return [
            row for row in self.rows if row.came <= since and row.went is None and not row.hidden
        ]

    def tick(self) -> datetime:
        self.now += TOCK
        return self.now

    def _behind(self, order: Order, cursor: str | None) -> list[Row]:
        """The rows behind a cursor, in order."""
        rows = sorted((row for row in self.rows if row.went is None), key=lambda row: row.key)
        if order == "newest":
            rows.reverse()
        if cursor is None:
            return rows
        issued = cursor.count(" ") == 3
        decision = self.built if not issued else "followed" if self._is_alive(cursor) else self.dead
        if decision == "refused":
            raise CursorRefused("no")
        if decision == "first page":
            return rows
        if not issued:
            instant = json.loads(base64.b64decode(cursor))["sort_value"]
            return [row for row in rows if row.at < datetime.fromisoformat(instant)]
        return [row for row in rows if _lies_beyond(row, order, cursor)]

    def _cursor(self, order: Order, row: Row) -> str:
        return f"{order} {row.at.isoformat()} {row.number} {self.era}"

    def _is_alive(self, cursor: str) -> bool:
        return int(cursor.split(" ")[3]) == self.era


def _lies_beyond(row: Row, order: Order, cursor: str) -> bool:
    issued_for, instant, number, _ = cursor.split(" ")
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
    page: tuple[list[Listed], str | None, datetime] | None = None
    """A page that was requested and not taken yet."""
    listed: list[Listed] = field(default_factory=list)
    """The rows of the last page."""
    oldest: list[Listed] = field(default_factory=list)
    """What the end check has seen of the list's other end."""
    checks: list[AbsenceCheck] = field(default_factory=list)
    accused: list[tuple[Row, AbsenceCheck]] = field(default_factory=list)

    def fetch(self, size: int) -> None:
        """Request the next page, unless it waits to be taken. Raises CursorRefused."""
        if self.page is None:
            self.page = self.feed.page(self.walk.order, self.walk.chain.cursor, size)

    def step(self, size: int) -> Step:
        """Fetch a page and take it. Raises CursorRefused and CutShort."""
        walk = self.walk
        self.fetch(size)
        assert self.page is not None
        (listed, next_cursor, requested_at), self.page = self.page, None
        self.began_at, self.last_at = self.began_at or requested_at, requested_at
        walk.chain.check(listed, next_cursor)
        self._pass(listed, requested_at)
        step = walk.advance(listed, next_cursor, requested_at)
        self._judge(step.absence)
        self.listed, self.over = listed, next_cursor is None
        return step

    def end(self, size: int = 4) -> Step | None:
        """The end check, after a last page. None where it disagrees, or isn't called for."""
        behind_the_end = not self.walk.starts_without_cursor and self.walk.end.lowest is None
        if self.walk.order == "oldest" or behind_the_end:
            return None
        self.oldest, _, _ = self.feed.page("oldest", None, 1)
        verdict = self.walk.end.judge_row(self.oldest)
        if verdict == "unsure":
            self.oldest, next_cursor, _ = self.feed.page("oldest", None, size)
            verdict = self.walk.end.judge_page(self.oldest, next_cursor)
        if verdict != "holds":
            return None
        step = self.walk.confirm_end()
        self._judge(step.absence)
        return step

    def _pass(self, listed: list[Listed], time: datetime) -> None:
        instants = [row.created_at for row in listed if row.created_at is not None]
        if instants:
            ends = (self.walk.chain.last or instants[0], instants[-1])
            self.passed.append((min(ends), max(ends), time))

    def _judge(self, absence: AbsenceCheck | None) -> None:
        """Note the rows that are suspected, though they were there when pages passed them."""
        if absence is None:
            return
        self.checks.append(absence)
        self.accused += [
            (row, absence)
            for row in self.feed.rows
            if absence.oldest <= row.at < absence.newest
            and row.id not in absence.held
            and absence.certain
            and not row.hidden
            and self._was_there(row, max(absence.requested_at, self.last_at))
        ]

    def _was_there(self, row: Row, until: datetime) -> bool:
        times = [time for low, high, time in self.passed if low <= row.at <= high]
        if not times or self.feed.illegible or self.feed.gappy:
            times.append(self.began_at or until)
        return all(row.alive(time) for time in (*times, until))


def unproven(feed: Feed, spans: Iterable[Span]) -> list[Row]:
    """Rows that a span claims and that no response has shown since its proof began."""
    return [
        row
        for span in spans
        for row in feed.present(span.proven_at or BEGINNING)
        if span.oldest <= row.at < span.newest
        and (row.shown is None or (span.proven_at is not None and row.shown < span.proven_at))
    ]
