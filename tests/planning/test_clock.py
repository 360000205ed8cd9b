"""A step of the clock, told from wall time against running time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from etl.planning.clock import LEAST_STEP, measure_clock_step

NOW = datetime(2026, 5, 15, 14, 33, tzinfo=UTC)


@given(passed=st.floats(0, 1e6), step=st.floats(-1e8, 1e8))
def test_a_step_is_what_the_wall_clock_went_further(passed: float, step: float) -> None:
    now = NOW + timedelta(seconds=passed + step)

    found = measure_clock_step(NOW, 500.0, now, 500.0 + passed)

    if abs(step) < LEAST_STEP.total_seconds() - 0.001:
        assert found is None
    if abs(step) > LEAST_STEP.total_seconds() + 0.001:
        assert found is not None
        assert abs(found.total_seconds() - step) < 0.001


def test_summer_time_is_no_step() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC).astimezone(berlin)
    after = datetime(2026, 3, 29, 1, 0, 1, tzinfo=UTC).astimezone(berlin)

    assert measure_clock_step(before.astimezone(UTC), 0.0, after.astimezone(UTC), 2.0) is None
