"""Which open sessions are due for a look, which suspects are believed, what a sample says."""

from datetime import datetime, timedelta
from math import comb
from typing import Final

from etl.models import WATCHED_STATES

ALWAYS_CHECKED: Final = timedelta(days=1)
"""Every sync checks a session for this long after its last observed change."""

LONGEST_PAUSE: Final = timedelta(days=1)
RAREFACTION: Final = 24
"""After that, the pause is the age of the change divided by this: an hour after a day."""

MOST_MISSING: Final = 20
TENTH: Final = 10


def needs_check(
    state: str | None,
    changed_at: datetime,
    checked_at: datetime,
    now: datetime,
    idle_recheck: timedelta,
) -> bool:
    """Whether an open session is to be retrieved now.

    `changed_at` is its last observed change (its first sight is one), `checked_at` the last time
    that its state was confirmed. Idle and unknown states are watched for `idle_recheck` only.
    """
    age = now - changed_at
    if state not in WATCHED_STATES and age > idle_recheck:
        return False
    if age <= ALWAYS_CHECKED:
        return True
    return now - checked_at >= min(LONGEST_PAUSE, age / RAREFACTION)


def are_believable(suspects: int, stored: int) -> bool:
    """Whether so many sessions may really be gone; more look like lost access."""
    return suspects <= max(MOST_MISSING, stored // TENTH)


def upper_bound(wrong: int, sampled: int, confidence: float = 0.95) -> float:
    """The share of wrong rows that a sample excludes with this confidence (Clopper-Pearson).

    The largest share under which seeing so few wrong ones would still not be a surprise.
    """
    if sampled == 0 or wrong >= sampled:
        return 1.0
    low, high = wrong / sampled, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _sum_chances(wrong, sampled, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _sum_chances(wrong: int, sampled: int, share: float) -> float:
    """The chance of at most so many wrong ones in a sample."""
    return sum(comb(sampled, k) * share**k * (1 - share) ** (sampled - k) for k in range(wrong + 1))
