"""Cursors that die young or are foreign: each is a hint, and the ends of a list always work."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Traits
from tests.sync.lab import BACKFILL, RECONCILE, RESTART, SYNC, Lab, second
from tests.torture.rig import Killer

REFUSE = Traits(old_cursor="refuse", foreign_cursor="refuse")
FIRST_PAGE = Traits(old_cursor="first_page", foreign_cursor="first_page")
MIXED = Traits(old_cursor="first_page", foreign_cursor="follow")
OLD = Traits(old_cursor="refuse", foreign_cursor="follow")
END = Traits(old_cursor="end", foreign_cursor="end")
EVERY_KIND = pytest.mark.parametrize(
    "traits",
    [REFUSE, FIRST_PAGE, MIXED, OLD, END],
    ids=["refuse", "first_page", "mixed", "old", "end"],
)


def refused(lab: Lab) -> int:
    return Counter(one.status for one in lab.api.requests)[400]


@EVERY_KIND
@pytest.mark.parametrize("walkers", [None, 1, 3])
@pytest.mark.parametrize("options", [RECONCILE, RESTART], ids=["reconcile", "restart"])
def test_a_full_walk_over_dead_bookmarks_succeeds(
    lab: Lab, traits: Traits, walkers: int | None, options: RunOptions
) -> None:
    lab.api.adopt(traits)
    ids = lab.spread(400)
    assert lab.run(replace(BACKFILL, walkers=walkers)).status == "succeeded"
    for id in ids[::7]:
        lab.world.change(id, name="another")
    for _ in range(3):
        lab.api.expire_cursors()

        report = lab.run(replace(options, walkers=walkers))

        assert (report.status, report.error) == ("succeeded", None)
        assert lab.wrong() == []


@EVERY_KIND
@pytest.mark.parametrize("walkers", [None, 1, 4])
@pytest.mark.parametrize("mode", ["backfill", "incremental", "reconcile"])
def test_a_killed_run_goes_on_after_its_cursors_have_died(
    lab: Lab, traits: Traits, walkers: int | None, mode: str
) -> None:
    lab.api.adopt(traits)
    lab.spread(300)
    options = RunOptions(mode, walkers=walkers)  # type: ignore[arg-type]
    lab.run(options, kill=Killer(at_request=12))
    lab.api.expire_cursors()

    report = lab.run(options)

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@pytest.mark.parametrize("status", [400, 404, 410, 422, 500])
@pytest.mark.parametrize("walkers", [None, 1])
def test_a_cursor_may_be_refused_in_any_way(lab: Lab, status: int, walkers: int | None) -> None:
    lab.api.adopt(replace(REFUSE, refusal=status))
    lab.spread(200)
    assert lab.run(replace(BACKFILL, walkers=walkers)).status == "succeeded"
    for options in (RECONCILE, RESTART, SYNC):
        lab.run(replace(options, walkers=walkers), kill=Killer(at_request=6))
        lab.api.expire_cursors()

        report = lab.run(replace(options, walkers=walkers))

        assert (report.status, report.error) == ("succeeded", None)
        assert lab.wrong() == []


def test_a_hint_that_an_error_answers_is_requested_twice(lab: Lab) -> None:
    """The walks that need no hint would otherwise wait for its last attempt."""
    lab.api.adopt(replace(REFUSE, refusal=500))
    lab.spread(400)

    report = lab.run(BACKFILL, max_attempts=6)

    assert (report.status, report.error) == ("succeeded", None)
    assert Counter(one.status for one in lab.api.requests)[500] == 2
    assert lab.store.load_state("agent").seek_refused_at is None, "it may have been an outage"


def test_a_hint_is_sent_no_more_often_than_any_request(lab: Lab) -> None:
    lab.api.adopt(replace(REFUSE, refusal=500))
    lab.spread(400)

    assert lab.run(BACKFILL, max_attempts=1).status == "succeeded"

    assert Counter(one.status for one in lab.api.requests)[500] == 1


@pytest.mark.parametrize("options", [SYNC, RECONCILE], ids=["sync", "reconcile"])
def test_a_first_run_that_was_killed_goes_on_with_several_walks(
    lab: Lab, options: RunOptions
) -> None:
    """What it had stored by then doesn't tell where the rest of the list has its rows."""
    lab.spread(600)
    lab.run(replace(options, seek=False, walkers=1), kill=Killer(at_request=30))
    lab.api.clear_requests()

    assert lab.run(replace(options, seek=False)).status == "succeeded"

    assert lab.wrong() == []
    assert sum("sort_order=oldest&cursor" in one.query for one in lab.api.requests) > 5


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_walk_whose_cursor_is_refused_amid_the_list_enters_again(lab: Lab, status: int) -> None:
    lab.api.adopt(replace(REFUSE, refusal=status, cursor_requests=(3, 6)))
    lab.spread(200)

    report = lab.run(BACKFILL)

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@pytest.mark.parametrize("traits", [REFUSE, FIRST_PAGE], ids=["refuse", "first_page"])
@pytest.mark.parametrize(("walkers", "requests"), [(1, 1), (1, 2), (None, 4), (2, 3)])
def test_an_empty_last_page_whose_cursor_is_used_up_is_believed(
    lab: Lab, traits: Traits, requests: int, walkers: int | None
) -> None:
    """It is requested again, as any empty page is, which its cursor may not outlive."""
    lab.api.adopt(replace(traits, cursor_requests=(requests, requests), empty_end=True))
    for number, id in enumerate(lab.spread(100, every=20)):
        lab.world.change(id, state="processing" if number % 4 == 0 else "completed")
    for options in (BACKFILL, SYNC, RECONCILE, SYNC):
        report = lab.run(replace(options, walkers=walkers))

        assert (report.status, report.error) == ("succeeded", None)
        assert lab.wrong() == []


