"""From a failed response to one sentence with a hint. Pure.

The API uses four shapes of error body, and some that are no JSON at all; a `trace_id` may come
along. Source: the API's OpenAPI text (docs/gumloop-api.md).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

from etl.errors import ApiError, Denied, RetryLater, Transient

TRANSIENT: Final = frozenset({408, 425, 429})
"""Statuses of the 4xx that say nothing of the request itself."""

LONGEST_MESSAGE: Final = 300
LARGEST: Final = 2**16
"""In bytes. JSON may take twenty times its size once it is read."""

LONGEST_WISH: Final = 10 * 365 * 86400.0
"""Seconds. A longer wait counts as this one, so that the calendar can hold its end."""

HINTS: Final = {
    400: "the API didn't accept the request; check the options, and the agent's id",
    401: "check GUMLOOP_ACCESS_TOKEN, or GUMLOOP_API_KEY together with GUMLOOP_USER_ID",
    403: "the credential may not read this; check its role, and GUMLOOP_TEAM_ID for a team's agent",
    404: "no such agent or session for this credential; check the id, and api.base_url",
    429: "the API is limiting the rate; set api.requests_per_second, or api.concurrency lower",
}


class ErrorText(NamedTuple):
    """What an error body says, in any of its shapes."""

    code: str | None = None
    message: str | None = None
    trace_id: str | None = None


def translate_response(
    what: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> ApiError:
    """The error that a response other than 200 stands for; `what` names the request."""
    said = read_body(body)
    hint = HINTS.get(status, "")
    text = _make_message(what, status, said)
    if status in TRANSIENT or status >= 500:
        error = Transient(
            text, hint or "the API is in trouble; try again later, a run goes on from where it was"
        )
        error.retry_after = wait_asked(headers, now)
    elif 300 <= status < 400:
        return Denied(text, "redirects are not followed; check api.base_url", status=status)
    else:
        return Denied(text, hint, status=status)
    error.status = status
    return error


def find_error(body: bytes) -> ErrorText | None:
    """What a response says that is an error in spite of its status, else None."""
    said = read_body(body)
    return said if said.code or said.message else None


def read_body(body: bytes) -> ErrorText:
    """Read an error body of any shape; one that isn't JSON says nothing, nor does a huge one."""
    if len(body) > LARGEST:
        return ErrorText()
    try:
        whole: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorText()
    if not isinstance(whole, dict):
        return ErrorText()
    error, trace = whole.get("error"), _read_text(whole.get("trace_id"))
    if isinstance(error, dict):
        return ErrorText(_read_text(error.get("code")), _read_text(error.get("message")), trace)
    message = whole.get("message") or whole.get("error_description")
    return ErrorText(_read_text(error), _read_text(message), trace)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from a `Retry-After` header: a number, or an HTTP date."""
    number = (value or "").strip()
    if number.isascii() and number.isdigit():
        return min(float(number), LONGEST_WISH)
    until = parse_date(number)
    if until is None:
        return None
    return min(LONGEST_WISH, max(0.0, (until - now).total_seconds()))


def wait_asked(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a response asks to wait; None if it doesn't.

    A date is compared with the response's own `Date`, so that a wrong clock here does no harm.
    """
    return retry_after(headers.get("retry-after"), parse_date(headers.get("date", "")) or now)


def parse_date(value: str) -> datetime | None:
    """The instant that an HTTP date names; None for anything else."""
    try:
        instant = parsedate_to_datetime(value)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def retry_later(what: str | None, seconds: float, status: int | None, now: datetime) -> RetryLater:
    """The error of a server that wants so many seconds without requests."""
    head = "".join(f"{part}: " for part in (what, status and f"HTTP {status}") if part)
    sentence = f"{head}the API asks to come back {describe_time(now, seconds)}"
    hint = "that is a longer wait than api.max_wait; nothing is sent before"
    return RetryLater(sentence, hint, seconds=seconds, status=status)


def describe_time(now: datetime, seconds: float) -> str:
    """An instant ahead, as a person says it: `at 14:05 UTC tomorrow`; rounded up to a minute."""
    at = now + timedelta(seconds=seconds)
    at += timedelta(seconds=-at.second % 60, microseconds=-at.microsecond)
    if at < now + timedelta(seconds=seconds):
        at += timedelta(minutes=1)
    days = (at.date() - now.date()).days
    day = {0: "today", 1: "tomorrow"}.get(days, f"on {at:%Y-%m-%d}")
    return f"at {at:%H:%M} UTC {day}"


def _make_message(what: str, status: int, said: ErrorText) -> str:
    parts = [f"{what}: HTTP {status}"]
    if said.code:
        parts.append(said.code)
    if said.message:
        parts.append(said.message)
    sentence = ", ".join(parts)
    return f"{sentence} [trace {said.trace_id}]" if said.trace_id else sentence


def _read_text(value: object) -> str | None:
    return " ".join(value.split())[:LONGEST_MESSAGE] if isinstance(value, str) else None
