"""From the pages that have arrived to what one transaction saves."""

from datetime import datetime, timedelta

import pytest

from etl.api.client import Fetched
from etl.models import BEGINNING, Counts, Entry, Listed, Page, Rejected, Session, Span
from etl.planning.coverage import Coverage, Gap, add
from etl.planning.run_demand import AgentState
from etl.planning.walks.absence import AbsenceCheck
from etl.planning.walks.entries import HEAD
from etl.planning.walks.hints import Hints
from etl.planning.walks.walk import Step, Walk
from etl.sync.walks.one_walk import Arrival
from etl.sync.walks.page_batch import PageBatcher
from tests.planning import at
from tests.planning.modes import reconcile

NOW = at(1000)
CHECK = AbsenceCheck(at(3), at(5), frozenset({"a"}), NOW)


def a_walk() -> Walk:
    return Walk(HEAD, Gap(BEGINNING, NOW))


def batcher(coverage: Coverage = (), *, has_stored: bool = True) -> PageBatcher:
    demand = reconcile(started_at=NOW, now=NOW)
    state = AgentState(coverage=coverage)
    return PageBatcher(state, demand, NOW, timedelta(0), Hints(), has_stored=has_stored)


def arrival(
    walk: Walk,
    proven: Span | None = None,
    *,
    bookmark: Entry | None = None,
    next_cursor: str | None = "next",
    is_head: bool = False,
    absence: AbsenceCheck | None = None,
) -> Arrival:
    page = Page(
        [Session("a", "agent")], [], [Rejected("{}", "no id")], [Listed("a", at(4))], next_cursor,
        "Ada's agent",
    )  # fmt: skip
    step = Step(proven, absence, bookmark, undated=(frozenset("u"), NOW) if absence else None)
    counts = Counts(requests=1, pages=1)
    return Arrival(walk, Fetched(page, NOW), step, counts, next_cursor, is_head)


def an_end(walk: Walk, proven: Span) -> Arrival:
    """The end check of a walk: it has no page."""
    return Arrival(walk, None, Step(proven), Counts(requests=1), None)


def span(low: datetime, high: datetime, proven_at: datetime = NOW) -> Span:
    return Span(low, high, proven_at)


def test_rows_and_what_they_prove_travel_together() -> None:
    batch = batcher().make([arrival(a_walk(), span(at(3), at(9)), absence=CHECK)])

    [response] = batch.responses
    assert [one.id for one in response.sessions] == ["a"]
    assert response.requested_at == NOW
    assert batch.coverage == (span(at(3), at(9)),)
    assert batch.absences == [CHECK]
    assert batch.undated == (frozenset("u"), NOW)
    assert batch.last_cursor == "next"
    assert (batch.counts.requests, batch.counts.pages) == (1, 1)


def test_several_pages_add_up() -> None:
    walk = a_walk()
    arrivals = [arrival(walk, span(at(6), at(9))), arrival(walk, span(at(3), at(9)))]

    batch = batcher((span(BEGINNING, at(1), at(1)),)).make(arrivals)

    assert batch.coverage == (span(BEGINNING, at(1), at(1)), span(at(3), at(9)))
    assert len(batch.responses) == 2
    assert batch.counts.pages == 2


def test_the_end_of_a_walk_brings_no_rows_and_keeps_the_last_cursor() -> None:
    walk = a_walk()

    batch = batcher().make([arrival(walk), an_end(walk, span(BEGINNING, NOW))])

    assert len(batch.responses) == 1
    assert batch.last_cursor == "next"
    assert batch.coverage == (span(BEGINNING, NOW),)
    assert batch.counts.requests == 2


@pytest.mark.parametrize(("is_head", "name"), [(True, "Ada's agent"), (False, None)])
def test_only_the_head_tells_the_agents_name(is_head: bool, name: str | None) -> None:
    [response] = batcher().make([arrival(a_walk(), is_head=is_head)]).responses

    assert response.agent_name == name


def test_nothing_is_judged_where_no_session_is_stored() -> None:
    batch = batcher(has_stored=False).make([arrival(a_walk(), absence=CHECK)])

    assert (batch.absences, batch.undated) == ([], None)


def test_the_watermark_waits_until_the_demand_is_met() -> None:
    pages = batcher()

    assert pages.make([arrival(a_walk(), span(at(3), NOW))]).watermark_bound is None
    assert pages.make([an_end(a_walk(), span(BEGINNING, NOW))]).watermark_bound == NOW


def test_what_was_not_saved_is_not_claimed_by_the_next_batch() -> None:
    pages, walk = batcher(), a_walk()
    mark = Entry("newest", "m", at(5))
    pages.make([arrival(walk, span(at(6), at(9)), bookmark=mark)])

    after = Entry("newest", "n", at(4))
    batch = pages.make([arrival(walk, span(at(3), at(4)), bookmark=after)])

    assert pages.state.coverage == ()
    assert batch.coverage == (span(at(3), at(4)),)
    assert batch.bookmarks == [(after, None)], "it follows no bookmark that is stored"


def test_what_was_saved_is_what_the_next_batch_adds_to() -> None:
    pages, walk = batcher(), a_walk()
    first = [arrival(walk, span(at(6), at(9)), bookmark=Entry("newest", "m", at(6)))]
    pages.note_saved(first, pages.make(first))

    second = arrival(walk, span(at(3), at(9)), bookmark=Entry("newest", "n", at(3)))
    batch = pages.make([second])

    assert pages.state.coverage == (span(at(6), at(9)),)
    assert batch.coverage == (span(at(3), at(9)),)
    assert batch.bookmarks == [(Entry("newest", "n", at(3)), at(6))]


def test_bookmarks_of_one_batch_follow_each_other() -> None:
    walk, other = a_walk(), a_walk()
    marks = [Entry("newest", str(tick), at(tick)) for tick in (9, 7, 5)]
    arrivals = [
        arrival(walk, bookmark=marks[0]),
        arrival(other, bookmark=marks[1]),
        arrival(walk, bookmark=marks[2]),
    ]

    batch = batcher().make(arrivals)

    assert batch.bookmarks == [(marks[0], None), (marks[1], None), (marks[2], at(9))]


def test_dead_cursors_leave_the_coverage_and_the_bookmarks_once() -> None:
    old = Entry("newest", "old", at(3), issued_at=at(10))
    young = Entry("oldest", "young", at(8), issued_at=at(30))
    stale = Span(at(3), at(9), at(1), below=old, above=young)
    pages = batcher((stale,))
    assert not pages.make([]).drops_bookmarks

    pages.hints.expire_before(at(20))
    batch = pages.make([])

    assert batch.drops_bookmarks
    assert batch.coverage == (Span(at(3), at(9), at(1), above=young),)
    assert pages.make([]).drops_bookmarks, "as long as it isn't saved"
    pages.note_saved([], batch)
    assert not pages.make([]).drops_bookmarks
    pages.hints.expire_before(at(25))
    assert pages.make([]).drops_bookmarks


def test_many_spans_of_earlier_runs_are_merged_and_none_of_this_one() -> None:
    old: Coverage = ()
    for tick in range(80):
        old = add(old, span(at(tick), at(tick + 1), at(tick)), NOW)
    mine = span(at(200), at(201))

    batch = batcher(old).make([arrival(a_walk(), mine)])

    assert batch.coverage is not None
    assert len(batch.coverage) <= 32
    assert batch.coverage[-1] == mine
    assert (batch.coverage[0].oldest, batch.coverage[-2].newest) == (at(0), at(80))
