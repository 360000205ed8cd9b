"""When sessions begin: more on working days and in working hours, some in bursts."""

from datetime import timedelta
from itertools import accumulate
from random import Random

from etl.simulator.times import HOUR, SECOND, to_datetime

HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 19, 16, 12, 16, 19, 18, 14, 9, 6, 4, 3, 2, 2, 1)
WEEKDAY_WEIGHTS = (10, 11, 11, 10, 8, 2, 1)
TIE_SHARE = 0.02


def weight(instant: int) -> float:
    """Return how busy the hour of *instant* is, as a multiple of the mean hour."""
    moment = to_datetime(instant)
    mean = sum(HOUR_WEIGHTS) / 24 * sum(WEEKDAY_WEIGHTS) / 7
    return HOUR_WEIGHTS[moment.hour] * WEEKDAY_WEIGHTS[moment.weekday()] / mean


def draw_beginnings(rng: Random, count: int, days: float, now: int) -> list[int]:
    """Return *count* instants in the *days* before *now*, ascending, on whole seconds."""
    hours = max(1, round(days * 24))
    step = timedelta(days=days) / hours
    width = max(1, int(step.total_seconds()))
    start = now - hours * width * SECOND
    chosen = sorted(
        rng.choices(range(hours), cum_weights=_draw_weights(rng, start, hours), k=count)
    )
    instants = [start + (hour * width + int(rng.random() * width)) * SECOND for hour in chosen]
    _make_ties(rng, instants)
    return sorted(instants)


def _draw_weights(rng: Random, start: int, hours: int) -> list[float]:
    # Each day has a temper of its own, so that equal weekdays differ.
    tempers = [rng.lognormvariate(0, 0.4) for _ in range(hours // 24 + 1)]
    busy = (weight(start + hour * HOUR) * tempers[hour // 24] for hour in range(hours))
    return list(accumulate(busy))


def _make_ties(rng: Random, instants: list[int]) -> None:
    """Give some instants the time of their neighbour."""
    for index in range(1, len(instants)):
        if rng.random() < TIE_SHARE:
            instants[index] = instants[index - 1]
