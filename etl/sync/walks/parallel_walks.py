"""The walks of one agent side by side, and the thread that saves what they bring.

Each walk fetches its next page while the pages before are saved. What the walks have seen counts
at once, so that they meet; what is saved follows, page by page, rows and checkpoint together.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from etl.errors import CutShort, Denied, Stopped
from etl.models import Counts, Page, Progress
from etl.planning.freshness import MOST_MISSING
from etl.planning.walks.chain import list_instants
from etl.planning.walks.gap_tracker import GapTracker
from etl.planning.walks.walk import Walk
from etl.store.read.sessions import sample_ids
from etl.sync.run_context import RunContext
from etl.sync.walks.one_walk import Arrival, PageSource, follow_walk
from etl.sync.walks.page_batch import PageBatcher
from etl.sync.walks.save_queue import SaveQueue

STOP_GRACE: Final = 3.0
"""Seconds that a walk under way gets to end after a stop; a late response is not waited for."""

TAIL_PATIENCE: Final = 1.0
"""Seconds that the walk from the head waits for the list's other end, which may spare it a page."""

POLL_INTERVAL: Final = 0.5
"""Seconds that the saving thread waits for a page before it checks the lease and the stop."""


@dataclass(frozen=True, slots=True)
class WalkEnd:
    """A walk is over, with an error if something was wrong."""

    walk: Walk
    wasted: Counts
    """What its failed requests cost."""
    error: BaseException | None = None


