"""After the walks of a sync: the open sessions, which the walks may not have passed.

First the lists of what is processing or queued now: they are short, and show old sessions that
were reopened. Then the list of idle ones, as far as it costs fewer requests than retrieving them.
What was open and is in no list any more has changed: where several of those lie on one page of all
sessions, it is read, by a cursor of our own; the others are retrieved by their id.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, TypeVar

from etl.api.client import Client, FetchedSession
from etl.clock import utc_now
from etl.errors import CursorRefused, CutShort, Denied, Malformed, Stopped, Transient
from etl.models import BEGINNING, ENDLESS, Counts, Entry, Progress
from etl.planning.coverage import Gap
from etl.planning.freshness import is_due
from etl.planning.open_sessions import enter_above_several, list_idle_down_to
from etl.planning.walks.hints import build_entry
from etl.planning.walks.plan import HEAD
from etl.planning.walks.walk import Walk
from etl.store.runs.lease import RENEW_EVERY
from etl.store.store import Batch, Response, Run, Store
from etl.store.write import freshness
from etl.store.write.freshness import OpenSession
from etl.sync.one_walk import Arrival, PageSource, follow_walk
from etl.sync.page_batch import make_response
from etl.sync.parallel_walks import ParallelWalks

__all__ = ["freshen", "retrieve_all"]

LISTED_STATES: Final = ("processing", "queued")
"""Open states that are legal filters and that a session passes through when it is reopened."""

MOST_ATTEMPTS: Final = 3
"""Times that a list is read from its head, if it breaks off between its pages."""

AT_ONCE: Final = 64
"""Sessions retrieved before they are saved."""

Result = TypeVar("Result")


class RetrieveResult(NamedTuple):
    """What a retrieve of one session came to: a response, gone (404), or neither."""

    id: str
    fetched: FetchedSession | None
    gone_at: datetime | None
    counts: Counts
    problem: str | None = None

    @property
    def state(self) -> str | None:
        """The state that the session was found in."""
        session = self.fetched.retrieved.session if self.fetched else None
        return session.state if session and isinstance(session.state, str) else None


@dataclass(slots=True)
class RetrieveSummary:
    """What retrieving some sessions has come to, and the states that they were found in."""

    counts: Counts
    problems: list[str]
    """A sentence for each that could not be read."""
    states: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class StateLists:
    """Reads lists of sessions in one state, with the checks that every list gets."""

    walks: ParallelWalks
    """The run, its counts and warnings."""
    known: Sequence[OpenSession]
    """The stored open sessions."""
    listed: set[str] = field(default_factory=set)
    """Sessions that the list of their state has shown."""
    seen: set[str] = field(default_factory=set)
    """Those, and others that a page of all sessions has shown."""
    states: dict[str, str | None] = field(default_factory=dict)
    """The states that pages of all sessions have shown."""
    ignored: bool = False
    """Whether the server ignores the filter."""
    may_be_outage: bool = False
    """Whether an error behind a built cursor may have been an outage's."""
    problem: CutShort | CursorRefused | None = None
    """The first list that broke off."""

    def read_around(self, due: Sequence[OpenSession]) -> None:
        """Save the pages of all sessions that show several of those that are due.

        The cursors are built, so the first page goes alone until one has led where it should.
        """
        hints, client = self.walks.tracker.hints, self.walks.client
        instants = sorted((one.created_at for one in due if one.created_at), reverse=True)
        with self.walks.store.reading() as connection:
            reaches = partial(
                freshness.page_end,
                connection,
                self.walks.run.agent_id,
                page_size=client.api.page_size,
            )
            entries = [build_entry(at) for at in enter_above_several(instants, reaches)]
        while entries and hints.may_build and hints.build_works is not False:
            some = entries[: client.api.concurrency if hints.build_works else 1]
            fetches = [partial(self._fetch_page, entry) for entry in some]
            pages = run_at_once(fetches, client, self.walks.store, self.walks.run)
            for entry, (arrival, wasted) in zip(some, pages, strict=True):
                self.walks.counts.add(wasted)
                if arrival is None:
                    hints.refuse_all_like(entry, may_be_outage=self.may_be_outage)
                else:
                    hints.confirm(entry)
                    self._take(arrival, None)
            entries = entries[len(some) :]

    def _fetch_page(self, entry: Entry) -> tuple[Arrival | None, Counts]:
        """The page behind a built entry, None if the server doesn't follow that; and the waste."""
        arrivals: list[Arrival] = []
        walk, wasted = Walk(entry, Gap(BEGINNING, entry.at)), Counts()

        def keep(arrival: Arrival) -> bool:
            arrivals.append(arrival)
            return False

        source = PageSource(self.walks.client, self.walks.run.agent_id)
        try:
            with suppress(CutShort, CursorRefused, Malformed):
                follow_walk(walk, source, keep, wasted)
        except Transient:
            self.may_be_outage = True
        return (arrivals[0] if arrivals else None), wasted

    def read(
        self, state: str, down_to: datetime = BEGINNING, wanted: Collection[str] | None = None
    ) -> None:
        """Save what the list shows.

        It ends early below an instant, once all `wanted` have been seen, or if it isn't filtered.
        """
        problem: CutShort | CursorRefused | None = None
        for _ in range(0 if self.ignored else MOST_ATTEMPTS):
            walk = Walk(HEAD, Gap(BEGINNING, ENDLESS))
            problem = self._follow(walk, state, down_to, wanted)
            if problem is None or not walk.chain.pages:
                break
        # What it should have shown is retrieved; the run reports the problem.
        self.problem = self.problem or problem

    def _follow(
        self, walk: Walk, state: str, down_to: datetime, wanted: Collection[str] | None
    ) -> CutShort | CursorRefused | None:
        """Walk the list of a state; what it broke off with."""
        client, run = self.walks.client, self.walks.run
        is_known = any(one.state == state for one in self.known)
        source = PageSource(
            client,
            run.agent_id,
            {"state": state},
            checks_end=lambda: state in LISTED_STATES,
            may_be_empty=lambda: not is_known,
        )
        wasted = Counts()

        def hand_over(arrival: Arrival) -> bool:
            if not self._take(arrival, state) or self._is_below(arrival, down_to):
                return False
            return wanted is None or not self.seen.issuperset(wanted)

        try:
            follow_walk(walk, source, hand_over, wasted)
        except (CutShort, CursorRefused) as error:
            return error
        finally:
            self.walks.counts.add(wasted)
        return None

    def check(self, states: Mapping[str, str | None]) -> None:
        """Compare with what was retrieved: who is in a state must have been in its list."""
        found = {**self.states, **states}
        for one in self.known if not self.ignored else ():
            if one.id in self.listed:
                continue
            if one.state in LISTED_STATES and found.get(one.id) == one.state:
                what = f"the list of {one.state} sessions omits some that are {one.state}"
                self.walks.warnings.add(f"{what}; it may omit reopened ones, too")

    def _take(self, arrival: Arrival, state: str | None) -> bool:
        """Save a page of a state's list, or of all. Returns whether the filter holds."""
        batch = Batch(counts=arrival.counts)
        if arrival.fetched is not None:
            response = make_response(arrival)
            batch.responses.append(response._replace(agent_name=None))
            shown = {one.id for one in response.sessions if state in (None, one.state)}
            if state is None:
                self.states |= {one.id: one.state for one in response.sessions if one.state}
            else:
                self.ignored = len(shown) < len(response.sessions)
                self.listed |= shown
            self.seen |= shown
            due = shown.intersection(one.id for one in self.known)
            batch.retrieved = [(id, response.requested_at) for id in sorted(due)]
        self.walks.counts.add(self.walks.store.save(self.walks.run, batch).counts)
        if self.ignored and state is not None:
            self.walks.warnings.add(
                f"the API ignores the filter state={state}: sessions that were reopened are not "
                "noticed, those known as open are"
            )
        return not self.ignored

    def _is_below(self, arrival: Arrival, instant: datetime) -> bool:
        last = arrival.walk.chain.last
        return last is not None and last < instant


