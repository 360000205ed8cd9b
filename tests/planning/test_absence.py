"""Which stored sessions the pages of a chain should have shown."""

from datetime import datetime

import pytest

from etl.models import BEGINNING, TICK, Entry, Listed, Order
from etl.planning.walks import absence
from etl.planning.walks.absence import AbsenceCheck, AbsenceJudge
from etl.planning.walks.entries import HEAD
from tests.planning import SECOND, at
from tests.planning.test_walk import NOW, page, walked


def region(check: AbsenceCheck | None) -> tuple[datetime, datetime] | None:
    return (check.oldest, check.newest) if check else None


def test_nothing_is_judged_before_an_order_was_seen() -> None:
    _, step = walked("newest", page(("b", 3), ("a", 3)))

    assert step.absence is None


def test_ties_over_a_page_edge_are_judged_once_they_are_passed() -> None:
    _, first = walked("newest", page(("c", 5), ("b", 3)))
    _, second = walked("newest", page(("c", 5), ("b", 3)), page(("a", 3), ("z", 1)))

    assert region(first.absence) == (at(3) + TICK, NOW)
    assert region(second.absence) == (at(1) + TICK, at(3) + TICK)
    assert second.absence is not None
    assert second.absence.held == {"b", "a", "z"}
    assert second.absence.requested_at == NOW, "the page that has shown the first of them"


def test_ties_over_many_pages_are_judged_as_one() -> None:
    ties = [page((f"t{number}", 3)) for number in range(4)]

    _, step = walked("newest", page(("c", 5), ("b", 3)), *ties, page(("z", 1)))

    assert region(step.absence) == (at(1) + TICK, at(3) + TICK)
    assert step.absence is not None
    assert step.absence.held == {"b", "t0", "t1", "t2", "t3", "z"}
    assert step.absence.requested_at == NOW


@pytest.mark.parametrize(("order", "ticks"), [("newest", (3, 1)), ("oldest", (3, 5))])
def test_the_first_instant_behind_a_cursor_is_not_judged(
    order: Order, ticks: tuple[int, int]
) -> None:
    """The walk entered among rows of one instant, and can't know those before its entry."""
    entry = Entry(order, "x", at(3))

    _, step = walked(order, page(("b", 3)), page(("c", 3)), page(("a", ticks[1])), entry=entry)

    expected = {
        "newest": (at(1) + TICK, at(3)),
        "oldest": (at(3) + TICK, at(5)),
    }
    assert region(step.absence) == expected[order]


def test_a_record_without_an_id_leaves_its_page_in_doubt() -> None:
    blind = [*page(("c", 5)), Listed(None, at(4)), *page(("b", 3))]
    _, step = walked("newest", blind)
    _, after = walked("newest", blind, page(("a", 2), ("z", 1)))

    assert step.absence is not None
    assert not step.absence.certain
    assert after.absence is not None
    assert after.absence.certain, "it can't be any of those below"


def test_a_record_without_an_id_at_the_last_instant_leaves_that_instant_in_doubt() -> None:
    blind = [*page(("c", 5)), Listed(None, at(3))]

    _, step = walked("newest", blind, page(("a", 3), ("z", 1)))

    assert step.absence is not None
    assert not step.absence.certain


def test_a_record_without_an_instant_counts_as_held() -> None:
    _, step = walked("newest", [*page(("c", 5)), Listed("x", None), *page(("b", 3))])

    assert step.absence is not None
    assert step.absence.held == {"c", "x", "b"}
    assert step.absence.certain


def test_a_record_without_an_instant_counts_as_held_only_where_it_may_lie() -> None:
    amid = [*page(("c", 5)), Listed("x", None), *page(("d", 4), ("b", 3))]
    last = [*page(("c", 5), ("b", 3)), Listed("x", None)]

    _, after_amid = walked("newest", amid, page(("a", 1)))
    _, after_last = walked("newest", last, page(("a", 1)))

    assert after_amid.absence is not None
    assert after_amid.absence.held == {"b", "a"}
    assert after_last.absence is not None
    assert after_last.absence.held == {"b", "x", "a"}


@pytest.mark.parametrize("blind", [Listed("x", None), Listed(None, None)])
@pytest.mark.parametrize(("order", "ticks"), [("newest", (5, 3, 1)), ("oldest", (1, 3, 5))])
def test_a_record_without_an_instant_may_share_the_only_one_of_the_next_page(
    order: Order, ticks: tuple[int, int, int], blind: Listed
) -> None:
    first, second, third = ticks
    pages = [*page(("a", first)), blind], page(("b", second)), page(("c", third))
    walk, _ = walked(order, *pages[:1])
    walk.advance(pages[1], "c1", NOW + SECOND)

    step = walk.advance(pages[2], "c2", NOW + 2 * SECOND)

    assert step.absence is not None
    assert step.absence.oldest <= at(second) < step.absence.newest
    assert blind.id in step.absence.held if blind.id else not step.absence.certain
    assert step.absence.requested_at == NOW


def test_pages_of_unreadable_instants_are_remembered_by_the_next_judgement() -> None:
    blind = [Listed("x", None), Listed("y", None)]

    _, step = walked("newest", page(("c", 5), ("b", 3)), blind, page(("a", 1), ("z", 0)))

    assert step.absence is not None
    assert step.absence.held == {"b", "x", "y", "a", "z"}
    assert step.absence.certain


def test_a_page_of_records_without_anything_readable_leaves_in_doubt_what_it_may_hold() -> None:
    blind = [Listed(None, None)]

    _, step = walked("newest", page(("c", 5), ("b", 3)), blind, page(("a", 1), ("z", 0)))

    assert step.absence is not None
    assert not step.absence.certain


def test_the_end_judges_all_that_is_left_below() -> None:
    walk, _ = walked("newest", page(("c", 5), ("b", 3)), page(("a", 3)))

    absence = walk.confirm_end().absence

    assert region(absence) == (BEGINNING, at(3) + TICK)
    assert absence is not None
    assert absence.held == {"b", "a"}


def test_the_end_of_a_walk_from_a_cursor_that_showed_one_instant_judges_nothing() -> None:
    walk, _ = walked("newest", page(("b", 3), ("a", 3)), entry=Entry("newest", "x", at(3)))

    absence = walk.confirm_end().absence

    assert absence is None or absence.newest <= at(3)


def test_more_ties_than_are_carried_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "MOST_CARRIED", 3)
    judge = AbsenceJudge("newest")
    bound, low = at(9), at(3) + TICK
    first = judge.judge_page(page(("c", 5), ("b", 3)), NOW, bound, low)
    for number in range(2):
        assert judge.judge_page(page((f"t{number}", 3), (f"u{number}", 3)), NOW, bound, low) is None

    assert region(first) == (low, bound)
    assert judge.judge_page(page(("z", 2)), NOW, bound, at(2) + TICK) is None, (
        "the instant of the ties"
    )
    after = judge.judge_page(page(("y", 1)), NOW, bound, at(1) + TICK)
    assert region(after) == (at(1) + TICK, at(2) + TICK)


def test_more_ties_than_are_carried_at_the_end_are_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(absence, "MOST_CARRIED", 1)
    walk, _ = walked("newest", page(("c", 5), ("b", 3)), page(("a", 3)), entry=HEAD)

    assert walk.confirm_end().absence is None
