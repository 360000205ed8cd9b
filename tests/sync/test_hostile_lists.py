"""Servers whose lists do what nobody documented: success means that every row is stored."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from etl.models import AgentReport
from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Traits
from etl.sync.walks.parallel_walks import TAIL_PATIENCE
from tests.sync.lab import BACKFILL, RECONCILE, SYNC, Lab, second
from tests.torture.rig import Killer

DAY = timedelta(days=1)
MODES: tuple[RunOptions, ...] = (SYNC, BACKFILL, RECONCILE)


def assert_complete(lab: Lab, report: AgentReport, *told: object) -> None:
    """A healthy server: the run succeeds and every row is as the API has it."""
    assert (report.status, report.error) == ("succeeded", None), told
    assert lab.wrong() == [], told


def assert_honest(lab: Lab, report: AgentReport, *told: object) -> None:
    """A faulty one: no success with rows missing, and no watermark or proof past them."""
    assert report.status in ("succeeded", "incomplete"), (report.error, told)
    if report.status == "succeeded":
        assert lab.wrong() == [], told
    stored = lab.rows()
    spans = lab.store.load_state("agent").coverage
    for record in lab.world.sessions("agent"):
        created = datetime.fromisoformat(record["created_at"])
        covered = any(span.oldest <= created < span.newest for span in spans)
        assert record["id"] in stored or not covered, (record, told)


# -- 3: many sessions at one instant, far entries -----------------------------------------------


@pytest.mark.parametrize("walkers", [None, 1, 2, 5])
@pytest.mark.parametrize("options", [BACKFILL, RECONCILE, SYNC], ids=lambda one: one.mode)
def test_many_sessions_at_one_instant_are_walked(
    lab: Lab, options: RunOptions, walkers: int | None
) -> None:
    lab.spread(25, ago=2 * 86_400)
    lab.add([second(86_400)] * 600, "bulk")
    lab.spread(25)
    options = replace(options, walkers=walkers)
    assert_complete(lab, lab.run(options))

    assert_complete(lab, lab.run(replace(options, lookback=3 * DAY)))


def test_four_thousand_sessions_at_one_instant_and_five_walks(lab: Lab) -> None:
    lab.page_size = 100
    lab.add([second(86_400)] * 4000, "bulk")
    for options in (BACKFILL, replace(RECONCILE, walkers=5), replace(SYNC, walkers=5)):
        assert_complete(lab, lab.run(replace(options, walkers=5)))


@pytest.mark.parametrize("walkers", [None, 2, 4])
def test_a_lookback_as_long_as_the_history_with_ties_across_pages(
    lab: Lab, walkers: int | None
) -> None:
    lab.page_size = 7
    lab.add([second(7200 + 60 * (n // 3)) for n in range(400)])
    options = RunOptions(walkers=walkers, lookback=DAY * 3)
    for _ in range(4):
        assert_complete(lab, lab.run(options))
        lab.add([second(n // 3) for n in range(10)])


@pytest.mark.parametrize("seed", range(12))
def test_no_page_size_tie_or_lookback_fails_a_run(lab: Lab, seed: int) -> None:
    rng = random.Random(seed)
    lab.page_size = rng.choice((1, 2, 3, 7, 10))
    ties, pages = rng.choice((1, 3, 40, 300)), rng.randint(1, 60)
    lab.add([second(600 + 60 * (n // ties)) for n in range(pages * lab.page_size)])
    for number in range(6):
        options = RunOptions(
            rng.choice(("incremental", "backfill", "reconcile")),
            walkers=rng.choice((None, 1, 2, 5)),
            lookback=rng.choice((timedelta(minutes=1), timedelta(hours=1), DAY)),
            restart=rng.random() < 0.3,
            seek=rng.random() < 0.7,
        )
        if rng.random() < 0.3:
            lab.run(options, kill=Killer(at_request=rng.randint(1, 40)))
            continue
        assert_complete(lab, lab.run(options), seed, number, options, lab.page_size, ties)
        lab.add([second(n // ties) for n in range(rng.choice((0, 1, 50)))])


# -- 4: one order, whatever is asked for ------------------------------------------------------


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("walkers", [None, 1, 2, 4])
@pytest.mark.parametrize(
    "ties",
    [(90,), (10, 80), (10, 10, 70), (1,) * 90, (30, 30, 30)],
    ids=lambda t: f"{len(t)}-{t[0]}",
)
def test_a_list_in_one_order_loses_no_session(
    lab: Lab, order: Any, walkers: int | None, ties: Sequence[int]
) -> None:
    """The newest page is one instant, so it can't show its order."""
    lab.api.adopt(Traits(only_order=order))
    instants = [second(7200 + 60 * n) for n, count in enumerate(ties) for _ in range(count)]
    lab.add(instants)
    for options in (BACKFILL, SYNC, BACKFILL):
        assert_honest(lab, lab.run(replace(options, walkers=walkers)), options)
    lab.api.adopt(Traits())

    assert_complete(lab, lab.run(replace(SYNC, walkers=walkers)))
    assert_complete(lab, lab.run(replace(BACKFILL, walkers=walkers)))