def freshen(walks: ParallelWalks, idle_recheck: timedelta, now: datetime) -> None:
    """Bring the open sessions of an agent up to date. Raises ApiError, StoreError, CutShort."""
    known = _open_sessions(walks, idle_recheck, now)
    lists = StateLists(walks, known)
    for state in LISTED_STATES:
        lists.read(state)
    due = _due(walks, known, lists.seen, idle_recheck, now)
    dated = (one.created_at for one in due if one.state == "idle" and one.created_at)
    idle = sorted(dated, reverse=True)
    page_size = walks.client.api.page_size
    with walks.store.reading() as connection:
        stored = freshness.idle_instants(connection, walks.run.agent_id, page_size * len(idle))
    down_to = list_idle_down_to(idle, stored, page_size)
    if down_to is not None:
        wanted = {one.id for one in due if one.state == "idle" and _lies_from(one, down_to)}
        lists.read("idle", down_to, wanted)
    lists.read_around([one for one in due if one.id not in lists.seen])
    ids = [one.id for one in due if one.id not in lists.seen]
    found = retrieve_all(walks.client, walks.store, walks.run, ids, walks.on_progress)
    walks.counts.add(found.counts)
    lists.check(found.states)
    if found.problems:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        raise Malformed(f"open sessions could not be looked at: {found.problems[0]}{more}")
    if lists.problem is not None:
        raise CutShort(f"a list of open sessions: {lists.problem.message}", lists.problem.hint)


