"""The walks of one agent side by side, and the one thread that saves what they bring.

Each walk fetches its next page while the page before is saved. What the walks have seen is known
at once, so that they meet; what is saved follows, page by page, rows and checkpoint together.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import NoneType
from typing import Final

from etl.api.client import Client
from etl.errors import CursorRefused, CutShort, Denied, Stopped, StoreError
from etl.models import Counts, Entry, Progress
from etl.planning.coverage import Coverage, add, compact
from etl.planning.demand import Demand, goes_on, missing, share_done, watermark_bound
from etl.planning.plan import HEAD, ActiveWalk, PlannedWalk, next_walk
from etl.planning.seek import built_entries
from etl.planning.walk import Walk
from etl.store.store import Batch, Response, Run, Store
from etl.store.write.agent_state import AgentState
from etl.sync.one_walk import Arrival, follow_walk

__all__ = ["ParallelWalks"]

MOST_PAGES: Final = 32
"""Pages saved in one transaction, where they come faster than commits."""

FEW: Final = 20
"""Up to so many stored sessions may vanish at once; more look like lost access."""

FAST_PAGE: Final = 0.01
"""Seconds. Pages that come faster than this may wait in numbers to be saved together."""

AHEAD_SLOW, AHEAD_FAST = 1, 16
"""Pages of a walk that are not saved yet, the one under way among them: what a crash repeats."""

RENEW_EVERY: Final = 8.0
"""Seconds without a save after which the lease is renewed."""

GRACE: Final = 3.0
"""Seconds that a walk under way gets to end after a stop; a late answer is not waited for."""

MOST_FAILURES: Final = 4
"""Walks that may break off or get nowhere before the run gives up."""


@dataclass(frozen=True, slots=True)
class _WalkEnd:
    """A walk is over; `error` if something was wrong."""

    walk: Walk
    wasted: Counts
    error: BaseException | None = None


@dataclass(slots=True)
class ParallelWalks:
    """Fills the gaps of a demand. `fill` raises what the first failing walk raised."""

    client: Client
    store: Store
    run: Run
    state: AgentState
    demand: Demand
    lookback: timedelta
    walkers: int
    on_progress: Callable[[Progress], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    warnings: set[str] = field(default_factory=set)
    _seen: Coverage = ()
    _active: dict[Walk, threading.Thread] = field(default_factory=dict)
    _refused: set[Entry] = field(default_factory=set)
    _failures: int = 0
    _saving: bool = False
    _renewed: float = field(default_factory=time.monotonic)
    _built: frozenset[Entry] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _room: threading.Condition = field(default_factory=threading.Condition)
    _unsaved: dict[Walk, int] = field(default_factory=dict)
    _asked: dict[Walk, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _last_bookmark: dict[Walk, datetime] = field(default_factory=dict)
    _stored: int = 0
    _oldest: datetime | None = None

    def fill(self) -> None:
        """Walk until the demand is met. Everything that arrived before an error is saved."""
        self._seen = self.state.coverage
        self._stored = self.store.count(self.run.agent_id, FEW + 1)
        arrivals: queue.Queue[Arrival | _WalkEnd] = queue.Queue(maxsize=AHEAD_FAST * self.walkers)
        failure: BaseException | None = None
        try:
            while failure is None and self._staff(arrivals):
                failure = self._take(arrivals)
        except BaseException as error:
            failure = error
        failure = self._dismiss(arrivals, failure)
        if failure is not None:
            raise failure

    def seek(self) -> None:
        """Offer entries that we build, spread over the time since the oldest session.

        They are all given up as soon as one is refused or leads elsewhere.
        """
        counts = Counts()
        oldest = self.client.fetch_page(
            self.run.agent_id, counts, order="oldest", page_size=1
        ).page.listed
        self.counts.add(counts)
        if oldest and oldest[0].created_at is not None:
            now = self.demand.requirements[0].newest
            entries = built_entries(oldest[0].created_at, now, self.walkers)
            self._built = frozenset(entries)
            self.state.bookmarks += entries

    def _staff(self, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> bool:
        """Start walks while there is work for them. False once all is done."""
        while len(self._active) < self.walkers:
            planned = self._plan()
            if planned is None:
                break
            self._start(planned, arrivals)
        if not self._active and missing(self._seen, self.demand):
            raise CutShort("no way into the list leads to what is missing", "try again later")
        return bool(self._active)

    def _plan(self) -> PlannedWalk | None:
        with self._lock:
            left = missing(self._seen, self.demand)
            active = [ActiveWalk(walk.order, walk.position()) for walk in self._active]
            refused = self._refused | {walk.entry for walk in self._active}
            return next_walk(left, self._seen, self.state.bookmarks, active, refused)

    def _start(self, planned: PlannedWalk, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> None:
        walk = Walk(planned.entry, planned.gap)
        thread = threading.Thread(target=self._walk, args=(walk, arrivals), daemon=True)
        self._active[walk] = thread
        self._unsaved[walk], self._asked[walk] = 0, time.monotonic()
        thread.start()

    def _walk(self, walk: Walk, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> None:
        """A walk's thread: its end is always announced."""
        error: BaseException | None = None
        wasted = Counts()
        try:
            follow_walk(
                walk,
                self.client,
                self.run.agent_id,
                lambda arrival: self._arrive(arrival, arrivals),
                self._may_be_empty,
                wasted,
            )
        except BaseException as caught:
            error = caught
        arrivals.put(_WalkEnd(walk, wasted, error))

    def _may_be_empty(self) -> bool:
        """Whether an empty list can be right: not if this run saw sessions, or many are stored."""
        return self._stored <= FEW and not self.counts.seen

    def _arrive(self, arrival: Arrival, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> bool:
        """Take note of a page, queue it for saving, and tell its walk whether to go on."""
        walk = arrival.walk
        if walk.pages == 1 and walk.entry in self._built and walk.starts_above_its_entry:
            raise CutShort("a built cursor leads elsewhere")
        with self._lock:
            if arrival.step.proven is not None:
                self._seen = add(self._seen, arrival.step.proven, self.demand.started_at)
            left = missing(self._seen, self.demand)
        arrivals.put(arrival)
        self._wait_for_room(walk)
        wanted = walk.disordered or goes_on(walk.order, walk.frontier, walk.target, left)
        return wanted and not self._over.is_set()

    def _wait_for_room(self, walk: Walk) -> None:
        """Let saving keep up: a walk runs ahead of it by a page or two, by more if fast."""
        now = time.monotonic()
        is_fast = now - self._asked[walk] < FAST_PAGE
        most = AHEAD_FAST if is_fast else AHEAD_SLOW
        with self._room:
            self._unsaved[walk] += 1
            self._room.wait_for(lambda: self._unsaved[walk] < most or self._over.is_set())
        self._asked[walk] = time.monotonic()

    def _make_room(self, arrivals: list[Arrival]) -> None:
        with self._room:
            for arrival in arrivals:
                self._unsaved[arrival.walk] -= 1
            self._room.notify_all()

    def _take(self, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> BaseException | None:
        """Save what has arrived; returns the error of a walk that failed."""
        try:
            first = arrivals.get(timeout=0.5)
        except queue.Empty:
            return self._idle()
        items = [first]
        while len(items) < MOST_PAGES and not arrivals.empty():
            items.append(arrivals.get())
        try:
            self._save([item for item in items if isinstance(item, Arrival)])
        finally:
            errors = [self._note_end(item) for item in items if isinstance(item, _WalkEnd)]
        return next((error for error in errors if error), None)

    def _idle(self) -> BaseException | None:
        """Nothing has come for a moment: keep the lease; and look whether to stop."""
        if time.monotonic() - self._renewed > RENEW_EVERY:
            self.store.renew(self.run.lease)
            self._renewed = time.monotonic()
        return Stopped("asked to stop") if self.client.stopping else None

    def _save(self, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        batch = self._batch(arrivals)
        self._saving = True
        saved = self.store.save(self.run, batch)
        self._saving = False
        # Only now: what was not saved must not be claimed by the next save.
        assert batch.coverage is not None
        self.state.coverage = batch.coverage
        self._last_bookmark |= {a.walk: a.step.bookmark.at for a in arrivals if a.step.bookmark}
        self._renewed = time.monotonic()
        self._make_room(arrivals)
        self.counts.add(saved.counts)
        self.state.watermark = saved.watermark
        done = share_done(missing(self.state.coverage, self.demand), self._oldest)
        self.on_progress(Progress(self.run.agent_id, "sessions", self.counts.seen, done))

    def _batch(self, arrivals: list[Arrival]) -> Batch:
        """What these pages change, rows and checkpoint."""
        batch, coverage, marks = Batch(), self.state.coverage, dict(self._last_bookmark)
        for arrival in arrivals:
            batch.counts.add(arrival.counts)
            if arrival.fetched is not None:
                self._oldest = min(filter(None, (self._oldest, arrival.walk.lowest)), default=None)
                batch.responses.append(self._answer(arrival))
                batch.last_cursor = arrival.next_cursor or batch.last_cursor
            if arrival.step.proven is not None:
                coverage = add(coverage, arrival.step.proven, self.demand.started_at)
            if arrival.step.absence is not None and self._stored:
                batch.absences.append(arrival.step.absence)
            if arrival.step.undated is not None and self._stored:
                batch.undated = arrival.step.undated
            mark = arrival.step.bookmark
            if mark is not None:
                batch.bookmarks.append((mark, marks.get(arrival.walk)))
                marks[arrival.walk] = mark.at
        batch.coverage = compact(coverage, self.demand.started_at)
        batch.watermark_bound = watermark_bound(
            batch.coverage,
            self.demand,
            self.state.floor,
            self.state.watermark,
            self.lookback,
        )
        return batch

    def _answer(self, arrival: Arrival) -> Response:
        assert arrival.fetched is not None
        page, requested_at = arrival.fetched
        self._warn(arrival)
        name = page.agent_name if arrival.is_head else None
        return Response(page.sessions, page.creators, page.rejected, requested_at, name)

    def _warn(self, arrival: Arrival) -> None:
        assert arrival.fetched is not None
        page, requested_at = arrival.fetched
        if arrival.step.out_of_order:
            self.warnings.add("the list is out of order; only a walk of all of it proves anything")
        if any(row.created_at and row.created_at > requested_at for row in page.listed):
            self.warnings.add("sessions are dated in the future; check this machine's clock")
        if page.rejected:
            self.warnings.add("some records could not be read whole, see rejected_records")

    def _note_end(self, ended: _WalkEnd) -> BaseException | None:
        """Forget a walk that is over. Returns its error, if no other entry may do instead."""
        walk, error = ended.walk, ended.error
        self.counts.add(ended.wasted)
        self._active.pop(walk)
        self._last_bookmark.pop(walk, None)
        self._unsaved.pop(walk, None)
        self._asked.pop(walk, None)
        if error is None and walk.target not in missing(self._seen, self.demand):
            return None
        if walk.entry != HEAD:
            self._refused.add(walk.entry)
        if error is None and walk.order == "oldest":
            return None
        if walk.entry in self._built:
            self._refused |= self._built
            if isinstance(error, CursorRefused | CutShort | Denied | NoneType):
                return None
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            return error or CutShort("the list's walks don't get anywhere", "try again later")
        return None if isinstance(error, CursorRefused | CutShort) else error

    def _dismiss(
        self, arrivals: "queue.Queue[Arrival | _WalkEnd]", failure: BaseException | None
    ) -> BaseException | None:
        """Let walks under way finish their page, and save it; unless saving is what failed."""
        self._over.set()
        with self._room:
            self._room.notify_all()
        give_up = time.monotonic() + GRACE
        while self._active and not (self.client.stopping and time.monotonic() > give_up):
            if self._saving:
                self._forget(arrivals)
                continue
            try:
                failure = self._take(arrivals) or failure
            except StoreError as error:
                failure = error
                self._saving = True
        return failure

    def _forget(self, arrivals: "queue.Queue[Arrival | _WalkEnd]") -> None:
        """Nothing may be saved any more: just wait for the walks to end."""
        try:
            item = arrivals.get(timeout=0.5)
        except queue.Empty:
            return
        if isinstance(item, _WalkEnd):
            self._active.pop(item.walk, None)
