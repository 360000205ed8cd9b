"""Servers that take few requests at once."""

from collections import Counter

import pytest

from etl.planning.run_demand import RunOptions
from etl.simulator import Traits
from tests.sync.lab import BACKFILL, RECONCILE, SYNC, Lab


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("options", [BACKFILL, RECONCILE], ids=lambda one: one.mode)
def test_a_server_that_takes_few_requests_at_once_fails_no_run(
    lab: Lab, at_once: int, options: RunOptions
) -> None:
    ids = lab.spread(300)
    if options is RECONCILE:
        lab.run(SYNC)
    lab.world.change(ids[150], name="another")
    lab.api.latency = 0.005
    lab.api.adopt(Traits(at_once=at_once))
    lab.api.clear_requests()

    report = lab.run(options, max_attempts=6)

    assert (report.status, report.error, lab.wrong()) == ("succeeded", None, [])
    assert Counter(one.status for one in lab.api.requests)[429] < 20
