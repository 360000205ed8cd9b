"""Clocks that are off: nothing is proven, marked or claimed beyond the time of a request."""

from dataclasses import replace
from datetime import timedelta

import pytest

from etl.clock import utc_now
from etl.planning.run_demand import RunOptions
from etl.simulator import Traits
from tests.sync.lab import AGENT, BACKFILL, RECONCILE, SYNC, Lab, second, shifted
from tests.torture.rig import Killer

MODES = pytest.mark.parametrize("options", [SYNC, BACKFILL, RECONCILE], ids=lambda one: one.mode)
WALKERS = pytest.mark.parametrize("walkers", [None, 1, 3])
LOOKBACKS = pytest.mark.parametrize("lookback", [0, 3600], ids=["lookback-0", "lookback-1h"])


def assert_nothing_ahead(lab: Lab, seconds: float = 0) -> None:
    """Neither the watermark nor a proof is later than a clock so far ahead of this machine's."""
    now = utc_now() + timedelta(seconds=seconds)
    for instant in (lab.watermark(), lab.proven_to()):
        assert instant is None or instant <= now
    assert all(at is None or at <= now for at in lab.listed_at().values())


# -- 5: the server's clock is ahead ---------------------------------------------------------------


@MODES
@WALKERS
@pytest.mark.parametrize("ahead", [5, 8, 3600])
def test_sessions_of_the_future_prove_nothing(
    lab: Lab, options: RunOptions, walkers: int | None, ahead: int
) -> None:
    options = replace(options, walkers=walkers)
    lab.api.adopt(Traits(clock_ahead=ahead))
    lab.spread(45)
    for number in range(3):
        lab.add([second(-ahead)] * 4 + [second(-ahead / 2 - n / 10) for n in range(30)], "soon")

        report = lab.run(options)

        assert (number, report.status, lab.wrong()) == (number, "succeeded", [])
        assert report.warnings
        assert_nothing_ahead(lab)


@LOOKBACKS
@WALKERS
@pytest.mark.parametrize("first", [SYNC, BACKFILL, RECONCILE], ids=lambda one: one.mode)
def test_what_arrives_below_sessions_of_the_future_is_stored_once_it_is_past(
    lab: Lab, first: RunOptions, walkers: int | None, lookback: int
) -> None:
    """By this machine's clock, which is a minute behind at the first run and right at the last."""
    sync = RunOptions(walkers=walkers, lookback=timedelta(seconds=lookback))
    lab.spread(45)
    for behind in (60, 50, 40, 20, 0):
        lab.add([second(n / 20 + behind / 6) for n in range(25)], f"b{behind}-")
        options = replace(first, walkers=walkers, lookback=sync.lookback) if behind > 50 else sync

        report = lab.run(options, clock=shifted(-behind))

        assert (behind, report.status, lab.wrong()) == (behind, "succeeded", [])
        assert_nothing_ahead(lab, -behind)


@LOOKBACKS
@pytest.mark.parametrize("at", [2, 4, 7])
def test_a_run_that_was_killed_among_sessions_of_the_future_claims_none(
    lab: Lab, lookback: int, at: int
) -> None:
    sync = RunOptions(lookback=timedelta(seconds=lookback))
    lab.spread(45)
    for behind in (60, 40, 20):
        lab.add([second(n / 10) for n in range(45)], f"b{behind}-")
        lab.run(sync, clock=shifted(-behind), kill=Killer(at_request=at))
        assert_nothing_ahead(lab, -behind)

    report = lab.run(sync)

    assert (report.status, lab.wrong()) == ("succeeded", [])


def test_a_server_whose_clock_is_ahead_is_reported(lab: Lab) -> None:
    lab.api.adopt(Traits(clock_ahead=90))
    lab.spread(5)

    report = lab.run(SYNC)

    assert any("clock" in warning and "behind" in warning for warning in report.warnings)


# -- 9: this machine's clock was ahead for one run ----------------------------------------------


@pytest.mark.parametrize("ahead", [10_800, 300, 45])
@pytest.mark.parametrize("killed", [None, 4])
@pytest.mark.parametrize("first", [BACKFILL, SYNC, RECONCILE], ids=lambda one: one.mode)
def test_a_clock_that_was_ahead_for_one_run_leaves_nothing_stale(
    lab: Lab, first: RunOptions, killed: int | None, ahead: int
) -> None:
    ids = lab.spread(60)
    lab.run(first, clock=shifted(ahead), kill=killed and Killer(at_request=killed))
    for id in ids[:40]:
        lab.world.change(id, name="another", state="failed")
    for id in ids[40:43]:
        lab.world.remove(id)
    changed_at = utc_now()

    report = lab.run(RECONCILE)

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []
    assert lab.missing() == set(ids[40:43]) & lab.rows().keys()
    assert_nothing_ahead(lab)
    listed = lab.listed_at()
    assert all(at is not None and at > changed_at for id, at in listed.items() if id in ids[:40])


@pytest.mark.parametrize("ahead", [10_800, 300])
def test_a_clock_that_was_ahead_is_reported_once(lab: Lab, ahead: int) -> None:
    lab.spread(20)
    lab.run(BACKFILL, clock=shifted(ahead))

    warnings = [lab.run(SYNC).warnings for _ in range(2)]

    assert any("clock was ahead" in warning for warning in warnings[0])
    assert not any("clock was ahead" in warning for warning in warnings[1])


def test_a_watermark_is_right_again_after_a_clock_that_was_ahead(lab: Lab) -> None:
    lab.spread(20)
    lab.run(BACKFILL, clock=shifted(10_800))
    lab.add([second(n) for n in range(2, 30)])

    report = lab.run(SYNC)

    assert (report.status, lab.wrong()) == ("succeeded", [])
    assert report.watermark == max(row.created_at for row in lab.rows(AGENT).values())


def test_a_session_that_begins_during_a_request_is_not_of_the_future(lab: Lab) -> None:
    lab.spread(20)
    added: list[str] = []

    def begin(_: object) -> None:
        if not added:
            added.extend(lab.add([utc_now()]))

    lab.api.on_request = begin

    report = lab.run(BACKFILL)

    assert added[0] in lab.rows()
    assert (report.status, report.warnings) == ("succeeded", [])


def test_a_session_of_the_future_is_told(lab: Lab) -> None:
    lab.add([second(-3600)])

    (warning,) = lab.run(BACKFILL).warnings

    assert "dated in the future" in warning