@dataclass(slots=True)
class ParallelWalks:
    """Fills the gaps of a demand. `fill` raises what the first failing walk raised."""

    context: RunContext
    """The run, its counts and warnings."""
    tracker: GapTracker
    """What is left to walk, and who walks where."""
    batcher: PageBatcher
    """Turns pages into what one transaction saves."""
    stored: int
    """How many sessions of the agent are stored, counted up to MOST_MISSING + 1."""
    allow: Callable[[float], int]
    """How many walks may be under way, by the pages that are left."""
    doubtful: set[str] = field(default_factory=set)
    """Suspects that have to be looked at by their id."""
    is_out_of_order: bool = False
    """Whether a page showed the list out of order: then it makes nobody a suspect for certain."""
    _threads: dict[Walk, threading.Thread] = field(default_factory=dict)
    """The walks whose end has not been taken from the queue yet."""
    _queue: "SaveQueue[Arrival | WalkEnd]" = field(default_factory=SaveQueue)
    """From the walks' threads to the one that saves."""
    _lock: threading.Condition = field(default_factory=threading.Condition)
    """Guards the tracker: walks report to it from their threads. Notified when one has."""
    _tail_page: Page | None = None
    """The list's first page oldest first, if it was requested together with the head."""
    _may_save: bool = True
    """False while something that arrived isn't saved: then nothing that came later may be."""

    def fill(self) -> None:
        """Walk until the demand is met. Everything that arrived before an error is saved."""
        failure: BaseException | None = None
        try:
            while failure is None and self._start_walks():
                failure = self._save_arrivals()
            if failure is None and self.tracker.gaps:
                what = "neither an end of the list nor a cursor leads to the missing sessions"
                failure = CutShort(what, "try again later")
        except BaseException as error:
            failure = error
        failure = self._end_walks(failure)
        if failure is not None:
            raise failure

    def _start_walks(self) -> bool:
        """Start walks where they are worth it. Returns whether any is under way."""
        with self._lock:
            most = self.allow(self.tracker.estimate_pages_left())
            if self.context.client.is_saturated:
                # Another walk would only make the others wait longer for their turn.
                most = min(most, max(1, len(self.tracker.walks)))
            planned = self.tracker.plan(most)
            walks = [self.tracker.start(one) for one in planned]
        for walk in walks:
            thread = threading.Thread(target=self._walk, args=(walk,), daemon=True)
            # One that can't be started never announces its end.
            thread.start()
            self._threads[walk] = thread
        return bool(self._threads)

    def _walk(self, walk: Walk) -> None:
        """A walk's thread: its end is always announced."""
        error: BaseException | None = None
        source = PageSource(
            self.context.client,
            self.context.run.agent_id,
            must_confirm_end=self._must_confirm_end,
            wait_for_head=self._wait_for_head,
            get_tail_page=lambda: self._tail_page,
            may_be_empty=self._may_be_empty,
        )
        try:
            follow_walk(walk, source, self._arrive)
        except BaseException as caught:
            error = caught
        self._queue.put(WalkEnd(walk, source.take_cost(), error))

    def _may_be_empty(self, counts: Counts) -> bool:
        """Whether an empty list can be right: not if this run saw sessions, or many are stored.

        Of a few, one is looked at by its id.
        """
        if self.stored > MOST_MISSING or self.context.counts.seen:
            return False
        client, agent_id = self.context.client, self.context.run.agent_id
        with self.context.store.connect() as connection:
            _, ids = sample_ids(connection, agent_id, 1)
        if not ids:
            return True
        try:
            client.fetch_session(ids[0], agent_id, counts)
        except Denied as error:
            return error.status == HTTPStatus.NOT_FOUND
        return False

    def _must_confirm_end(self) -> bool:
        """Whether the end has to be confirmed, once a walk that comes from there has told."""
        with self._lock:
            tail = self.tracker.walk_from_tail

            def has_told() -> bool:
                return tail not in self.tracker.walks or not self.tracker.gaps

            self._wait_for(has_told)
            return bool(self.tracker.gaps)

    def _wait_for_head(self, walk: Walk, page: Page) -> None:
        """Let the page of the list's tail wait for that of its head. Raises CursorRefused."""
        with self._lock:
            if walk is self.tracker.early_tail:
                self._tail_page = page
            self._wait_for(lambda: self.tracker.may_judge(walk))
            self.tracker.prepare_judgement(walk, page.listed)

    def _wait_for(self, has_told: Callable[[], bool]) -> None:
        """Wait, with the lock held, for what other walks tell; no longer than the run lasts."""
        while not (self._lock.wait_for(has_told, POLL_INTERVAL) or self._queue.closed.is_set()):
            pass

    def _arrive(self, arrival: Arrival) -> bool:
        """Note a page and queue it for saving. Returns whether its walk goes on."""
        listed = arrival.fetched.content.listed if arrival.fetched else ()
        with self._lock:
            goes_on = self.tracker.add_page(arrival.walk, arrival.step, listed)
            self._lock.notify_all()
        self._queue.put(arrival)
        self._queue.wait_for_room(arrival.walk)
        if goes_on and arrival.is_head:
            with self._lock:
                self._lock.wait_for(lambda: self.tracker.early_tail is None, TAIL_PATIENCE)
                goes_on = self.tracker.keep_or_end(arrival.walk, listed)
        return goes_on and not self._queue.closed.is_set()

    def _save_arrivals(self) -> BaseException | None:
        """Save what has arrived; returns the error of a walk that failed."""
        items = self._queue.get(POLL_INTERVAL)
        if not items:
            return self._on_idle()
        self._may_save = False
        # Walks that these pages call for start before the save, which takes its time.
        errors = [self._note_end(item) for item in items if isinstance(item, WalkEnd)]
        failure = next((error for error in errors if error), None)
        if failure is None and not self._queue.closed.is_set():
            self._start_walks()
        self._save([item for item in items if isinstance(item, Arrival)])
        self._may_save = True
        for item in items:
            if isinstance(item, WalkEnd):
                self._queue.forget(item.walk)
        return failure

    def _on_idle(self) -> BaseException | None:
        """Nothing has come for a moment: extend the lease, and check whether to stop."""
        self.context.renew_lease()
        return Stopped("asked to stop") if self.context.client.stopping else None

    def _save(self, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        context = self.context
        for arrival in arrivals:
            self._warn(arrival)
        with self._lock:
            batch = self.batcher.make(arrivals)
        saved = context.save(batch)
        self.batcher.note_saved(arrivals, batch)
        self._queue.note_saved(arrival.walk for arrival in arrivals)
        self.doubtful |= saved.doubtful
        context.state.watermark = saved.watermark
        seen = context.counts.seen
        with self._lock:
            done = self.tracker.share_done(seen)
        context.on_progress(Progress(context.run.agent_id, "sessions", seen, done))

    def _warn(self, arrival: Arrival) -> None:
        if arrival.fetched is None:
            return
        page, now, warnings = arrival.fetched.content, self.context.clock(), self.context.warnings
        if arrival.step.out_of_order:
            self.is_out_of_order = True
            warnings.add("the list is out of order; only a walk of all of it proves anything")
        # A session may begin between the request and its answer.
        if max(list_instants(page.listed), default=now) > now:
            warnings.add("sessions are dated in the future; check this machine's clock")
        if page.rejected:
            warnings.add("some records could not be read whole, see rejected_records")

    def _note_end(self, ended: WalkEnd) -> BaseException | None:
        """Forget a walk that is over. Returns its error, if no other way may do instead."""
        self.context.counts.add(ended.wasted)
        self._threads.pop(ended.walk, None)
        with self._lock:
            error = self.tracker.finish(ended.walk, ended.error)
            self._lock.notify_all()
        return error

    def _end_walks(self, failure: BaseException | None) -> BaseException | None:
        """Let walks under way finish their page, and save it; unless saving is what failed.

        Returns the first failure of all.
        """
        self._queue.close()
        give_up = time.monotonic() + STOP_GRACE
        while self._threads and not (self.context.client.stopping and time.monotonic() > give_up):
            if not self._may_save:
                self._discard_arrivals()
                continue
            try:
                error = self._save_arrivals()
            except Exception as caught:
                error, self._may_save = caught, False
            failure = failure or error
        return failure

    def _discard_arrivals(self) -> None:
        """Nothing may be saved any more: just wait for the walks to end."""
        for item in self._queue.get(POLL_INTERVAL):
            if isinstance(item, WalkEnd):
                self._threads.pop(item.walk, None)