def _open_sessions(
    walks: ParallelWalks, idle_recheck: timedelta, now: datetime
) -> list[OpenSession]:
    coverage = walks.batcher.state.coverage
    with walks.store.reading() as connection:
        return freshness.open_sessions(connection, walks.run.agent_id, coverage, now, idle_recheck)


def _lies_from(one: OpenSession, instant: datetime) -> bool:
    return one.created_at is not None and one.created_at >= instant


def _due(
    walks: ParallelWalks,
    known: Sequence[OpenSession],
    seen: Collection[str],
    idle_recheck: timedelta,
    now: datetime,
) -> list[OpenSession]:
    """The open sessions that this run hasn't seen and that it is time to look at."""
    return [
        one
        for one in known
        if one.id not in seen
        and one.checked_at < walks.run.started_at
        and is_due(one.state, one.changed_at, one.checked_at, now, idle_recheck)
    ]


def retrieve_all(
    client: Client,
    store: Store,
    run: Run,
    ids: Collection[str],
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RetrieveSummary:
    """Retrieve sessions by id, many at once, and save what they show. Raises ApiError."""
    found, done = RetrieveSummary(Counts(), []), 0
    for some in _batches(list(ids), AT_ONCE):
        tasks = [partial(_retrieve, client, run.agent_id, id) for id in some]
        results = run_at_once(tasks, client, store, run)
        found.problems += [result.problem for result in results if result.problem]
        found.states |= {result.id: result.state for result in results}
        found.counts.add(store.save(run, _batch(results)).counts)
        done += len(some)
        on_progress(Progress(run.agent_id, "open sessions", done, done / len(ids)))
    return found


def run_at_once(
    tasks: Sequence[Callable[[], Result]], client: Client, store: Store, run: Run
) -> list[Result]:
    """What these requests come to, many at once; the lease is kept meanwhile.

    Raises Stopped on a signal, ApiError for the first that fails, LeaseLost.
    """
    pool = ThreadPoolExecutor(client.api.concurrency, "request")
    try:
        futures = [pool.submit(task) for task in tasks]
        renewed = time.monotonic()
        while wait(futures, timeout=0.5).not_done:
            if client.stopping:
                raise Stopped("asked to stop")
            if time.monotonic() - renewed > RENEW_EVERY:
                store.renew(run.lease)
                renewed = time.monotonic()
        return [future.result() for future in futures]
    finally:
        # Not waited for: after a stop, a late response may take its time.
        pool.shutdown(wait=False, cancel_futures=True)


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