@pytest.mark.parametrize("page_size", [1, 2, 10])
@pytest.mark.parametrize("walkers", [1, 2])
def test_pages_of_one_row_show_no_order(lab: Lab, page_size: int, walkers: int) -> None:
    lab.page_size = page_size
    lab.api.adopt(Traits(only_order="newest"))
    lab.spread(24)

    assert_honest(lab, lab.run(replace(BACKFILL, walkers=walkers)))


@pytest.mark.parametrize("kind", ["null_cursor", "empty_page", "error_200", "repeat_cursor"])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("walkers", [1, 3])
def test_an_end_check_in_the_wrong_order_confirms_no_end(
    lab: Lab, kind: str, after: int, walkers: int
) -> None:
    """The list is cut short, and the check that asks for the oldest session gets the newest."""
    lab.api.adopt(Traits(only_order="newest"))
    lab.spread(90)
    lab.api.add_fault(Fault(kind, after=after, times=1, path="page_size=10"))

    assert_honest(lab, lab.run(replace(BACKFILL, walkers=walkers)))
    assert_honest(lab, lab.run(replace(SYNC, walkers=walkers)))


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("newest", [1, 10, 15, 25])
@pytest.mark.parametrize("walkers", [None, 1])
def test_an_end_amid_one_instant_is_looked_at_again(
    lab: Lab, after: int, newest: int, walkers: int | None
) -> None:
    """All that was shown is one instant, and the check in the wrong order finds a row of it."""
    lab.api.adopt(Traits(only_order="newest"))
    lab.add([second(7200)] * newest)
    lab.spread(60, ago=9000)
    lab.api.add_fault(Fault("null_cursor", after=after, times=1, path="page_size=10"))

    assert_honest(lab, lab.run(replace(BACKFILL, walkers=walkers)))
    assert_honest(lab, lab.run(replace(SYNC, walkers=walkers)))


HIDDEN = {
    "the oldest": slice(-1, None),
    "the newest": slice(1),
    "the newest page": slice(10),
    "the oldest pages": slice(-25, None),
    "a page amid the list": slice(10, 20),
    "every other one": slice(None, None, 2),
    "all": slice(None),
}


@pytest.mark.parametrize("which", HIDDEN)
@pytest.mark.parametrize("count", [5, 10, 30, 64])
@pytest.mark.parametrize("walkers", [None, 1])
def test_sessions_that_pages_count_and_do_not_show_fail_no_run(
    lab: Lab, which: str, count: int, walkers: int | None
) -> None:
    """As where a caller may not see some of an agent's sessions."""
    ids = lab.spread(count, state="queued")
    hidden = ids[HIDDEN[which]]
    lab.api.adopt(Traits(hidden=hidden))

    for options in (BACKFILL, SYNC, RECONCILE):
        report = lab.run(replace(options, walkers=walkers))
        assert (report.status, report.error) == ("succeeded", None)
        assert set(lab.rows()) == set(ids).difference(hidden)
        assert {row.missing_since for row in lab.rows().values()} <= {None}


@pytest.mark.parametrize("count", [1, 10, 11, 95])
def test_a_history_of_one_instant_is_believed(lab: Lab, count: int) -> None:
    lab.add([second(7200)] * count)

    assert_complete(lab, lab.run(BACKFILL))
    assert len(lab.api.requests) <= count // 10 + 4


def test_one_order_fails_no_list_that_one_walk_reads_whole(lab: Lab) -> None:
    lab.api.adopt(Traits(only_order="newest"))
    lab.spread(90)

    report = lab.run(replace(BACKFILL, walkers=1))

    assert lab.wrong() == []
    assert report.status in ("succeeded", "incomplete")


