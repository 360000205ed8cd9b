"""Retrieving sessions by their ids, many at once."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, TypeVar

from etl.api.client import Fetched
from etl.errors import Denied, Malformed, Stopped
from etl.models import Counts, Page, Progress
from etl.store.batched import batched
from etl.store.store import Batch
from etl.store.write.responses import Response
from etl.sync.run_context import RunContext

SESSIONS_AT_ONCE: Final = 64
"""Sessions retrieved before they are saved."""

Result = TypeVar("Result")


class RetrieveResult(NamedTuple):
    """What a retrieve of one session came to: a response, gone (404), or neither."""

    id: str
    fetched: Fetched[Page] | None
    gone_at: datetime | None
    counts: Counts
    problem: str | None = None

    @property
    def state(self) -> str | None:
        """The state that the session was found in."""
        sessions = self.fetched.content.sessions if self.fetched else ()
        return next((one.state for one in sessions if isinstance(one.state, str)), None)


@dataclass(slots=True)
class RetrieveSummary:
    """What retrieving some sessions has come to, and the states that they were found in."""

    problems: list[str]
    """A sentence for each that could not be read."""
    states: dict[str, str | None] = field(default_factory=dict)


def retrieve_all(context: RunContext, ids: Collection[str]) -> RetrieveSummary:
    """Retrieve sessions by id, many at once, and save what they show. Raises ApiError."""
    run, found, done = context.run, RetrieveSummary([]), 0
    for some in batched(ids, SESSIONS_AT_ONCE):
        tasks = [partial(_retrieve, context, id) for id in some]
        results = run_at_once(context, tasks)
        found.problems += [result.problem for result in results if result.problem]
        found.states |= {result.id: result.state for result in results}
        context.save(_make_batch(results))
        done += len(some)
        context.on_progress(Progress(run.agent_id, "open sessions", done, done / len(ids)))
    return found


def run_at_once(context: RunContext, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """What these requests come to, many at once; the lease is kept meanwhile.

    Raises Stopped on a signal, ApiError for the first that fails, LeaseLost.
    """
    client = context.client
    pool = ThreadPoolExecutor(client.api.concurrency, "request")
    try:
        futures = [pool.submit(task) for task in tasks]
        while wait(futures, timeout=0.5).not_done:
            if client.stopping:
                raise Stopped("asked to stop")
            context.renew_lease()
        return [future.result() for future in futures]
    finally:
        # Not waited for: after a stop, a late response may take its time.
        pool.shutdown(wait=False, cancel_futures=True)


def _retrieve(context: RunContext, id: str) -> RetrieveResult:
    counts, asked_at = Counts(), context.clock()
    try:
        fetched = context.client.fetch_session(id, context.run.agent_id, counts)
        return RetrieveResult(id, fetched, None, counts)
    except Denied as error:
        if error.status == 401:
            raise
        gone_at = asked_at if error.status == 404 else None
        return RetrieveResult(id, None, gone_at, counts, None if gone_at else str(error))
    except Malformed as error:
        return RetrieveResult(id, None, None, counts, str(error))


def _make_batch(results: list[RetrieveResult]) -> Batch:
    batch = Batch()
    for result in results:
        batch.counts.add(result.counts)
        if result.gone_at is not None:
            batch.gone.append((result.id, result.gone_at))
        if result.fetched is not None:
            page, at = result.fetched
            batch.responses.append(Response(page.sessions, page.creators, page.rejected, at))
            batch.retrieved += [(session.id, at) for session in page.sessions]
    return batch
