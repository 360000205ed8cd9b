"""Which transcripts are due, when one that failed is tried again, and when to give up for now."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from etl.errors import ApiError, Denied, Transient

__all__ = ["MOST_TROUBLE", "Marker", "due", "gives_up", "retry_at", "trouble"]

REFUSED: Final = timedelta(days=7)
"""After a 403 or 404: so long until it is tried again, unless the session changes before."""

UNREADABLE: Final = timedelta(days=1)
"""The same for an answer that can't be read or stored."""

MOST_TROUBLE: Final = 5
"""So many answers in a row that failed, not for the session's sake, look like an outage."""


class Marker(NamedTuple):
    """How far a session's transcript is: the `as_of` of the row that it was retrieved for.

    `retry_at` is None where the last retrieval went well.
    """

    as_of: datetime
    retry_at: datetime | None


def due(as_of: datetime, marker: Marker | None, now: datetime) -> bool:
    """Whether a session's transcript is to be retrieved; `as_of` is that of its stored row.

    Told by inequality, not by order: a clock that was set back hides no change.
    """
    if marker is None or marker.as_of != as_of:
        return True
    return marker.retry_at is not None and marker.retry_at <= now


def retry_at(error: ApiError | None, now: datetime) -> datetime:
    """When a failed retrieval is tried again; None is an answer that the database refused."""
    if isinstance(error, Transient):
        return now
    return now + (REFUSED if isinstance(error, Denied) else UNREADABLE)


def trouble(before: int, error: ApiError | None) -> int:
    """How many retrievals in a row have failed for the API's sake, after one more."""
    return 0 if error is None or isinstance(error, Denied) else before + 1


def gives_up(troubles: int, error: ApiError | None) -> bool:
    """Whether to ask for no more in this run: an outage, or a credential that is refused."""
    return troubles >= MOST_TROUBLE or (error is not None and error.status == 401)
