"""The lists of an agent's sessions in one state, and pages amid the list of all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from etl.errors import CursorRefused, CutShort, Malformed, Transient
from etl.models import BEGINNING, ENDLESS, Counts, Entry
from etl.planning.coverage import Gap
from etl.planning.open_sessions import enter_above_several
from etl.planning.walks.entries import HEAD
from etl.planning.walks.hints import Hints, build_entry
from etl.planning.walks.walk import Walk
from etl.store.read.open_sessions import OpenSession, page_end
from etl.store.store import Batch
from etl.sync.retrieve import run_at_once
from etl.sync.run_context import RunContext
from etl.sync.walks.one_walk import Arrival, PageSource, fetch_step, follow_walk
from etl.sync.walks.page_batch import make_response

LISTED_STATES: Final = ("processing", "queued")
"""Open states that are legal filters and that a session passes through when it is reopened."""

MOST_ATTEMPTS: Final = 3
"""Times that a list is read from its head, if it breaks off between its pages."""


@dataclass(slots=True)
class StateLists:
    """Reads lists of sessions in one state, with the checks that every list gets."""

    context: RunContext
    """The run, its counts and warnings."""
    hints: Hints
    """Whether cursors that we build are followed."""
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
        hints, client = self.hints, self.context.client
        instants = sorted((one.created_at for one in due if one.created_at), reverse=True)
        with self.context.store.connect() as connection:
            reaches = partial(
                page_end,
                connection,
                self.context.run.agent_id,
                page_size=client.api.page_size,
            )
            entries = [build_entry(at) for at in enter_above_several(instants, reaches)]
        while entries and hints.may_build and hints.built_works is not False:
            some = entries[: client.api.concurrency if hints.built_works else 1]
            fetches = [partial(self._fetch_page, entry) for entry in some]
            pages = run_at_once(self.context, fetches)
            for entry, (arrival, wasted) in zip(some, pages, strict=True):
                self.context.counts.add(wasted)
                if arrival is None:
                    hints.refuse_all_like(entry, may_be_outage=self.may_be_outage)
                else:
                    hints.confirm(entry)
                    self._save_page(arrival, None)
            entries = entries[len(some) :]

    def _fetch_page(self, entry: Entry) -> tuple[Arrival | None, Counts]:
        """The page behind a built entry, None if the server doesn't follow that; and the waste."""
        walk = Walk(entry, Gap(BEGINNING, entry.at))
        source = PageSource(self.context.client, self.context.run.agent_id)
        try:
            return fetch_step(walk, source), Counts()
        except (CutShort, CursorRefused, Malformed):
            pass
        except Transient:
            self.may_be_outage = True
        return None, source.take_cost()

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
        client, run = self.context.client, self.context.run
        is_known = any(one.state == state for one in self.known)
        source = PageSource(
            client,
            run.agent_id,
            {"state": state},
            must_confirm_end=lambda: state in LISTED_STATES,
            may_be_empty=lambda _: not is_known,
        )

        def hand_over(arrival: Arrival) -> bool:
            if not self._save_page(arrival, state) or self._is_below(arrival, down_to):
                return False
            return wanted is None or not self.seen.issuperset(wanted)

        try:
            follow_walk(walk, source, hand_over)
        except (CutShort, CursorRefused) as error:
            return error
        finally:
            self.context.counts.add(source.take_cost())
        return None

    def check(self, states: Mapping[str, str | None]) -> None:
        """Compare with what was retrieved: who is in a state must have been in its list."""
        found = {**self.states, **states}
        for one in self.known if not self.ignored else ():
            if one.id in self.listed:
                continue
            if one.state in LISTED_STATES and found.get(one.id) == one.state:
                what = f"the list of {one.state} sessions omits some that are {one.state}"
                self.context.warnings.add(f"{what}; it may omit reopened ones, too")

    def _save_page(self, arrival: Arrival, state: str | None) -> bool:
        """Save a page of a state's list, or of all. Returns whether the filter holds."""
        response = make_response(arrival) if arrival.fetched else None
        if response is None or not (response.sessions or response.rejected):
            # This saves a transaction: the end of the run writes its counts.
            self.context.counts.add(arrival.counts)
            self.context.renew_lease()
            return True
        shown = {one.id for one in response.sessions if state in (None, one.state)}
        if state is None:
            self.states |= {one.id: one.state for one in response.sessions if one.state}
        else:
            self.ignored = len(shown) < len(response.sessions)
            self.listed |= shown
        self.seen |= shown
        due = shown.intersection(one.id for one in self.known)
        retrieved = [(id, response.requested_at) for id in sorted(due)]
        batch = Batch([response._replace(agent_name=None)], arrival.counts, retrieved=retrieved)
        self.context.save(batch)
        if self.ignored and state is not None:
            self.context.warnings.add(
                f"the API ignores the filter state={state}: reopened sessions go unnoticed; "
                "only those known as open are updated"
            )
        return not self.ignored

    def _is_below(self, arrival: Arrival, instant: datetime) -> bool:
        last = arrival.walk.chain.last
        return last is not None and last < instant
