"""OAuth: when an access token is due for renewal, and what a reply to that means. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from etl.api.errors import TRANSIENT
from etl.errors import Denied, Malformed, Transient

RENEWAL: Final = "renewing the access token"
"""What errors say was tried."""

RENEWED_AHEAD: Final = timedelta(minutes=5)
RENEWED_SHARE: Final = 0.1
"""A token is renewed this share of its life ahead of its end, at most RENEWED_AHEAD."""

LONGEST_LIFE: Final = 10 * 365 * 86400.0


class AccessToken(NamedTuple):
    """An access token with its life; one without `expires_at` is used until it is refused."""

    value: str
    issued_at: datetime
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"AccessToken(expires_at={self.expires_at})"


class TokenReply(NamedTuple):
    """What a reply grants; `refresh_token` only if a new one replaces the old."""

    access: AccessToken
    refresh_token: str | None

    def __repr__(self) -> str:
        return f"TokenReply({self.access!r})"


def needs_renewal(token: AccessToken, now: datetime) -> bool:
    """Whether a token should be renewed by now, though it may still be valid."""
    if token.expires_at is None:
        return False
    ahead = min(RENEWED_AHEAD, (token.expires_at - token.issued_at) * RENEWED_SHARE)
    # A clock that was set back makes the time of issue lie ahead: then it can't be told.
    return now >= token.expires_at - ahead or now < token.issued_at - RENEWED_AHEAD


def is_over(token: AccessToken, now: datetime) -> bool:
    """Whether a token's life has ended."""
    return token.expires_at is not None and now >= token.expires_at


def read_reply(
    status: int, body: bytes, code: str | None, message: str | None, sent_at: datetime
) -> TokenReply:
    """The token in the reply to a renewal that was sent at `sent_at`.

    `code` and `message` are what an error body says. Raises Denied if the grant is dead, Transient
    or Malformed if another try may help.
    """
    if status == 200:
        return _read_granted(body, sent_at)
    words = ", ".join(filter(None, (f"HTTP {status}", code, message)))
    if status in TRANSIENT or status >= 500:
        raise Transient(f"{RENEWAL}: {words}", "the next try may help")
    raise Denied(f"the OAuth grant can't be renewed: {words}", _advise(status, code), status=status)


def _advise(status: int, code: str | None) -> str:
    if status < 400 or status in (404, 405):
        return "check api.oauth.token_url; redirects are not followed"
    if code in ("invalid_client", "unauthorized_client"):
        return "check api.oauth.client_id"
    return "authorize anew, and put the new refresh token into api.oauth.refresh_token_file"


def _read_granted(body: bytes, sent_at: datetime) -> TokenReply:
    fields = _decode_object(body)
    access, refresh = (_parse_secret(fields.get(key)) for key in ("access_token", "refresh_token"))
    kind = fields.get("token_type", "bearer")
    if access is None or not isinstance(kind, str) or kind.lower() != "bearer":
        raise Malformed(f"{RENEWAL}: status 200, but no bearer token that can be used")
    seconds = _parse_life(fields.get("expires_in"))
    expires_at = None if seconds is None else sent_at + timedelta(seconds=seconds)
    return TokenReply(AccessToken(access, sent_at, expires_at), refresh)


def _parse_life(value: object) -> float | None:
    """A life in seconds; None for one that isn't told, or makes no sense."""
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_LIFE) if seconds > 0 else None


def _parse_secret(value: object) -> str | None:
    """A secret that may stand in a header or a file of one line."""
    usable = isinstance(value, str) and value and all(33 <= ord(char) < 127 for char in value)
    return str(value) if usable else None


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def serialize_token(token: AccessToken, grant: str) -> bytes:
    """A token as it is kept for other processes; `grant` tells the grant that it belongs to."""
    ends = token.expires_at and token.expires_at.timestamp()
    fields = {"access_token": token.value, "issued_at": token.issued_at.timestamp()}
    return msgspec.json.encode(fields | {"expires_at": ends, "grant": grant})


def parse_token(content: bytes, grant: str) -> AccessToken | None:
    """The token that was kept for this grant; None if there is none that can be read."""
    fields = _decode_object(content)
    value, ends = _parse_secret(fields.get("access_token")), fields.get("expires_at")
    if fields.get("grant") != grant or value is None:
        return None
    try:
        issued_at = _parse_instant(fields.get("issued_at"))
        expires_at = None if ends is None else _parse_instant(ends)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return AccessToken(value, issued_at, expires_at)


def _parse_instant(seconds: Any) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
