"""How the walks of a process are shared by its agents."""

import math
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.sync.walks.walk_budget import UNKNOWN_PAGES, WalkBudget

pages = st.floats(0, 10_000) | st.just(math.inf)


def test_an_agent_alone_has_all_walks() -> None:
    assert WalkBudget(8).allow("a", 3.0) == 8
    assert WalkBudget(8).allow("a", 0.0) == 8
    assert WalkBudget(8).allow("a", math.inf) == 8


def test_agents_share_by_what_each_has_left() -> None:
    budget = WalkBudget(8)
    budget.allow("a", 300.0)

    assert budget.allow("b", 100.0) == 2
    assert budget.allow("a", 300.0) == 6


def test_one_that_knows_nothing_counts_as_an_average_one() -> None:
    budget = WalkBudget(8)
    budget.allow("a", UNKNOWN_PAGES)

    assert budget.allow("b", math.inf) == 4


def test_an_agent_that_is_done_leaves_its_walks_to_the_others() -> None:
    budget = WalkBudget(8)
    budget.allow("a", 300.0)
    budget.allow("b", 100.0)

    budget.leave("a")
    budget.leave("never came")

    assert budget.allow("b", 100.0) == 8


def test_one_whose_size_is_unknown_may_send_a_second_walk_to_tell_it() -> None:
    budget = WalkBudget(8)
    for number in range(20):
        budget.allow(str(number), math.inf)

    assert budget.allow("a", math.inf) == 2
    assert budget.allow("a", 3.0) == 1
    assert WalkBudget(1).allow("a", math.inf) == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 32), st.lists(pages, min_size=1, max_size=8))
def test_every_agent_has_a_walk_and_all_together_few_more_than_there_are(
    total: int, left: list[float]
) -> None:
    budget = WalkBudget(total)
    for number, one in enumerate(left):
        budget.allow(str(number), one)

    shares = [budget.allow(str(number), one) for number, one in enumerate(left)]

    assert min(shares) >= 1
    assert max(shares) <= total
    # Each is rounded by itself, and none is left without: nor, as long as its size is unknown,
    # without the walk that tells it.
    assert sum(shares) <= total + len(left) + sum(map(math.isinf, left))


def test_agents_come_and_go_in_several_threads() -> None:
    budget = WalkBudget(8)
    allowed: list[int] = []

    def work(name: str) -> None:
        for step in range(200):
            allowed.append(budget.allow(name, float(step)))
        budget.leave(name)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(allowed) == 800
    assert budget.allow("last", 1.0) == 8
