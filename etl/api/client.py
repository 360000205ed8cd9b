"""What can be fetched from the API, with the same pace and retries for every request."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import tenacity

from etl.api.bodies import LARGEST_LIST, LARGEST_SESSION
from etl.api.decoding.agents import AgentsPage, decode_agents, decode_teams
from etl.api.decoding.sessions import (
    decode_page,
    decode_records,
    decode_retrieved,
)
from etl.api.decoding.transcripts import decode_transcript
from etl.api.errors import find_error
from etl.api.rate_limit import RateLimiter
from etl.api.transport import Transport
from etl.api.waits import Waits
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import CredentialSource
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
from etl.events import Observe, RequestGivenUp, RequestRetried, ignore
from etl.models import Counts, Message, Order, Page, Team, is_alias

LARGE_BODY: Final = 2**20
"""Bodies beyond this are decoded one at a time: JSON may take sixty times its size meanwhile."""

REFUSE_CURSOR: Final = frozenset(range(400, 500)) - {401, 403}
"""Statuses by which a request with a cursor may be told that the cursor is of no use."""

HINT_ATTEMPTS: Final = 2
"""How often the first request behind a hint is sent: another way leads to the same sessions."""


T = TypeVar("T")


class Fetched(NamedTuple, Generic[T]):
    """What a request brought, and when it was sent: it counts as of then."""

    content: T
    requested_at: datetime


class Client:
    """The API for all threads of a process. Raises ApiError, or Stopped once `stop` is set."""

    def __init__(
        self,
        api: Api,
        credentials: CredentialSource,
        stop: threading.Event | None = None,
        limiter: RateLimiter | None = None,
        observe: Observe = ignore,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.api = api
        self._credentials = credentials
        self._stop = stop or threading.Event()
        limiter = limiter or RateLimiter(api.requests_per_second)
        self._waits = Waits(limiter, api.max_wait, self._stop, observe)
        self._observe = observe
        self._base = api.base_url.rstrip("/")
        self._transport = Transport(api, credentials, self._waits, observe, clock)
        self._large = threading.Lock()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Transient, Malformed)),
            stop=tenacity.stop_after_attempt(api.max_attempts),
            wait=self._backoff,
            before_sleep=self._tell_retry,
            sleep=self._waits.pause,
            reraise=True,
        )
        self._trying_hint = self._retrying.copy(stop=self._gives_up_hint)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

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
        return self._transport.skew.least

    def fetch_page(
        self,
        agent_id: str,
        counts: Counts,
        *,
        order: Order = "newest",
        cursor: str | None = None,
        page_size: int | None = None,
        filters: Mapping[str, str] | None = None,
        is_hint: bool = False,
    ) -> Fetched[Page]:
        """One page of an agent's sessions. Raises Malformed if a 200 isn't one.

        If the cursor `is_hint`, the server may know it no more: an error is repeated once only.

        Raises CursorRefused if a request with a cursor is refused for anything but the credential:
        how a server refuses a cursor that has died isn't documented (400, 404, 410 ...). If it is
        the agent that is gone, the request without a cursor tells.
        """
        size = page_size or self.api.page_size
        query = {"page_size": str(size), "sort_order": order}
        query |= dict(filters or {}) | ({"cursor": cursor} if cursor else {})
        path = f"{_make_path(agent_id)}/sessions"
        what = f"sessions of agent {agent_id!r:.80}"
        decode = partial(decode_page, agent_id=agent_id, page_size=size)
        try:
            return self._fetch(what, path, query, counts, decode, is_hint=is_hint)
        except Denied as error:
            if cursor is None or error.status not in REFUSE_CURSOR:
                raise
            raise CursorRefused(error.message, status=error.status) from None

    def each_record(
        self, agent_id: str, order: str, filters: Mapping[str, str], limit: int | None
    ) -> Iterator[bytes]:
        """Every record that the list holds under these filters, as sent. Raises CutShort."""
        path = f"{_make_path(agent_id)}/sessions"
        what, seen, left = f"sessions of agent {agent_id!r:.80}", set[str](), limit
        cursor: str | None = None
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

    def fetch_session(self, session_id: str, agent_id: str, counts: Counts) -> Fetched[Page]:
        """One session by its id. Raises Denied with status 404 if the API has it no more."""
        decode = partial(decode_retrieved, session_id=session_id, agent_id=agent_id)
        return self._fetch_by_id(session_id, counts, decode)

    def fetch_transcript(self, session_id: str, counts: Counts) -> Fetched[list[Message]]:
        """The messages of one session. Raises as `fetch_session` does."""
        decode = partial(decode_transcript, session_id=session_id)
        return self._fetch_by_id(session_id, counts, decode)

    def fetch_agents(self, team_id: str | None, cursor: str | None, counts: Counts) -> AgentsPage:
        """A page of a team's agents, or of the caller's own."""
        query = {"page_size": str(self.api.page_size)} | ({"team_id": team_id} if team_id else {})
        query |= {"cursor": cursor} if cursor else {}
        what = f"agents of team {team_id!r:.80}" if team_id else "own agents"
        return self._fetch(what, "/agents", query, counts, decode_agents).content

    def fetch_teams(self, counts: Counts) -> list[Team]:
        """Every team that the credential sees."""
        return self._fetch("teams", "/teams", {}, counts, decode_teams).content

    def _fetch_by_id(
        self, session_id: str, counts: Counts, decode: Callable[[bytes], T]
    ) -> Fetched[T]:
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
        decode: Callable[[bytes], T],
        most: int = LARGEST_LIST,
        *,
        is_hint: bool = False,
    ) -> Fetched[T]:
        """Fetch and decode until it works or the attempts are used up."""
        team = {"team_id": self._credentials.team_id} if self._credentials.team_id else {}
        url = httpx.URL(self._base + path, params=team | query)
        try:
            retrying = self._trying_hint if is_hint else self._retrying
            return retrying(self._attempt, what, url, counts, decode, most)
        except (Transient, Malformed) as error:
            self._observe(RequestGivenUp(what, error))
            raise

    def _attempt(
        self, what: str, url: httpx.URL, counts: Counts, decode: Callable[[bytes], T], most: int
    ) -> Fetched[T]:
        try:
            body = self._transport.get(what, url, counts, most)
        except (Transient, RetryLater) as error:
            raise self._waits.limit_wait(what, error) from None
        try:
            with self._large if len(body.content) > LARGE_BODY else nullcontext():
                return Fetched(decode(body.content), body.requested_at)
        except Malformed as error:
            reason = error.message
        # Out here the new error doesn't hold on to what was decoded until the old one was raised.
        said = find_error(body.content)
        if said is not None:
            reason = f"status 200, but {said.code or said.message}"
        raise Malformed(f"{what}: {self._transport.clean(reason)}")

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return self._waits.backoff(state.attempt_number, error)

    def _gives_up_hint(self, state: tenacity.RetryCallState) -> bool:
        """Whether an error is the hint's, as far as can be told; a 429 is not."""
        error = state.outcome.exception() if state.outcome else None
        is_limit = getattr(error, "status", None) == HTTPStatus.TOO_MANY_REQUESTS
        most = self.api.max_attempts
        return state.attempt_number >= (most if is_limit else min(most, HINT_ATTEMPTS))

    def _tell_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ApiError):
            self._observe(
                RequestRetried(state.args[0], error, state.attempt_number, state.upcoming_sleep)
            )

    def pause_after(self, attempt: int) -> None:
        """Wait a little after the given attempt brought a response that can't be right."""
        self._waits.pause(self._waits.backoff(attempt, None))


def _make_path(agent_id: str) -> str:
    """Where an agent is. Raises ConfigError for one that mustn't be requested."""
    if is_alias(agent_id):
        hint = "use the id of the agent that it stands for"
        raise ConfigError(f"agent {agent_id!r}: asking for this alias would create an agent", hint)
    if agent_id in ("", ".", ".."):
        raise ConfigError(
            f"agent {agent_id!r}: an id like this can't be part of a URL", "check the id"
        )
    return f"/agents/{quote(agent_id, safe='')}"
