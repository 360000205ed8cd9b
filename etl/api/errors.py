"""From a failed answer to one sentence with a hint. Pure.

The API uses four shapes of error body, and some that are no JSON at all; a `trace_id` may come
along. Source: the API's OpenAPI text (docs/gumloop-api.md).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

from etl.errors import ApiError, CursorRefused, Denied, Transient

__all__ = ["find_error", "retry_after", "translate_response"]

TRANSIENT: Final = frozenset({408, 425, 429})
LONGEST_MESSAGE: Final = 300
LARGEST: Final = 2**16
"""In bytes. JSON may take twenty times its size once it is read."""

LONGEST_WISH: Final = 3600.0
"""In seconds: a server that wants a longer pause is asked again after this one."""

HINTS: Final = {
    400: "the API didn't accept the request; check the agent's id",
    401: "check GUMLOOP_ACCESS_TOKEN, or GUMLOOP_API_KEY together with GUMLOOP_USER_ID",
    403: "the credential may not read this; check its role, and GUMLOOP_TEAM_ID for a team's agent",
    404: "no such agent or session for this credential; check the id, and api.base_url",
    429: "the API is limiting the rate; set api.requests_per_second lower",
}


class ErrorText(NamedTuple):
    """What an error body says, in any of its shapes."""

    code: str | None = None
    message: str | None = None
    trace_id: str | None = None


def translate_response(
    what: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> ApiError:
    """The error that an answer other than 200 stands for; `what` names the request."""
    said = read_body(body)
    hint = HINTS.get(status, "")
    text = _sentence(what, status, said)
    if status in TRANSIENT or status >= 500:
        error = Transient(text, hint or "the API is in trouble; the next run goes on from here")
        error.retry_after = retry_after(headers.get("retry-after"), now)
    elif status == 400 and "cursor" in f"{said.code} {said.message}".lower():
        return CursorRefused(text, status=status, code=said.code)
    elif 300 <= status < 400:
        return Denied(text, "redirects are not followed; check api.base_url", status=status)
    else:
        return Denied(text, hint, status=status, code=said.code)
    error.status, error.code = status, said.code
    return error


def find_error(body: bytes) -> ErrorText | None:
    """What an answer says that is an error in spite of its status, else None."""
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
    error, trace = whole.get("error"), _text(whole.get("trace_id"))
    if isinstance(error, dict):
        return ErrorText(_text(error.get("code")), _text(error.get("message")), trace)
    message = whole.get("message") or whole.get("error_description")
    return ErrorText(_text(error), _text(message), trace)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from a `Retry-After` header: a number, or an HTTP date."""
    if not value:
        return None
    number = value.strip()
    if number.isascii() and number.isdigit():
        return min(float(number), LONGEST_WISH)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(LONGEST_WISH, max(0.0, (until - now).total_seconds()))


def _sentence(what: str, status: int, said: ErrorText) -> str:
    parts = [f"{what}: HTTP {status}"]
    if said.code:
        parts.append(said.code)
    if said.message:
        parts.append(said.message)
    sentence = ", ".join(parts)
    return f"{sentence} [trace {said.trace_id}]" if said.trace_id else sentence


def _text(value: object) -> str | None:
    return " ".join(value.split())[:LONGEST_MESSAGE] if isinstance(value, str) else None
