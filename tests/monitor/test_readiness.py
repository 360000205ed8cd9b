"""Whether the data is fit for use, by the last success and the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from etl.models import CLOCKS_DIFFER
from etl.service.monitor.readiness import describe_readiness

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BOUND = timedelta(hours=1)


@pytest.mark.parametrize(
    ("age", "ready"),
    [
        (timedelta(0), True),
        (BOUND, True),
        (BOUND + timedelta(seconds=1), False),
        (-CLOCKS_DIFFER, True),
        (-CLOCKS_DIFFER - timedelta(seconds=1), False),
        (-timedelta(days=400), False),
    ],
)
def test_a_success_counts_for_so_long_and_none_of_the_future(age: timedelta, ready: bool) -> None:
    assert describe_readiness({"a": NOW - age}, ["a"], NOW, BOUND)["ready"] is ready