@pytest.mark.parametrize("kind", ["null_cursor", "empty_page", "missing_sessions", "ignore_cursor"])
@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("walkers", [None, 1, 3])
def test_a_list_that_is_cut_short_is_never_whole(
    lab: Lab, kind: str, times: int | None, walkers: int | None
) -> None:
    lab.spread(120)
    lab.api.add_fault(Fault(kind, after=4, times=times, path="page_size=10"))
    for options in MODES:
        assert_honest(lab, lab.run(replace(options, walkers=walkers)), options)
    lab.api.clear_faults()

    assert_complete(lab, lab.run(replace(SYNC, walkers=walkers)))


@pytest.mark.parametrize(("count", "requests"), [(0, 4), (1, 2), (7, 2), (10, 2), (15, 2), (19, 3)])
def test_a_first_backfill_of_two_pages_costs_a_request_for_each_end(
    lab: Lab, count: int, requests: int
) -> None:
    """The page of the other end is also the check of that end. Only an empty list asks again."""
    lab.spread(count)
    lab.api.latency = 0.2

    report = lab.run(BACKFILL)

    assert (report.status, lab.wrong()) == ("succeeded", [])
    assert len(lab.api.requests) == requests


@pytest.mark.parametrize("new", [1, 2])
@pytest.mark.parametrize("requests", [2, 3, 4])
def test_sessions_that_begin_while_an_empty_list_is_asked_again_fail_no_run(
    lab: Lab, requests: int, new: int
) -> None:
    def begin(_record: object) -> None:
        if len(lab.api.requests) == requests:
            lab.add([second(ago) for ago in range(new)])

    lab.api.on_request = begin

    assert lab.run(SYNC).status == "succeeded"
    assert (lab.run(SYNC).status, lab.wrong()) == ("succeeded", [])


def test_a_slow_page_of_the_other_end_keeps_nobody_waiting_for_long(lab: Lab) -> None:
    lab.spread(60)
    lab.api.add_fault(
        Fault("latency", seconds=3 * TAIL_PATIENCE, path="sort_order=oldest", times=1)
    )

    report = lab.run(BACKFILL)

    assert (report.status, lab.wrong()) == ("succeeded", [])
    tail = next(one for one in lab.api.requests if "oldest" in one.query)
    walked = [one for one in lab.api.requests if one.time < tail.time + 2 * TAIL_PATIENCE]
    assert len(walked) > 5


@pytest.mark.parametrize("ago", [7200, 9000])
def test_a_reconcile_reads_the_rows_of_one_instant_once(lab: Lab, ago: int) -> None:
    """Whatever bookmarks the backfill has left among them."""
    lab.add([second(ago)] * 200)
    lab.spread(100, ago=7300)
    assert lab.run(BACKFILL).status == "succeeded"
    lab.api.clear_requests()

    assert_complete(lab, lab.run(RECONCILE))

    assert len(lab.api.requests) <= 30 + 10


@pytest.mark.parametrize(
    ("one", "other"), [(9, 30), (9, 35), (19, 32), (9, 11), (29, 31), (0, 39), (8, 31), (9, 10)]
)
@pytest.mark.parametrize("walkers", [None, 1])
def test_two_sessions_in_each_others_place_are_no_reason_to_leave_some_out(
    lab: Lab, one: int, other: int, walkers: int | None
) -> None:
    """An old one at the end of a page, in order by itself, claims all that lies between."""
    ids = lab.spread(40)
    lab.api.adopt(Traits(swapped=(ids[one], ids[other])))

    for options in (BACKFILL, BACKFILL, RECONCILE):
        report = lab.run(replace(options, walkers=walkers))

        assert_honest(lab, report, options)
        assert {row.missing_since for row in lab.rows().values()} <= {None}


@pytest.mark.parametrize("count", [2, 10, 25])
@pytest.mark.parametrize("walkers", [None, 1])
def test_a_list_whose_last_two_sessions_are_swapped_is_walked_to_its_end(
    lab: Lab, count: int, walkers: int | None
) -> None:
    ids = lab.spread(count)
    lab.api.adopt(Traits(swapped=(ids[-1], ids[-2])))

    for options in (BACKFILL, SYNC, RECONCILE):
        assert_complete(lab, lab.run(replace(options, walkers=walkers)))
