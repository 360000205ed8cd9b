"""After the walks of a sync: the open sessions, which the walks may not have passed.

First the short lists of what is processing or queued now, which show old sessions that were
reopened; then, one by one, the stored sessions that were open when last seen.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from etl.api.client import Client, FetchedSession, utc_now
from etl.errors import CutShort, Denied, Malformed, Stopped
from etl.models import Counts, Progress
from etl.planning.freshness import is_due
from etl.store.store import Batch, Response, Run, Store
from etl.store.write import freshness
from etl.sync.parallel_walks import ParallelWalks

__all__ = ["freshen", "retrieve_all"]

LISTED_STATES: Final = ("processing", "queued")
"""Open states that are legal filters and that a session passes through when it is reopened."""

AT_ONCE: Final = 64
"""Sessions retrieved before they are saved."""


class RetrieveResult(NamedTuple):
    """What a retrieve of one session came to: an answer, gone (404), or neither."""

    id: str
    fetched: FetchedSession | None
    gone_at: datetime | None
    counts: Counts
    problem: str | None = None


@dataclass(slots=True)
class RetrieveSummary:
    """What the freshness part of a run has come to."""

    counts: Counts
    problems: list[str]


def freshen(crew: ParallelWalks, idle_recheck: timedelta, now: datetime) -> None:
    """Bring the open sessions of an agent up to date. Raises ApiError, StoreError, CutShort."""
    seen: set[str] = set()
    for state in LISTED_STATES:
        for response, counts in _listed(crew.client, crew.run.agent_id, state):
            seen.update(session.id for session in response.sessions)
            crew.counts.add(crew.store.save(crew.run, Batch([response], counts)).counts)
    with crew.store.reading() as connection:
        stored = freshness.open_sessions(
            connection, crew.run.agent_id, crew.state.coverage, now, idle_recheck
        )
    wanted = [
        one.id
        for one in stored
        if one.id not in seen
        and one.checked_at < crew.run.started_at
        and is_due(one.state, one.changed_at, one.checked_at, now, idle_recheck)
    ]
    found = retrieve_all(crew.client, crew.store, crew.run, wanted, crew.on_progress)
    crew.counts.add(found.counts)
    if found.problems:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        raise Malformed(f"open sessions could not be looked at: {found.problems[0]}{more}")


def retrieve_all(
    client: Client,
    store: Store,
    run: Run,
    ids: Collection[str],
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RetrieveSummary:
    """Retrieve sessions by id, many at once, and save what they show. Raises ApiError."""
    found, done = RetrieveSummary(Counts(), []), 0
    pool = ThreadPoolExecutor(client.api.concurrency, "retrieve")
    try:
        for some in _batches(list(ids), AT_ONCE):
            results = _all_of(pool, client, run.agent_id, some)
            found.problems += [result.problem for result in results if result.problem]
            found.counts.add(store.save(run, _batch(results)).counts)
            done += len(some)
            on_progress(Progress(run.agent_id, "open sessions", done, done / len(ids)))
    finally:
        # Not waited for: after a stop, a late answer may take its time.
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def _all_of(
    pool: ThreadPoolExecutor, client: Client, agent_id: str, ids: list[str]
) -> list[RetrieveResult]:
    """Retrieve these sessions. Raises Stopped on a signal, ApiError for the first that fails."""
    futures = [pool.submit(_retrieve, client, agent_id, id) for id in ids]
    while wait(futures, timeout=0.5).not_done:
        if client.stopping:
            raise Stopped("asked to stop")
    return [future.result() for future in futures]


def _listed(client: Client, agent_id: str, state: str) -> Iterator[tuple[Response, Counts]]:
    """The pages of the list of one state. Raises CutShort where it repeats itself."""
    cursors: set[str] = set()
    cursor: str | None = None
    while True:
        counts = Counts(pages=1)
        page, requested_at = client.fetch_page(
            agent_id, counts, cursor=cursor, filters={"state": state}
        )
        yield Response(page.sessions, page.creators, page.rejected, requested_at), counts
        cursor = page.next_cursor
        if cursor is None:
            return
        if cursor in cursors:
            raise CutShort(f"the list of {state} sessions repeats a cursor")
        cursors.add(cursor)


def _retrieve(client: Client, agent_id: str, id: str) -> RetrieveResult:
    counts, asked_at = Counts(), utc_now()
    try:
        return RetrieveResult(id, client.fetch_session(id, agent_id, counts), None, counts)
    except Denied as error:
        if error.status == 401:
            raise
        gone_at = asked_at if error.status == 404 else None
        return RetrieveResult(id, None, gone_at, counts, None if gone_at else str(error))
    except Malformed as error:
        return RetrieveResult(id, None, None, counts, str(error))


def _batch(results: list[RetrieveResult]) -> Batch:
    batch = Batch()
    for result in results:
        batch.counts.add(result.counts)
        if result.gone_at is not None:
            batch.gone.append((result.id, result.gone_at))
        if result.fetched is not None:
            (session, creator, rejected), requested_at = result.fetched
            lists = ([session] if session else [], [creator] if creator else [])
            bad = [rejected] if rejected else []
            batch.responses.append(Response(*lists, bad, requested_at))
            if session:
                batch.retrieved.append((result.id, requested_at))
    return batch


def _batches(ids: list[str], size: int) -> Iterator[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
