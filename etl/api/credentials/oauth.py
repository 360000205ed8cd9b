"""An OAuth grant: access tokens that are renewed ahead of their end, and when refused.

Once for all threads: one asks, the others wait for it or go on with what is valid. Once for all
processes that share the file of the refresh token: under its lock, what another has renewed is
taken over. The access token is kept beside that file, for them and for the next command.
"""

import copy
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from etl import __version__
from etl.api.bodies import ACCEPT_ENCODING, read_body_within
from etl.api.credentials.locked_file import NewFile, hold_lock, replace_file
from etl.api.credentials.oauth_tokens import (
    RENEWAL,
    AccessToken,
    TokenReply,
    is_over,
    needs_renewal,
    parse_token,
    read_reply,
    serialize_token,
)
from etl.api.errors import read_body, retry_later, wait_asked
from etl.api.proxies import explain, open_client
from etl.api.rate_limit import steady_clock
from etl.config import Api
from etl.credentials import Credentials, CredentialSource, read_secret
from etl.errors import ConfigError, Denied, EtlError, Stopped, Transient

LOG: Final = logging.getLogger("etl.credentials")

LARGEST_REPLY: Final = 2**16
EARLY_RETRY_PAUSE: Final = 30.0
"""Seconds for which a token that is still valid is used after a renewal that failed."""

REFUSAL_LASTS: Final = 300.0
"""Seconds for which a refused refresh token isn't sent again, unless the file has another."""

LOCK_TIMEOUTS: Final = 4
"""Timeouts that another process may hold the lock for."""

MOST_SECRETS: Final = 16


class _CurrentToken(NamedTuple):
    """The token in use, and the credential made of it."""

    token: AccessToken
    credentials: Credentials


class _Failure(NamedTuple):
    """A renewal that failed, at a time of `time.monotonic`."""

    at: float
    error: EtlError


class _Refusal(NamedTuple):
    """A refresh token that was refused, and isn't sent again until then (`time.monotonic`)."""

    refresh_token: str
    until: float
    error: Denied


