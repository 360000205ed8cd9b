"""When the API or the database went away, and when it came back."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from etl import events
from etl.errors import Transient

Of = Literal["api", "database"]


class Outages:
    """Turns single failures into outages: reported when one begins and when it ends.

    The API is away when a request was given up, unless only its rate was limited, and back with
    the first 200. The database is away with its first failure, and back when it does its work.
    """

    def __init__(
        self, observe: events.Observe, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._since: dict[Of, float] = {}
        self._lock = threading.Lock()

    def observe(self, event: events.Event) -> None:
        """Take note of an event."""
        match event:
            case events.RequestGivenUp(error=Transient() as error) if error.status != 429:
                self._begin("api", error)
            case events.RequestAnswered(status=200):
                self._end("api")
            case events.DatabaseFailed(error=failure):
                self._begin("database", failure)
            case events.DatabaseAnswered():
                self._end("database")

    def _begin(self, of: Of, error: Exception) -> None:
        with self._lock:
            if of in self._since:
                return
            self._since[of] = self._clock()
        self._observe(events.OutageBegan(of, error))

    def _end(self, of: Of) -> None:
        # Nearly always there is none, and this is asked at every response.
        if of not in self._since:
            return
        with self._lock:
            since = self._since.pop(of, None)
        if since is not None:
            self._observe(events.OutageEnded(of, self._clock() - since))
