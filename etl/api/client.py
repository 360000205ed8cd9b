"""Fetching from the API: one connection pool, one pacer, the same retries for every request.

Redirects are never followed: the credential would travel along (docs/gumloop-api.md).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import httpx
import tenacity

from etl.api.bodies import LARGEST_LIST, LARGEST_SESSION, read_response
from etl.api.clock_skew import ClockSkew
from etl.api.connections import make_connector, translate_failure
from etl.api.decoding.agents import AgentsPage, decode_agents, decode_teams
from etl.api.decoding.sessions import (
    RetrievedSession,
    decode_page,
    decode_records,
    decode_retrieved,
)
from etl.api.decoding.transcripts import decode_transcript
from etl.api.errors import find_error, translate_response
from etl.api.rate_limit import RateLimiter
from etl.api.waits import Waits
from etl.clock import utc_now
from etl.config import Api, Credentials
from etl.errors import (
    ApiError,
    ConfigError,
    CursorRefused,
    CutShort,
    Denied,
    Malformed,
    RetryLater,
    Transient,
)
from etl.events import Answered, GaveUp, Observe, Retried, ignore
from etl.models import Counts, Message, Order, Page, Team, is_alias

__all__ = ["Client", "CredentialSource", "Fetched", "FetchedSession", "FetchedTranscript"]

LARGE: Final = 2**20
"""Bodies beyond this are decoded one at a time: JSON may take sixty times its size meanwhile."""

REFUSE_CURSOR: Final = frozenset(range(400, 500)) - {401, 403}
"""Statuses by which a request with a cursor may be told that the cursor is of no use."""

DEADLINE_FACTOR: Final = 4
"""A body may trickle for so many timeouts; `timeout` itself bounds each read."""


HINT_ATTEMPTS: Final = 2
"""How often the first request behind a hint is sent: another way leads to the same sessions."""


class Fetched(NamedTuple):
    """A page and the time at which its request was sent: it counts as of then."""

    page: Page
    requested_at: datetime


class _Timed(NamedTuple):
    content: Any
    requested_at: datetime


class CredentialSource(Protocol):
    """Supplies the credential of each request; see `etl.api.credentials`."""

    @property
    def team_id(self) -> str | None:
        """The team that every request names, if any."""

    def current(self) -> Credentials:
        """The credential of the next request."""

    def renew(self, used: Credentials, /) -> bool:
        """Look for another one after a 401. Returns whether there is one."""

    def mark_refused(self, used: Credentials, /) -> None:
        """Note that the API has refused it for good."""

    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""


class Client:
    """The API for all threads of a process. Raises ApiError, or Stopped once `stop` is set."""

    def __init__(
        self,
        api: Api,
        credentials: CredentialSource,
        stop: threading.Event | None = None,
        pacer: RateLimiter | None = None,
        observe: Observe = ignore,
    ) -> None:
        self.api = api
        self._credentials = credentials
        self._stop = stop or threading.Event()
        pacer = pacer or RateLimiter(api.requests_per_second)
        self._waits = Waits(pacer, api.max_wait, self._stop, observe)
        self._skew = ClockSkew()
        self._observe = observe
        self._base = api.base_url.rstrip("/")
        # As many clients of one connection each as requests may be in flight, made when needed.
        # A pool shared by threads closes connections that another thread is about to use: up to 1
        # in 400 requests then failed with "bad file descriptor" (httpcore 1.0.9, 32 threads).
        self._connections: queue.LifoQueue[httpx.Client | None] = queue.LifoQueue()
        self._large = threading.Lock()
        self._connect = make_connector(api)
        for _ in range(api.concurrency - 1):
            self._connections.put(None)
        # The first one now: what is wrong with a proxy is wrong with all, and is reported at once.
        self._connections.put(self._connect())
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Transient, Malformed)),
            stop=tenacity.stop_after_attempt(api.max_attempts),
            wait=self._backoff,
            before_sleep=self._tell_retry,
            sleep=self._waits.pause,
            reraise=True,
        )
        self._trying_hint = self._retrying.copy(stop=self._gives_hint_up)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        while not self._connections.empty():
            if (connection := self._connections.get()) is not None:
                connection.close()

    @property
    def is_saturated(self) -> bool:
        """Whether requests wait for their turn: more of them side by side gain nothing."""
        return self._waits.is_saturated

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self._stop.is_set()

    @property
    def closed_for(self) -> float:
        """Seconds for which the API asks for no request, see RetryLater; 0: it may be asked."""
        return self._waits.closed_for

    @property
    def clock_skew(self) -> timedelta | None:
        """By how much this machine's clock is ahead of the API's, at least; None: not known."""
        return self._skew.least

    def fetch_page(
        self,
        agent_id: str,
        counts: Counts,
        *,
        order: Order | str = "newest",
        cursor: str | None = None,
        page_size: int | None = None,
        filters: Mapping[str, str] | None = None,
        is_hint: bool = False,
    ) -> Fetched:
        """One page of an agent's sessions. Raises Malformed if a 200 isn't one.

        If the cursor `is_hint`, the server may know it no more: an error is repeated once only.

        Raises CursorRefused if a request with a cursor is refused for anything but the credential:
        how a server refuses a cursor that has died isn't documented (400, 404, 410 ...). If it is
        the agent that is gone, the request without a cursor tells.
        """
        size = page_size or self.api.page_size
        query = {"page_size": str(size), "sort_order": order}
        query |= dict(filters or {}) | ({"cursor": cursor} if cursor else {})
        path = f"{_path_of(agent_id)}/sessions"
        what = f"sessions of agent {agent_id!r:.80}"
        decode = partial(decode_page, agent_id=agent_id, page_size=size)
        try:
            return Fetched(*self._fetch(what, path, query, counts, decode, is_hint=is_hint))
        except Denied as error:
            if cursor is None or error.status not in REFUSE_CURSOR:
                raise
            raise CursorRefused(error.message, status=error.status, code=error.code) from None

    def each_record(
        self, agent_id: str, order: str, filters: Mapping[str, str], limit: int | None
    ) -> Iterator[bytes]:
        """Every record that the list holds under these filters, as sent. Raises CutShort."""
        path = f"{_path_of(agent_id)}/sessions"
        what, seen, cursor, left = f"sessions of agent {agent_id!r:.80}", set[str](), "", limit
        while left is None or left > 0:
            size = min(self.api.page_size, left or self.api.page_size)
            query = {"page_size": str(size), "sort_order": order, **filters}
            query |= {"cursor": cursor} if cursor else {}
            records, cursor = self._fetch(what, path, query, Counts(), decode_records).content
            for record in records[:left]:
                yield bytes(record)
            left = None if left is None else left - len(records)
            if not cursor:
                return
            if cursor in seen:
                raise CutShort("the list repeats a cursor", "it has no end; try again later")
            seen.add(cursor)

    def fetch_session(self, session_id: str, agent_id: str, counts: Counts) -> "FetchedSession":
        """One session by its id. Raises Denied with status 404 if the API has it no more."""
        decode = partial(decode_retrieved, session_id=session_id, agent_id=agent_id)
        return FetchedSession(*self._fetch_by_id(session_id, counts, decode))

    def fetch_transcript(self, session_id: str, counts: Counts) -> "FetchedTranscript":
        """The messages of one session. Raises as `fetch_session` does."""
        decode = partial(decode_transcript, session_id=session_id)
        return FetchedTranscript(*self._fetch_by_id(session_id, counts, decode))

    def fetch_agents(self, team_id: str | None, cursor: str | None, counts: Counts) -> AgentsPage:
        """A page of a team's agents, or of the caller's own."""
        query = {"page_size": str(self.api.page_size)} | ({"team_id": team_id} if team_id else {})
        query |= {"cursor": cursor} if cursor else {}
        what = f"agents of team {team_id!r:.80}" if team_id else "own agents"
        page: AgentsPage = self._fetch(what, "/agents", query, counts, decode_agents).content
        return page

    def fetch_teams(self, counts: Counts) -> list[Team]:
        """Every team that the credential sees."""
        teams: list[Team] = self._fetch("teams", "/teams", {}, counts, decode_teams).content
        return teams

    def _fetch_by_id(self, session_id: str, counts: Counts, decode: Callable[..., Any]) -> Any:
        what = f"session {session_id!r:.80}"
        if session_id in ("", ".", ".."):
            raise Malformed(f"{what}: an id like this can't be part of a URL")
        path = f"/sessions/{quote(session_id, safe='')}"
        return self._fetch(what, path, {}, counts, decode, LARGEST_SESSION)

    def _fetch(
        self,
        what: str,
        path: str,
        query: dict[str, str],
        counts: Counts,
        decode: Callable[..., Any],
        most: int = LARGEST_LIST,
        *,
        is_hint: bool = False,
    ) -> Any:
        """Fetch and decode until it works or the attempts are used up."""
        team = {"team_id": self._credentials.team_id} if self._credentials.team_id else {}
        url = httpx.URL(self._base + path, params=team | query)
        try:
            retrying = self._trying_hint if is_hint else self._retrying
            return retrying(self._attempt, what, url, counts, decode, most)
        except (Transient, Malformed) as error:
            self._observe(GaveUp(what, error))
            raise

    def _attempt(
        self, what: str, url: httpx.URL, counts: Counts, decode: Callable[..., Any], most: int
    ) -> Any:
        try:
            body = self._send(what, url, counts, most)
        except (Transient, RetryLater) as error:
            raise self._waits.limit_wait(what, error) from None
        try:
            with self._large if len(body.content) > LARGE else nullcontext():
                return _Timed(decode(body.content), body.requested_at)
        except Malformed as error:
            reason = error.message
        # Out here the new error doesn't hold on to what was decoded until the old one was raised.
        said = find_error(body.content)
        if said is not None:
            reason = f"status 200, but {said.code or said.message}"
        raise Malformed(f"{what}: {self._clean(reason)}")

    def _send(self, what: str, url: httpx.URL, counts: Counts, most: int) -> _Timed:
        """Send; once more if the credential is refused and there is another by now."""
        used = self._credentials.current()
        try:
            return self._send_as(used, what, url, counts, most)
        except Denied as error:
            if error.status != 401 or not self._credentials.renew(used):
                raise
        used = self._credentials.current()
        try:
            return self._send_as(used, what, url, counts, most)
        except Denied as error:
            if error.status == 401:
                self._credentials.mark_refused(used)
            raise

    def _send_as(
        self, used: Credentials, what: str, url: httpx.URL, counts: Counts, most: int
    ) -> _Timed:
        self._waits.await_turn()
        counts.requests += 1
        requested_at = utc_now()
        connection = self._connections.get()
        began, status = time.monotonic(), None
        try:
            connection = connection or self._connect()
            with connection.stream("GET", url, headers=used.headers()) as response:
                self._skew.note(response.headers.get("date"), requested_at, utc_now())
                content = read_response(what, response, most, DEADLINE_FACTOR * self.api.timeout)
            status = response.status_code
        except httpx.HTTPError as error:
            raise translate_failure(what, self._base, error) from None
        finally:
            self._connections.put(connection)
            self._observe(Answered(status, time.monotonic() - began, self.clock_skew))
        if response.status_code != 200:
            refused = translate_response(
                what, response.status_code, response.headers, content, utc_now()
            )
            refused.message = self._clean(refused.message)
            raise refused
        return _Timed(content, requested_at)

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return self._waits.backoff(state.attempt_number, error)

    def _gives_hint_up(self, state: tenacity.RetryCallState) -> bool:
        """Whether an error is the hint's, as far as can be told; a 429 is not."""
        error = state.outcome.exception() if state.outcome else None
        is_limit = getattr(error, "status", None) == HTTPStatus.TOO_MANY_REQUESTS
        most = self.api.max_attempts
        return state.attempt_number >= (most if is_limit else min(most, HINT_ATTEMPTS))

    def _tell_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ApiError):
            self._observe(Retried(state.args[0], error, state.attempt_number, state.upcoming_sleep))

    def pause_after(self, attempt: int) -> None:
        """Wait a little after the given attempt brought a response that can't be right."""
        self._waits.pause(self._waits.backoff(attempt, None))

    def _clean(self, text: str) -> str:
        """A server's words without our secret, should it echo it."""
        for secret in self._credentials.secrets():
            text = text.replace(secret, "***")
        return text


class FetchedSession(NamedTuple):
    """One session and the time at which its request was sent."""

    retrieved: RetrievedSession
    requested_at: datetime


class FetchedTranscript(NamedTuple):
    """The messages of one session and the time at which its request was sent."""

    messages: list[Message]
    requested_at: datetime


def _path_of(agent_id: str) -> str:
    """Where an agent is. Raises ConfigError for one that mustn't be requested."""
    if is_alias(agent_id):
        hint = "use the id of the agent that it stands for"
        raise ConfigError(f"agent {agent_id!r}: asking for this alias would create an agent", hint)
    if agent_id in ("", ".", ".."):
        raise ConfigError(
            f"agent {agent_id!r}: an id like this can't be part of a URL", "check the id"
        )
    return f"/agents/{quote(agent_id, safe='')}"
