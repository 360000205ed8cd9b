"""Where walks stand, and which of them a gap can count on."""

import pytest

from etl.models import BEGINNING, TICK, Entry, Listed, Order
from etl.planning.coverage import Gap
from etl.planning.walks.entries import HEAD, TAIL
from etl.planning.walks.hints import build_entry
from etl.planning.walks.standings import Standings, find_gap_at
from etl.planning.walks.walk import Walk
from tests.planning import at

NOW = at(1000)
WHOLE = Gap(BEGINNING, NOW)


def start(standings: Standings, entry: Entry = HEAD, target: Gap = WHOLE) -> Walk:
    walk = Walk(entry, target)
    standings.start(walk)
    return walk


def step(
    standings: Standings, walk: Walk, page: int, *seconds: int, cursor: str | None = None
) -> None:
    listed = [Listed(f"{walk.order} {page} {n}", at(second)) for n, second in enumerate(seconds)]
    walk.advance(listed, cursor, NOW)
    standings.note(walk, page)


@pytest.mark.parametrize(
    ("order", "second", "found"),
    [
        ("newest", 5, True),
        ("newest", 3, True),
        ("newest", 2, False),
        ("newest", 6, False),
        ("oldest", 2, True),
        ("oldest", 4, True),
        ("oldest", 5, False),
        ("oldest", 1, False),
    ],
)
def test_a_walk_stands_at_the_gap_that_its_next_instant_lies_in(
    order: Order, second: int, found: bool
) -> None:
    gap = Gap(at(2), at(5))

    assert find_gap_at(order, at(second), [gap]) == (gap if found else None)
    assert find_gap_at(order, None, [gap]) is None


def test_walks_are_known_from_their_start_to_their_end() -> None:
    standings = Standings()
    head = start(standings)
    tail = start(standings, TAIL)

    assert list(standings) == [head, tail]
    standings.end(head)
    assert (head in standings, tail in standings, len(standings)) == (False, True, 1)


def test_a_walk_that_passes_a_gap_on_its_way_attends_both() -> None:
    standings = Standings()
    passer = start(standings, target=Gap(at(1), at(3)))
    step(standings, passer, 1, 9, 7)
    left = [Gap(at(1), at(3)), Gap(at(5), at(8))]

    assert [one.at for one in standings.list_active(left)] == [at(3), passer.frontier]
    assert standings.is_left_to_others(left[1], left)
    assert not standings.is_left_to_others(Gap(at(5), at(6)), [*left, Gap(at(5), at(6))])


def test_a_walk_amid_one_instant_attends_what_it_has_passed() -> None:
    standings = Standings()
    walk = start(standings)
    step(standings, walk, 1, 7, 7)

    assert [one.at for one in standings.list_active([WHOLE])] == [at(7) + TICK, NOW]
    step(standings, walk, 2, 7, 5)
    assert [one.at for one in standings.list_active([WHOLE])] == [at(5) + TICK] * 2


def test_of_two_walks_at_one_instant_the_one_that_came_first_stays() -> None:
    standings = Standings()
    above, below = start(standings), start(standings, TAIL)
    step(standings, above, 1, 9, 5)
    step(standings, below, 2, 1, 5)
    instant = Gap(at(5), at(5) + TICK)

    assert standings.is_first_at(above, instant)
    assert not standings.is_first_at(below, instant)
    step(standings, above, 3, 5, 5)
    assert standings.is_first_at(above, instant), "more rows of that instant don't move it"


def test_a_walk_that_is_short_of_its_target_gives_way_to_one_that_is_nearer() -> None:
    standings = Standings()
    late = start(standings)
    step(standings, late, 1, 9, 7)
    gap = Gap(at(1), at(3))

    assert standings.is_short_of_its_target(late, at(7), [gap])
    nearer = start(standings, Entry("newest", "kept", at(3)), gap)
    assert not standings.is_short_of_its_target(late, at(7), [gap])
    standings.end(nearer)
    assert standings.is_short_of_its_target(late, at(7), [gap])


def test_the_track_of_a_walk_that_is_over_goes_to_the_next() -> None:
    standings = Standings()
    first, second, third = (start(standings) for _ in range(3))
    for page, walk in enumerate((first, second, third), start=1):
        step(standings, walk, page, 9, 7, cursor="same")
    left = [Gap(BEGINNING, at(7))]
    assert standings.claim_track(first, left)
    standings.end(first)

    assert standings.claim_track(second, left)
    assert not standings.claim_track(third, left)


def test_a_walk_from_the_head_takes_the_track_that_another_one_follows_amid_one_instant() -> None:
    standings = Standings()
    built, head = start(standings, build_entry(at(9))), start(standings)
    step(standings, built, 1, 7, 7, cursor="same")
    step(standings, head, 2, 7, 7, cursor="same")
    left = [Gap(BEGINNING, at(9))]
    assert standings.claim_track(built, left)

    assert standings.claim_track(head, left)
    assert not standings.claim_track(built, left)