class Grant(CredentialSource):
    """A source of access tokens. Raises ConfigError if there is no refresh token to begin with."""

    def __init__(
        self,
        api: Api,
        team_id: str | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        oauth = api.oauth
        assert oauth.client_id is not None
        assert oauth.refresh_token_file is not None
        self.team_id = team_id
        self._client_id = oauth.client_id
        self._url = oauth.token_url or str(httpx.URL(api.base_url).join("/oauth/token"))
        # A link stays one: what it points to is replaced.
        self._file = Path(oauth.refresh_token_file).resolve()
        self._access_file = self._file.with_name(f"{self._file.name}.access")
        self._timeout = api.timeout
        self._longest_wait = api.max_wait.total_seconds()
        self._stop = stop or threading.Event()
        self._clock = clock
        self._renewing = threading.Lock()
        self._current: _CurrentToken | None = None
        # Access tokens that got a 401: one to be renewed, and one that had just been.
        self._stale: str | None = None
        self._useless: str | None = None
        # Whoever waited for a renewal that failed shares its failure.
        self._failure: _Failure | None = None
        self._refusal: _Refusal | None = None
        # Times of `steady_clock` until which no token is renewed early, or none at all.
        self._no_early_renewal_until = 0.0
        self._closed_until = 0.0
        # The refresh token in the file, and the one that could not be saved in its place.
        self._unsaved: tuple[str, str] | None = None
        self._secrets: tuple[str, ...] = ()
        self._read_refresh_token()

    def __repr__(self) -> str:
        return f"Grant({str(self._file)!r})"

    def describe(self) -> str:
        """Which kind of credential this is, in words; asks for a token if there is none yet."""
        self.get_current()
        ends = self._current and self._current.token.expires_at
        until = f"until {ends:%Y-%m-%d %H:%M:%S} UTC" if ends else "until it is refused"
        return f"an OAuth token, valid {until}, renewed from {self._file}"

    def get_current(self) -> Credentials:
        """The credential for the next request.

        Raises Denied if the grant is dead, Transient or Malformed if it can't be renewed now.
        """
        current, now = self._current, self._clock()
        if current is None or is_over(current.token, now) or current.token.value == self._stale:
            return self._renew_once(current)
        if needs_renewal(current.token, now) and steady_clock() >= self._no_early_renewal_until:
            self._renew_early()
            current = self._current or current
        return current.credentials

    def renew(self, used: Credentials) -> bool:
        """Get another token after a 401. Returns whether there is one. Raises as above."""
        if used.token == self._useless:
            return False
        if self._current is not None and self._current.token.value == used.token:
            self._stale = used.token
        return self.get_current().token != used.token

    def mark_refused(self, used: Credentials) -> None:
        """A token just renewed was refused, too: renewing it once more would not help."""
        self._useless = used.token

    def list_secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return self._secrets

    def _renew_early(self) -> None:
        """Renew a token that is still valid, unless another thread is at it. Never raises."""
        if not self._renewing.acquire(blocking=False):
            return
        try:
            self._renew()
        except Stopped:
            return
        except EtlError as error:
            self._no_early_renewal_until = steady_clock() + EARLY_RETRY_PAUSE
            LOG.warning("the access token could not be renewed, and is used to its end: %s", error)
        finally:
            self._renewing.release()

    def _renew_once(self, stale: "_CurrentToken | None") -> Credentials:
        """The token that one thread gets for all who wait; its failure is theirs as well."""
        asked_at = time.monotonic()
        with self._renewing:
            if self._current is not None and self._current is not stale:
                return self._current.credentials
            if self._failure is not None and self._failure.at >= asked_at:
                raise copy.copy(self._failure.error)
            try:
                return self._renew().credentials
            except EtlError as error:
                self._failure = _Failure(time.monotonic(), error)
                raise

    def _renew(self) -> "_CurrentToken":
        """Take over what another process has renewed, else renew."""
        with hold_lock(self._file, self._pause, LOCK_TIMEOUTS * self._timeout):
            refresh = self._read_refresh_token()
            token = self._read_kept_token(refresh) or self._exchange_latest(refresh)
        self._remember_secret(token.value)
        self._current = _CurrentToken(token, Credentials(token.value, None, self.team_id))
        return self._current

    def _read_kept_token(self, refresh: str) -> AccessToken | None:
        """The token that another process got for this grant, if it is better than ours."""
        try:
            token = parse_token(self._access_file.read_bytes(), self._hash_grant(refresh))
        except OSError:
            return None
        if token is None or needs_renewal(token, self._clock()):
            return None
        return None if token.value in (self._stale, self._useless) else token

    def _exchange_latest(self, refresh: str) -> AccessToken:
        """Renew; again if a program that takes no lock has written a new refresh token."""
        try:
            return self._exchange(refresh)
        except Denied:
            newer = self._read_refresh_token()
            if newer == refresh:
                raise
            return self._exchange(newer)

    def _exchange(self, refresh: str) -> AccessToken:
        """Renew, and store what replaces the old before anything else can go wrong."""
        refusal = self._refusal
        if refusal and refusal.refresh_token == refresh and time.monotonic() < refusal.until:
            raise copy.copy(refusal.error)
        if (left := self._closed_until - steady_clock()) > 0:
            raise retry_later(RENEWAL, left, None, self._clock())
        with replace_file(self._file) as new, replace_file(self._access_file) as new_access:
            reply = self._request_token(refresh)
            if reply.refresh_token not in (None, refresh) or self._unsaved:
                refresh = self._save_refresh_token(new, refresh, reply.refresh_token or refresh)
            with suppress(OSError):
                # Without it other processes renew for themselves.
                new_access.put(serialize_token(reply.access, self._hash_grant(refresh)))
        return reply.access

    def _save_refresh_token(self, new: NewFile, old: str, refresh: str) -> str:
        """Store the refresh token that replaces the old one; if that fails, know it at least."""
        self._remember_secret(refresh)
        try:
            new.put(f"{refresh}\n".encode())
            self._unsaved = None
        except OSError as error:
            in_file = self._unsaved[0] if self._unsaved else old
            self._unsaved = (in_file, refresh)
            reason = error.strerror or type(error).__name__
            LOG.error("the new refresh token is in memory alone: %s: %s", self._file, reason)
        return refresh

    def _request_token(self, refresh: str) -> TokenReply:
        sent_at = self._clock()
        status, headers, body = self._post(refresh)
        sent = read_body(body)
        code, message = (text and self._hide_secrets(text) for text in (sent.code, sent.message))
        try:
            return read_reply(status, body, code, message, sent_at)
        except Denied as error:
            self._refusal = _Refusal(refresh, time.monotonic() + REFUSAL_LASTS, error)
            raise
        except Transient as error:
            error.retry_after = wait = wait_asked(headers, sent_at)
            if wait is None or wait <= self._longest_wait:
                raise
            self._closed_until = steady_clock() + wait
            raise retry_later(RENEWAL, wait, status, self._clock()) from None

    def _post(self, refresh: str) -> tuple[int, httpx.Headers, bytes]:
        """Send the form. Raises Transient where the network fails, Malformed for a huge reply."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        form["client_id"] = self._client_id
        try:
            with self._connect() as client, client.stream("POST", self._url, data=form) as reply:
                body = read_body_within(RENEWAL, reply, LARGEST_REPLY, 2 * self._timeout)
        except httpx.HTTPError as error:
            reason = self._hide_secrets(explain(error))
            host = httpx.URL(self._url).host
            hint = "the next try may help; or check api.oauth.token_url"
            raise Transient(f"{RENEWAL}: {host}: {reason}", hint) from None
        return reply.status_code, reply.headers, body

    def _connect(self) -> httpx.Client:
        return open_client(
            headers={
                "user-agent": f"gumloop-etl/{__version__}",
                "accept": "application/json",
                "accept-encoding": ACCEPT_ENCODING,
            },
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=self._url.startswith("https:"),
        )

    def _read_refresh_token(self) -> str:
        """The refresh token as the file has it now. Raises ConfigError, or Transient at work."""
        try:
            token = read_secret(self._file, "api.oauth.refresh_token_file")
            if token is None:
                hint = "authorize, and put the refresh token there"
                raise ConfigError(f"api.oauth.refresh_token_file: {self._file} is empty", hint)
        except ConfigError as error:
            if self._current is None:
                raise
            raise Transient(error.message, error.hint) from None
        if self._unsaved is not None and self._unsaved[0] == token:
            return self._unsaved[1]
        self._remember_secret(token)
        return token

    def _hash_grant(self, refresh: str) -> str:
        """Names a grant without telling it: a kept token of another one is not taken."""
        text = "\0".join((self._url, self._client_id, refresh))
        return hashlib.sha256(text.encode()).hexdigest()

    def _remember_secret(self, secret: str) -> None:
        """Note what must not be shown, for as long as a late response may echo it."""
        if secret not in self._secrets:
            self._secrets = (*self._secrets, secret)[-MOST_SECRETS:]

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped("asked to stop")

    def _hide_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
