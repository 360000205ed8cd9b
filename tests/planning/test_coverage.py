"""Coverage against a plain model: for each instant of a small grid, the time of its proof."""

from datetime import datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import BEGINNING, ENDLESS, Entry, Span
from etl.planning.coverage import (
    Coverage,
    Gap,
    add,
    compact,
    find_contiguous_top,
    forget_freshness,
    list_gaps,
    withdraw,
)
from tests.planning import SECOND, at

GRID = [at(tick) for tick in range(12)]
NEVER = at(-1)
"""The proof of an instant that is covered without freshness, as a time before all others."""

SINCE = at(104)
times = st.none() | st.integers(100, 108).map(at)
instants = st.sampled_from(GRID)


@st.composite
def new_spans(draw: st.DrawFn) -> Span:
    """A span on the grid, some empty or upside down, some down to the end of history."""
    oldest = draw(instants | st.just(BEGINNING))
    below = Entry("newest", "b", oldest) if draw(st.booleans()) else None
    above = Entry("oldest", "a", oldest) if draw(st.booleans()) else None
    return Span(oldest, draw(instants), draw(times), below, above)


@st.composite
def coverages(draw: st.DrawFn) -> Coverage:
    coverage: Coverage = ()
    for span in draw(st.lists(new_spans(), max_size=8)):
        coverage = add(coverage, span, SINCE)
    return coverage


def proofs(coverage: Coverage) -> dict[datetime, datetime]:
    """Each covered instant with the time of its proof."""
    return {
        instant: span.proven_at or NEVER
        for span in coverage
        for instant in (BEGINNING, *GRID)
        if span.oldest <= instant < span.newest
    }


def is_tidy(coverage: Coverage) -> bool:
    """Whether spans are sorted, disjoint and not empty."""
    edges = [edge for span in coverage for edge in (span.oldest, span.newest)]
    return edges == sorted(edges) and all(span.oldest < span.newest for span in coverage)


@settings(max_examples=150, deadline=None)
@given(coverages(), new_spans(), st.sampled_from([at(0), SINCE, at(200)]))
def test_add_replaces_what_it_overlaps_and_keeps_the_rest(
    coverage: Coverage, new: Span, since: datetime
) -> None:
    wanted = proofs(coverage) | proofs((new,))

    result = add(coverage, new, since)

    assert is_tidy(result)
    assert proofs(result).keys() == wanted.keys()
    for instant, time in proofs(result).items():
        assert time == wanted[instant] or since <= time <= wanted[instant]


@settings(max_examples=100, deadline=None)
@given(coverages())
def test_neighbours_of_one_run_become_one(coverage: Coverage) -> None:
    for low, high in pairwise(coverage):
        fresh = all(span.proven_at and span.proven_at >= SINCE for span in (low, high))
        assert low.newest < high.oldest or not fresh


@settings(max_examples=100, deadline=None)
@given(coverages(), new_spans())
def test_an_edge_keeps_its_entry_only_where_it_stays(coverage: Coverage, new: Span) -> None:
    sources = [*coverage, new]

    for span in add(coverage, new, SINCE):
        assert span.below is None or any(
            (span.oldest, span.below) == (one.oldest, one.below) for one in sources
        )
        assert span.above is None or any(
            (span.newest, span.above) == (one.newest, one.above) for one in sources
        )


def test_an_empty_span_adds_nothing() -> None:
    coverage = (Span(at(1), at(2), at(100)),)

    assert add(coverage, Span(at(5), at(5), at(100)), SINCE) == coverage


def test_spans_with_an_instant_between_them_stay_apart() -> None:
    coverage = add((), Span(at(1), at(3), at(105)), SINCE)

    assert len(add(coverage, Span(at(4), at(6), at(105)), SINCE)) == 2
    assert len(add(coverage, Span(at(3), at(6), at(105)), SINCE)) == 1


