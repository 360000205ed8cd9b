"""One request at a time over connections that are kept: the credential, the pace, the body.

Redirects are never followed: the credential would travel along (docs/gumloop-api.md).
"""

import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx

from etl.api.bodies import read_response
from etl.api.clock_skew import ClockSkew
from etl.api.connections import make_connector, translate_failure
from etl.api.errors import translate_response
from etl.api.waits import Waits
from etl.config import Api
from etl.credentials import Credentials, CredentialSource
from etl.errors import Denied
from etl.events import Observe, RequestAnswered
from etl.models import Counts

DEADLINE_FACTOR: Final = 4
"""A body may trickle for so many timeouts; `timeout` itself bounds each read."""


CALM: Final = 50
"""Responses without a 429 in a row, after which one more request may be in flight again."""


class Body(NamedTuple):
    """What a response holds, and when its request was sent."""

    content: bytes
    requested_at: datetime


class Transport:
    """Sends requests for all threads of a process; what is refused is told as an ApiError."""

    def __init__(
        self,
        api: Api,
        credentials: CredentialSource,
        waits: Waits,
        observe: Observe,
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._credentials = credentials
        self._waits = waits
        self._observe = observe
        self._clock = clock
        self.skew = ClockSkew()
        # As many clients of one connection each as requests may be in flight, made when needed.
        # A pool shared by threads closes connections that another thread is about to use: up to 1
        # in 400 requests then failed with "bad file descriptor" (httpcore 1.0.9, 32 threads).
        self._connections: queue.LifoQueue[httpx.Client | None] = queue.LifoQueue()
        self._connect = make_connector(api)
        for _ in range(api.concurrency - 1):
            self._connections.put(None)
        self._resting: list[httpx.Client | None] = []
        self._calm = 0
        self._lock = threading.Lock()
        # The first one now: what is wrong with a proxy is wrong with all, and is reported at once.
        self._connections.put(self._connect())

    def close(self) -> None:
        """Close every connection."""
        while not self._connections.empty():
            self._resting.append(self._connections.get())
        for connection in self._resting:
            if connection is not None:
                connection.close()

    def get(self, what: str, url: httpx.URL, counts: Counts, most: int) -> Body:
        """A body of `most` bytes; sent again if the credential is refused and there is another.

        Raises Denied, Transient, RetryLater, Malformed.
        """
        used = self._credentials.get_current()
        try:
            return self._get_as(used, what, url, counts, most)
        except Denied as error:
            if error.status != 401 or not self._credentials.renew(used):
                raise
        used = self._credentials.get_current()
        try:
            return self._get_as(used, what, url, counts, most)
        except Denied as error:
            if error.status == 401:
                self._credentials.mark_refused(used)
            raise

    def _get_as(
        self, used: Credentials, what: str, url: httpx.URL, counts: Counts, most: int
    ) -> Body:
        connection = self._connections.get()
        try:
            # Who has waited for a connection learns here that nothing may be sent any more.
            self._waits.await_turn()
        except BaseException:
            self._connections.put(connection)
            raise
        counts.requests += 1
        requested_at, began, status = self._clock(), time.monotonic(), None
        try:
            connection = connection or self._connect()
            with connection.stream("GET", url, headers=used.make_headers()) as response:
                self.skew.note(response.headers.get("date"), requested_at, self._clock())
                content = read_response(what, response, most, DEADLINE_FACTOR * self._api.timeout)
            status = response.status_code
        except httpx.HTTPError as error:
            raise translate_failure(what, self._api.base_url, error) from None
        finally:
            self._give_back(connection, status)
            self._observe(RequestAnswered(status, time.monotonic() - began, self.skew.least))
        if response.status_code != 200:
            refused = translate_response(
                what, response.status_code, response.headers, content, self._clock()
            )
            refused.message = self.clean(refused.message)
            raise refused
        return Body(content, requested_at)

    def _give_back(self, connection: httpx.Client | None, status: int | None) -> None:
        """Return a connection. After a 429 it rests: the server may take few requests at once."""
        is_limited = status == HTTPStatus.TOO_MANY_REQUESTS
        with self._lock:
            # A request without a response tells nothing.
            self._calm = 0 if is_limited else self._calm + (status is not None)
            if is_limited and len(self._resting) < self._api.concurrency - 1:
                self._resting.append(connection)
                return
            if self._calm >= CALM and self._resting:
                self._calm = 0
                self._connections.put(self._resting.pop())
        self._connections.put(connection)

    def clean(self, text: str) -> str:
        """A server's words without our secret, should it echo it."""
        for secret in self._credentials.list_secrets():
            text = text.replace(secret, "***")
        return text
