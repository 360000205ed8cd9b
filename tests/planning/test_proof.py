"""What the pages of one chain prove, row by row of the table in the module."""

from datetime import datetime, timedelta

import pytest

from etl.models import BEGINNING, TICK, Entry, Order, Span
from etl.planning.walks.entries import HEAD, TAIL
from etl.planning.walks.proof import Proof
from tests.planning import at
from tests.planning.test_walk import NOW, page, walked


def proof(entry: Entry, started_at: datetime = NOW) -> Proof:
    made = Proof(entry)
    made.started_at = started_at
    return made


def test_nothing_is_proven_without_a_page() -> None:
    assert Proof(HEAD).span() is None
    assert proof(HEAD).span() is None


@pytest.mark.parametrize("entry", [HEAD, TAIL, Entry("newest", "x", at(3))])
def test_rows_of_one_instant_prove_nothing(entry: Entry) -> None:
    _, step = walked(entry.order, page(("b", 3), ("a", 3)), page(("c", 3)), entry=entry)

    assert step.proven is None


def test_the_head_page_proves_up_to_the_second_of_its_request() -> None:
    late = at(100) + timedelta(milliseconds=999)
    head = proof(HEAD, late)

    head.advance(at(5), at(3), None, None)

    assert head.frontier == at(3) + TICK
    assert head.span() == Span(at(3) + TICK, at(100), late, below=Entry("newest", None, late))


def test_a_first_page_in_the_second_of_its_request_proves_nothing_of_it() -> None:
    """Rows may still be dated into that second."""
    _, step = walked("newest", page(("b", 10**6), ("a", 10**6 - 1)))

    assert step.proven is not None
    assert (step.proven.oldest, step.proven.newest) == (at(10**6 - 1) + TICK, NOW)


def test_the_tail_page_proves_down_to_the_end_of_history() -> None:
    tail = proof(TAIL)

    tail.advance(at(3), at(5), None, None)

    assert tail.span() == Span(BEGINNING, at(5), NOW, above=Entry("oldest", None, BEGINNING))


@pytest.mark.parametrize(
    ("order", "ticks", "span"),
    [("newest", (5, 3), (at(3) + TICK, at(5))), ("oldest", (3, 5), (at(3) + TICK, at(5)))],
)
def test_a_page_behind_a_cursor_proves_only_between_its_first_and_last_instant(
    order: Order, ticks: tuple[int, int], span: tuple[datetime, datetime]
) -> None:
    entered = proof(Entry(order, "x", at(ticks[0])))

    entered.advance(at(ticks[0]), at(ticks[1]), "x", NOW)

    proven = entered.span()
    assert proven is not None
    assert (proven.oldest, proven.newest) == span


def test_an_oldest_first_walk_never_proves_the_head() -> None:
    _, step = walked("oldest", page(("a", 3), ("b", 2 * 10**6)))

    assert step.proven is not None
    assert step.proven.newest == NOW - TICK


def test_a_row_dated_after_its_request_proves_nothing() -> None:
    _, step = walked("newest", page(("b", 3 * 10**6), ("a", 2 * 10**6)))

    assert step.proven is None


def test_the_proof_counts_as_of_the_first_request() -> None:
    _, step = walked("newest", page(("c", 5)), page(("b", 3)), page(("a", 1)))

    assert step.proven is not None
    assert step.proven.proven_at == NOW


def test_a_later_walk_goes_on_at_the_last_cursor_that_led_to_two_instants() -> None:
    """One that led amid the rows of a single instant proves nothing down to the edge."""
    chain = proof(HEAD)
    chain.advance(at(9), at(7), None, None)
    chain.advance(at(6), at(5), "c1", at(1))
    chain.advance(at(5), at(5), "c2", at(2))

    span = chain.span()

    assert span is not None
    assert span.below == Entry("newest", "c1", at(6))
    assert span.below.issued_at == at(1)


def test_the_end_proves_down_to_the_end_of_history() -> None:
    entered = proof(Entry("newest", "x", at(5)))
    entered.advance(at(5), at(3), "x", NOW)

    assert entered.reach_end(whole=False) == Span(BEGINNING, at(5), NOW)


def test_the_end_of_a_chain_without_a_dated_row_proves_nothing_unless_it_is_whole() -> None:
    assert proof(Entry("newest", "x", at(5))).reach_end(whole=False) is None
    assert proof(HEAD).reach_end(whole=True) == Span(BEGINNING, NOW, NOW)


def test_the_end_proves_no_more_than_the_second_of_the_first_request() -> None:
    late = at(100) + timedelta(milliseconds=250)
    ahead = proof(Entry("newest", "x", at(200)), late)
    ahead.advance(at(200), at(90), "x", NOW)

    assert ahead.reach_end(whole=False) == Span(BEGINNING, at(100), late)
    assert proof(HEAD, late).reach_end(whole=True) == Span(BEGINNING, at(100), late)
