"""After a run that succeeded: the transcripts of sessions that are new or have changed.

Several are retrieved at once and each is saved as it comes, so that memory holds no more than those
under way, and a crash costs no more either.
"""

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.api.client import Fetched
from etl.errors import ApiError, Malformed, Stopped, Transient
from etl.models import Counts, Message, Progress, Transcripts
from etl.planning.transcripts import count_troubles, is_of_us, retry_at, should_give_up
from etl.store.write.transcripts import Due, note_failure, save_transcript, select_due
from etl.sync.run_context import RunContext

TranscriptResult = tuple[Fetched[list[Message]] | ApiError, int]
"""What a retrieve came to, and the requests that it took."""


@dataclass(slots=True)
class TranscriptSync:
    """Retrieves what is due of one agent; `done` tells how far it came, also after an error."""

    context: RunContext
    """The run that has succeeded."""
    done: Transcripts = field(default_factory=Transcripts)
    _chosen: int = 0
    _taken: int = 0
    _troubles: int = 0

    def run(self, most: int, within: timedelta) -> None:
        """Retrieve up to so many, starting none once that time is over.

        Raises StoreError or LeaseLost, and Stopped on a signal. What the API fails at is noted: the
        next run goes on.
        """
        context, id = self.context, self.context.run.agent_id
        with context.store.connect() as connection:
            chosen, self.done.left = select_due(connection, id, most, context.clock())
        self.done.left += len(chosen)
        if not chosen:
            return
        pool = ThreadPoolExecutor(context.client.api.concurrency, "transcript")
        self._chosen = len(chosen)
        try:
            self._retrieve_all(pool, deque(chosen), time.monotonic() + within.total_seconds())
        finally:
            # After a stop, a late response may take its time.
            pool.shutdown(wait=not context.client.stopping, cancel_futures=True)

    def _retrieve_all(self, pool: ThreadPoolExecutor, waiting: deque[Due], until: float) -> None:
        under_way: dict[Future[TranscriptResult], Due] = {}
        while under_way or waiting:
            if self.done.error or time.monotonic() > until:
                waiting.clear()
            while waiting and len(under_way) < self.context.client.api.concurrency:
                due = waiting.popleft()
                under_way[pool.submit(self._retrieve, due)] = due
            for future in wait(under_way, 0.5, FIRST_COMPLETED).done:
                self._save_result(under_way.pop(future), *future.result())
            if self.context.client.stopping:
                raise Stopped("asked to stop while retrieving transcripts")
            self.context.renew_lease()

    def _retrieve(self, due: Due) -> TranscriptResult:
        """In a thread of the pool. Raises Stopped."""
        counts = Counts()
        try:
            return self.context.client.fetch_transcript(due.session_id, counts), counts.requests
        except ApiError as error:
            return error, counts.requests

    def _save_result(
        self, due: Due, response: Fetched[list[Message]] | ApiError, requests: int
    ) -> None:
        """Save a response, or note the failure."""
        self.done.requests += requests
        failed = response if isinstance(response, ApiError) else None
        # What the database refuses is no trouble of the API's.
        self._troubles = count_troubles(self._troubles, failed)
        error = self._save(due, *response) if isinstance(response, Fetched) else failed
        if error is not None:
            self._fail(due, error)
        self._taken += 1
        id, share = self.context.run.agent_id, self._taken / self._chosen
        self.context.on_progress(Progress(id, "transcripts", self._taken, share))

    def _save(self, due: Due, messages: list[Message], requested_at: datetime) -> ApiError | None:
        try:
            changed = save_transcript(
                self.context.store, self.context.run.lease, due, messages, requested_at
            )
        except Malformed as error:
            return error
        self.done.fetched += 1
        self.done.changed += changed
        self.done.left -= 1
        return None

    def _fail(self, due: Due, error: ApiError) -> None:
        if should_give_up(self._troubles, error):
            self.done.error, self.done.cause = str(error), error
        if is_of_us(error):
            return
        self.done.failed += 1
        self.done.left -= not isinstance(error, Transient)
        store, lease, now = self.context.store, self.context.run.lease, self.context.clock()
        note_failure(store, lease, due, str(error), retry_at(error, now))
