"""Who may ask: tokens and keys that are accepted, and the grant that renews tokens."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from etl.simulator.http.errors import ApiError
from etl.simulator.http.messages import Request


@dataclass
class Credentials:
    """What the simulator accepts. *expires_in* is in seconds and holds for renewed tokens."""

    token: str = "sim-token"
    api_key: str = "sim-key"
    user_id: str = "user_sim"
    # A key of a team: it needs x-auth-key and, on every request, its team_id.
    team_key: str = "sim-team-key"
    team_id: str = "team_growth"
    refresh_token: str = "sim-refresh"
    expires_in: float = 3600
    rotates: bool = True
    _issued: dict[str, float] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, request: Request) -> None:
        """Raise ApiError (401) unless *request* proves who sent it."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        user_id = request.headers.get("x-auth-key")
        if scheme.lower() != "bearer" or not secret:
            raise ApiError(401, "unauthorized", "Missing bearer token")
        if user_id is None:
            self._check_token(secret)
        elif user_id != self.user_id or secret not in (self.api_key, self.team_key):
            raise ApiError(401, "invalid_api_key", "The API key is not valid for this user")
        elif secret == self.team_key and request.params.get("team_id") != self.team_id:
            raise ApiError(403, "team_mismatch", "The key belongs to another team", param="team_id")

    def _check_token(self, secret: str) -> None:
        if secret in (self.api_key, self.team_key):
            raise ApiError(401, "invalid_token", "Missing subject", shape=4)
        expires_at = self._issued.get(secret)
        if expires_at is None and secret != self.token:
            raise ApiError(401, "invalid_token", "Unknown token", shape=4)
        if expires_at is not None and time.monotonic() >= expires_at:
            raise ApiError(401, "invalid_token", "Token has expired", shape=4)

    def expire(self) -> None:
        """Make every token useless that was accepted until now; renewing goes on."""
        with self._lock:
            self._issued = dict.fromkeys((self.token, *self._issued), 0.0)

    def revoke(self) -> None:
        """Kill the grant: no token can be renewed any more."""
        self.refresh_token = ""

    def renew(self, form: dict[str, str]) -> dict[str, object]:
        """Return the body of a token answer; raises ApiError (400) if the grant is dead."""
        if form.get("grant_type") != "refresh_token":
            raise ApiError(400, "unsupported_grant_type", "Only refresh_token here", shape=4)
        if not form.get("client_id"):
            raise ApiError(400, "invalid_request", "client_id is missing", shape=4)
        with self._lock:
            return self._issue(form.get("refresh_token"))

    def _issue(self, refresh_token: str | None) -> dict[str, object]:
        if not self.refresh_token or refresh_token != self.refresh_token:
            raise ApiError(400, "invalid_grant", "The refresh token is not valid", shape=4)
        access = f"sim-access-{secrets.token_hex(8)}"
        self._issued[access] = time.monotonic() + self.expires_in
        body = {"access_token": access, "token_type": "Bearer", "expires_in": self.expires_in}
        if self.rotates:
            self.refresh_token = f"sim-refresh-{secrets.token_hex(8)}"
            body["refresh_token"] = self.refresh_token
        return body


def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form-encoded body; raises ApiError (400) for another body."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise ApiError(400, "invalid_request", "The body must be form encoded", shape=4)
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


class RateLimit:
    """So many requests a second, with a burst of as many."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._tokens = max(1.0, per_second)
        self._at = time.monotonic()

    def check(self) -> None:
        """Count a request; raise ApiError (429 with Retry-After) if it is one too many."""
        now = time.monotonic()
        burst = max(1.0, self.per_second)
        self._tokens = min(burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            # Whole seconds are what most servers send, rounded so that a wait suffices.
            wait = int((1 - self._tokens) / self.per_second) + 1
            headers = {"Retry-After": str(wait)}
            message = "Too many requests"
            raise ApiError(429, "gummie_rate_limit", message, shape=3, headers=headers)
        self._tokens -= 1
