"""When a transcript that failed is tried again, and when to give up for now.

Which ones are due is decided in SQL, by `select_due`: a million rows are not read to find a few.
"""

from datetime import datetime, timedelta
from typing import Final

from etl.errors import ApiError, Denied, RetryLater, Transient

REFUSED_PAUSE: Final = timedelta(days=7)
"""The pause after a 403 or 404, unless the session changes before."""

UNREADABLE_PAUSE: Final = timedelta(days=1)
"""The pause after a response that can't be read or stored."""

MOST_TROUBLE: Final = 5
"""Responses in a row that fail, not for the session's sake, and look like an outage."""


def retry_at(error: ApiError, now: datetime) -> datetime:
    """When a failed retrieval is tried again."""
    if isinstance(error, Transient):
        return now
    return now + (REFUSED_PAUSE if isinstance(error, Denied) else UNREADABLE_PAUSE)


def count_troubles(before: int, error: ApiError | None) -> int:
    """How many retrievals in a row have failed for the API's sake, after one more."""
    return 0 if error is None or isinstance(error, Denied) else before + 1


def should_give_up(troubles: int, error: ApiError) -> bool:
    """Whether to ask for no more in this run: an outage, or we are to come back another time."""
    return troubles >= MOST_TROUBLE or is_of_us(error)


def is_of_us(error: ApiError) -> bool:
    """Whether a failure is not of the session: the credential is refused, or none may be asked."""
    return error.status == 401 or isinstance(error, RetryLater)