@pytest.mark.parametrize("traits", [REFUSE, FIRST_PAGE], ids=["refuse", "first_page"])
@pytest.mark.parametrize("empty_end", [False, True])
def test_a_history_of_one_instant_is_believed_though_its_cursors_are_used_up(
    lab: Lab, traits: Traits, empty_end: bool
) -> None:
    """The last page can't be looked at again, so nothing contradicts it."""
    lab.api.adopt(replace(traits, cursor_requests=(1, 1), empty_end=empty_end))
    lab.add([second(7200)] * 95)

    report = lab.run(replace(BACKFILL, walkers=1))

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


def test_an_outage_is_no_refusal_of_built_cursors(lab: Lab) -> None:
    lab.spread(400)
    lab.api.add_fault(Fault("status", status=503, after=4, times=None))
    assert lab.run(BACKFILL).status == "failed"
    lab.api.clear_faults()
    lab.api.clear_requests()

    assert lab.run(RESTART).status == "succeeded"

    assert lab.store.load_state("agent").seek_refused_at is None


def test_a_dead_generation_of_bookmarks_costs_a_request_for_each_walk_at_most(lab: Lab) -> None:
    lab.api.adopt(REFUSE)
    lab.spread(1500, every=5)
    lab.run(BACKFILL)
    lab.api.expire_cursors()
    lab.api.clear_requests()

    report = lab.run(RECONCILE)

    assert (report.status, lab.wrong()) == ("succeeded", [])
    assert refused(lab) <= 8
    assert report.counts.requests <= 150 * 1.2


@EVERY_KIND
@pytest.mark.parametrize("seek", [True, False], ids=["seek", "no-seek"])
@pytest.mark.parametrize("walkers", [1, 3])
def test_a_walk_that_outlives_its_own_cursor_enters_again(
    lab: Lab, traits: Traits, seek: bool, walkers: int
) -> None:
    lab.api.adopt(replace(traits, cursor_life=0.25))
    lab.spread(200)
    lab.api.add_fault(Fault("latency", seconds=0.4, after=7, times=1))
    lab.api.add_fault(Fault("latency", seconds=0.4, after=13, times=1))

    report = lab.run(replace(BACKFILL, seek=seek, walkers=walkers))

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@EVERY_KIND
def test_cursors_that_all_die_at_once_amid_a_walk_fail_nothing(lab: Lab, traits: Traits) -> None:
    lab.api.adopt(traits)
    lab.spread(400)
    moments = {9, 17, 18, 26, 40, 55}

    def expire(_: object) -> None:
        if len(lab.api.requests) in moments:
            lab.api.expire_cursors()

    lab.api.on_request = expire

    report = lab.run(replace(BACKFILL, walkers=3))

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@pytest.mark.parametrize("status", [400, 500])
def test_an_empty_last_page_whose_cursor_works_once_ends_the_list(lab: Lab, status: int) -> None:
    lab.api.adopt(Traits(cursor_requests=(1, 1), refusal=status, empty_end=True))
    lab.spread(30)

    for options in (BACKFILL, RECONCILE):
        report = lab.run(replace(options, walkers=1, seek=False))

        assert (report.status, report.error, lab.wrong()) == ("succeeded", None, [])


@pytest.mark.parametrize("seed", range(30))
def test_cursors_of_random_lives_fail_no_run(lab: Lab, seed: int) -> None:
    rng = random.Random(seed)
    walkers = rng.choice((None, 1, 2, 3))
    least = 8 if walkers else 24
    lab.page_size = rng.choice((3, 7, 10, 20))
    lab.api.adopt(
        Traits(
            cursor_requests=(least, least + rng.choice((0, 10, 60))),
            old_cursor=rng.choice(("refuse", "first_page", "end")),
            foreign_cursor=rng.choice(("refuse", "first_page", "follow", "end")),
            seed=seed,
        )
    )
    ties = rng.choice((1, 1, 2, 3, 15))
    lab.add([second(7200 + 60 * (n // ties)) for n in range(rng.randint(1, 60) * lab.page_size)])
    for _ in range(8):
        mode = rng.choice(("incremental", "backfill", "reconcile"))
        options = RunOptions(mode, walkers=walkers, seek=rng.random() < 0.5)
        options = replace(options, restart=mode == "backfill" and rng.random() < 0.5)
        if rng.random() < 0.4:
            lab.run(options, kill=Killer(at_request=rng.randint(1, 30)))
            continue
        lab.add([second(n) for n in range(rng.randint(0, 30))])
        report = lab.run(options)
        told = (seed, options, report.status, report.error)
        assert (report.status, lab.wrong()) == ("succeeded", []), told


def test_sync_after_sync_needs_no_cursor_of_the_last(lab: Lab) -> None:
    lab.api.adopt(REFUSE)
    lab.spread(100)
    for _ in range(4):
        lab.add([second(n) for n in range(35)])

        report = lab.run(replace(SYNC, seek=False))

        assert (report.status, lab.wrong(), refused(lab)) == ("succeeded", [], 0)
        lab.api.expire_cursors()


@pytest.mark.parametrize(
    "options", [SYNC, RECONCILE, RESTART], ids=["sync", "reconcile", "restart"]
)
def test_dead_cursors_of_earlier_runs_cost_one_request(lab: Lab, options: RunOptions) -> None:
    lab.api.adopt(REFUSE)
    lab.spread(400)
    for number in range(4):
        lab.add([second(n) for n in range(35)])
        lab.api.clear_requests()

        report = lab.run(replace(options if number else BACKFILL, seek=False))

        assert (report.status, lab.wrong()) == ("succeeded", [])
        assert refused(lab) <= 1
        lab.api.expire_cursors()