def test_a_span_in_the_middle_splits_an_older_one() -> None:
    old = Span(at(0), at(9), at(100), Entry("newest", "b", at(0)), Entry("oldest", "a", at(8)))
    new = Span(at(3), at(5), at(110))

    low, middle, high = add((old,), new, SINCE)

    assert (low.oldest, low.newest, low.below, low.above) == (at(0), at(3), old.below, None)
    assert middle == new
    assert (high.oldest, high.newest, high.below, high.above) == (at(5), at(9), None, old.above)


@settings(max_examples=150, deadline=None)
@given(coverages(), st.integers(1, 4))
def test_compact_keeps_the_instants_and_never_makes_a_proof_fresher(
    coverage: Coverage, most: int
) -> None:
    before = proofs(coverage)

    result = compact(coverage, ENDLESS, most)

    after = proofs(result)
    assert is_tidy(result)
    assert after.keys() == before.keys()
    assert all(after[instant] <= before[instant] for instant in before)


@settings(max_examples=100, deadline=None)
@given(coverages(), st.integers(1, 4))
def test_compact_gets_down_to_its_limit_unless_gaps_forbid(coverage: Coverage, most: int) -> None:
    result = compact(coverage, ENDLESS, most)

    touching = any(a.newest == b.oldest for a, b in pairwise(result))
    assert len(result) <= most or not touching


def test_compact_gives_up_the_least_freshness() -> None:
    coverage = (
        Span(at(0), at(4), at(100)),
        Span(at(4), at(8), at(200)),
        Span(at(8), at(9), at(210)),
    )

    assert [(s.oldest, s.proven_at) for s in compact(coverage, ENDLESS, 2)] == [
        (at(0), at(100)),
        (at(4), at(200)),
    ]


@settings(max_examples=150, deadline=None)
@given(coverages(), instants, instants, times)
def test_gaps_are_the_instants_without_a_proof_fresh_enough(
    coverage: Coverage, oldest: datetime, newest: datetime, since: datetime | None
) -> None:
    known = proofs(coverage)
    wanted = {
        instant
        for instant in GRID
        if oldest <= instant < newest
        and (instant not in known or (since is not None and known[instant] < since))
    }

    found = list_gaps(coverage, oldest, newest, since)

    assert {i for i in GRID for gap in found if gap.oldest <= i < gap.newest} == wanted
    assert found == sorted(found)
    assert all(gap.oldest < gap.newest for gap in found)


@settings(max_examples=150, deadline=None)
@given(coverages(), instants)
def test_the_top_is_the_first_instant_not_covered(coverage: Coverage, floor: datetime) -> None:
    known = proofs(coverage)
    open_instants = [i for i in [*GRID, GRID[-1] + SECOND] if i >= floor and i not in known]
    wanted = open_instants[0] if floor in known else None

    assert find_contiguous_top(coverage, floor) == wanted


@settings(max_examples=100, deadline=None)
@given(coverages())
def test_coverage_not_down_to_the_end_of_history_has_no_top(coverage: Coverage) -> None:
    reaches_the_end = BEGINNING in proofs(coverage)

    assert (find_contiguous_top(coverage) is not None) == reaches_the_end


@settings(max_examples=100, deadline=None)
@given(coverages())
def test_forgetting_freshness_keeps_the_coverage(coverage: Coverage) -> None:
    before, after = proofs(coverage), proofs(forget_freshness(coverage, SINCE))

    assert after.keys() == before.keys()
    for instant, time in before.items():
        assert after[instant] == (NEVER if time >= SINCE else time)


@settings(max_examples=200, deadline=None)
@given(coverages(), instants, instants)
def test_what_is_withdrawn_is_claimed_no_more_and_the_rest_as_before(
    coverage: Coverage, oldest: datetime, newest: datetime
) -> None:
    left = withdraw(coverage, Gap(oldest, newest))

    kept = {at: proof for at, proof in proofs(coverage).items() if not oldest <= at < newest}
    assert proofs(left) == kept
