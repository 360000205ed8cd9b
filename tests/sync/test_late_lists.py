"""Lists that show sessions late: what turned up within `lookback` is never missed, kills or not."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from etl.planning.run_demand import RunOptions
from tests.sync.lab import BACKFILL, RECONCILE, SYNC, Lab, second
from tests.torture.rig import Killer

HOUR = timedelta(hours=1)
WALKERS = pytest.mark.parametrize("walkers", [None, 1, 3])
MODES = pytest.mark.parametrize("options", [SYNC, BACKFILL, RECONCILE], ids=lambda one: one.mode)


def first_request(lab: Lab) -> datetime:
    """When the first request since the log was cleared was sent, about."""
    return datetime.fromtimestamp(lab.api.requests[0].time, UTC)


def turn_up(lab: Lab, before: datetime, count: int = 25, within: float = 1.0) -> None:
    """More than a page of sessions, dated up to so many seconds before a moment."""
    lab.add([before - timedelta(seconds=within * (n + 1) / count) for n in range(count)], "late")


@MODES
@WALKERS
@pytest.mark.parametrize("at", [2, 4, 9, 20])
@pytest.mark.parametrize("history", [0, 15])
def test_what_turned_up_after_a_kill_is_stored_by_the_next_run(
    lab: Lab, options: RunOptions, walkers: int | None, at: int, history: int
) -> None:
    lab.spread(history, ago=86_400)
    lab.run(SYNC)
    lab.add([second(5 + n) for n in range(300)], "new")
    lab.api.clear_requests()
    options = replace(options, walkers=walkers)
    lab.run(options, kill=Killer(at_request=at))
    turn_up(lab, first_request(lab))

    report = lab.run(options)

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@MODES
@pytest.mark.parametrize("at", [30, 60, 90, 120])
def test_a_kill_between_saves_loses_none_that_turned_up(
    lab: Lab, options: RunOptions, at: int
) -> None:
    lab.spread(15, ago=86_400)
    lab.run(SYNC)
    lab.add([second(5 + n) for n in range(200)], "new")
    lab.api.clear_requests()
    lab.run(options, kill=Killer(at_statement=at))
    turn_up(lab, first_request(lab))

    report = lab.run(options)

    assert (report.status, lab.wrong()) == ("succeeded", [])


@MODES
@WALKERS
def test_what_turned_up_between_two_kills_is_stored_by_the_third_run(
    lab: Lab, options: RunOptions, walkers: int | None
) -> None:
    """The second run proves another head, more than `lookback` above the first one's."""
    options = replace(options, walkers=walkers, lookback=timedelta(seconds=1))
    lab.spread(15, ago=86_400)
    lab.run(SYNC)
    lab.add([second(5 + n) for n in range(300)], "new")
    lab.api.clear_requests()
    lab.run(options, kill=Killer(at_request=12))
    turn_up(lab, first_request(lab), within=0.9)
    time.sleep(2.5)
    now = datetime.now(UTC)
    lab.add([now - timedelta(milliseconds=1000 + 10 * n) for n in range(40)], "newer")
    lab.run(options, kill=Killer(at_request=4))

    report = lab.run(options)

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


@WALKERS
def test_a_calm_sync_after_a_list_that_lags_brings_what_it_hid(
    lab: Lab, walkers: int | None
) -> None:
    lab.spread(30, ago=86_400)
    lab.run(replace(SYNC, walkers=walkers))
    lab.lag(3600)
    lab.add([second(n / 10) for n in range(40)], "hidden")
    assert lab.run(replace(SYNC, walkers=walkers)).status == "succeeded"
    lab.lag(0)

    report = lab.run(replace(SYNC, walkers=walkers))

    assert (report.status, lab.wrong()) == ("succeeded", [])


@MODES
@pytest.mark.parametrize("seed", range(4))
def test_a_lag_below_lookback_loses_nothing_across_kills(
    lab: Lab, options: RunOptions, seed: int
) -> None:
    options = replace(options, lookback=timedelta(seconds=1.5), walkers=(None, 1, 2, 4)[seed])
    lab.spread(20, ago=86_400)
    lab.run(SYNC)
    lab.lag(0.6)
    for kill in range(6):
        lab.add([datetime.now(UTC) - timedelta(milliseconds=n) for n in range(33)], f"r{kill}-")
        lab.run(options, kill=Killer(at_request=2 + (kill * 3 + seed) % 7))
        time.sleep(0.25)
    time.sleep(0.7)

    report = lab.run(options)

    assert (report.status, lab.wrong()) == ("succeeded", [])


@WALKERS
@pytest.mark.parametrize("history", [0, 30])
def test_without_lookback_a_second_is_proven_only_once_it_is_over(
    lab: Lab, history: int, walkers: int | None
) -> None:
    options = replace(SYNC, lookback=timedelta(0), walkers=walkers)
    lab.spread(history, ago=86_400)
    whole = second(10)
    for moment in (0.1, 0.2, 0.3, 0.9, 1.1, 1.2):
        now = whole + timedelta(seconds=moment)

        report = lab.run(options, clock=lambda now=now: now)  # type: ignore[misc]

        assert (moment, report.status, lab.wrong()) == (moment, "succeeded", [])
        lab.add([now.replace(microsecond=0)] * 25, "now")
