"""When jobs fire, on a clock that steps."""

from datetime import UTC, datetime, timedelta

import pytest

from etl.service.triggers import Cron, Interval, plan_after_step

NOW = datetime(2026, 5, 15, 14, 33, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_an_interval_goes_on_in_its_own_turn() -> None:
    trigger = Interval(minutes=15, timezone="UTC")

    for late in (timedelta(0), timedelta(minutes=14)):
        assert trigger.get_next_fire_time(NOW, NOW + late) == NOW + timedelta(minutes=15)
    assert trigger.get_next_fire_time(NOW, NOW + timedelta(minutes=50)) == NOW + HOUR


@pytest.mark.parametrize("seconds", [0.01, 900])
def test_years_of_missed_firings_are_one(seconds: float) -> None:
    """APScheduler asks for the next firing until it lies ahead, and keeps a list."""
    trigger = Interval(seconds=seconds, timezone="UTC")
    later = NOW + timedelta(days=4000)

    at = trigger.get_next_fire_time(NOW, later)

    assert later < at <= later + timedelta(seconds=seconds)


def test_years_of_a_cron_line_are_one() -> None:
    trigger = Cron.from_crontab("* * * * *", timezone="UTC")
    later = NOW + timedelta(days=4000, seconds=30)

    assert trigger.get_next_fire_time(NOW, NOW) == NOW + timedelta(minutes=1)
    assert trigger.get_next_fire_time(NOW, NOW + HOUR) == NOW + timedelta(minutes=1)
    assert trigger.get_next_fire_time(NOW, later) == later + timedelta(seconds=30)


def test_after_a_step_back_a_job_is_as_far_away_as_before() -> None:
    trigger = Interval(minutes=15, timezone="UTC")
    due, now = NOW + timedelta(minutes=4), NOW - HOUR

    assert plan_after_step(trigger, due, -HOUR, now) == now + timedelta(minutes=4)


def test_after_a_step_back_a_cron_line_means_the_new_clock() -> None:
    trigger = Cron.from_crontab("0 * * * *", timezone="UTC")
    now = NOW - 6 * HOUR

    due = plan_after_step(trigger, NOW + timedelta(minutes=27), -6 * HOUR, now)

    assert due == now + timedelta(minutes=27)


def test_after_a_step_forward_what_is_overdue_stays_so() -> None:
    trigger = Interval(minutes=15, timezone="UTC")

    assert plan_after_step(trigger, NOW, HOUR, NOW + HOUR) == NOW
