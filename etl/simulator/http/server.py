"""The simulator: a world served over HTTP from a background thread."""

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Self

from etl.simulator.http.bad_responses import make_bad_response
from etl.simulator.http.connection import Connection, InFlight, Reply
from etl.simulator.http.control import CONTROL_PATH, control
from etl.simulator.http.credentials import Credentials, RateLimit
from etl.simulator.http.endpoints import Api
from etl.simulator.http.errors import ApiError
from etl.simulator.http.faults import Fault, FaultScript
from etl.simulator.http.messages import Answer, Request
from etl.simulator.traits import CursorBook, Traits
from etl.simulator.world.world import World

BACKLOG = 512


@dataclass(slots=True)
class RequestRecord:
    """A request in the log; *time* is seconds since 1970, *status* 0 until it is answered."""

    time: float
    method: str
    path: str
    query: str
    status: int = 0


class Simulator:
    """Serves *world* while the context lasts.

    *latency* is in seconds and delays every answer, *rate_limit* is in requests a second.
    *on_request* is called in the server's thread before a request is answered, so what it
    changes in the world shows in the answer. *traits* is what the server is like.
    """

    def __init__(
        self,
        world: World,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "sim-token",
        api_key: str = "sim-key",
        user_id: str = "user_sim",
        latency: float = 0.0,
        faults: Iterable[Fault] = (),
        rate_limit: float | None = None,
        log: bool = True,
        expires_in: float = 3600,
        traits: Traits | None = None,
    ) -> None:
        self.world = world
        self.credentials = Credentials(token, api_key, user_id, expires_in=expires_in)
        self.latency = latency
        self.faults = FaultScript(faults)
        self.log = log
        self.clock_ahead = 0.0
        self.requests: list[RequestRecord] = []
        self.on_request: Callable[[RequestRecord], None] | None = None
        self.host = host
        self.port = port
        self._limit = RateLimit(rate_limit) if rate_limit else None
        self._api = Api(world, self.credentials, traits or Traits())
        self.adopt(self._api.traits)
        self._answered = 0
        self._in_flight = InFlight()
        self._connections: set[Connection] = set()

    @property
    def root_url(self) -> str:
        """The root host, where /oauth/token and /_sim/ are."""
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The base of the API."""
        return f"{self.root_url}/api/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve, after `stop` again on the same port. Raises OSError if it is taken."""
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(
                self._loop.create_server(
                    lambda: Connection(self._respond, self._connections, self._in_flight),
                    self.host,
                    self.port,
                    backlog=BACKLOG,
                )
            )
        except (OSError, OverflowError):
            self._loop.close()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and end the thread."""
        self._loop.call_soon_threadsafe(self._shut)
        self._thread.join()
        self._loop.close()

    def _shut(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        # One more turn lets the aborted transports close their sockets.
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)

    def adopt(self, traits: Traits) -> None:
        """Be like *traits* from now on; every cursor issued before is one of another server."""
        self._api.traits, self._api.cursors = traits, CursorBook(traits)
        self.clock_ahead = self.world.clock_ahead = traits.clock_ahead
        self.world.list_lag = traits.list_lag
        self.world.empty_end = traits.empty_end

    def expire_cursors(self) -> None:
        """Make every cursor that was issued so far an old one."""
        self._api.cursors.expire_all()

    def add_fault(self, *faults: Fault) -> None:
        """Append faults to the script."""
        self.faults.add(*faults)

    def clear_faults(self) -> None:
        """Forget every fault of the script."""
        self.faults.clear()

    def clear_requests(self) -> None:
        """Empty the log of requests."""
        self.requests.clear()

    def stats(self) -> dict[str, Any]:
        """Return how much was asked, how much of it at the same time, and how much there is."""
        return {
            "requests": self._answered,
            "in_flight": self._in_flight.now,
            "peak_in_flight": self._in_flight.peak,
            "connections": len(self._connections),
            "sessions": self.world.counts(),
        }

    def _respond(self, request: Request) -> Reply:
        if request.path.startswith(CONTROL_PATH):
            return _answer_safely(lambda: Reply(control(self, request)))
        record = RequestRecord(time.time(), request.method, request.path, request.query)
        if self.log:
            self.requests.append(record)
        self._answered += 1
        reply = _answer_safely(lambda: self._reply(request, record))
        record.status = reply.answer.status
        date = formatdate(time.time() + self.clock_ahead, usegmt=True)
        answer = replace(reply.answer, headers={"Date": date, **reply.answer.headers})
        return replace(reply, answer=answer, delay=reply.delay + self.latency)

    def _reply(self, request: Request, record: RequestRecord) -> Reply:
        if self.on_request:
            self.on_request(record)
        latency, fault = self.faults.strike(self._api.target(request))
        wrong = make_bad_response(fault) if fault else None
        reply = (
            Reply(wrong) if wrong else _answer_safely(lambda: Reply(self._answer(request, fault)))
        )
        return replace(reply, delay=latency, fault=fault) if latency or fault else reply

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        if self._limit:
            self._limit.check()
        most = self._api.traits.at_once
        if most is not None and self._in_flight.now > most:
            raise ApiError(429, "gummie_rate_limit", "Too many requests at once", shape=3)
        return self._api.answer(request, fault)


def _answer_safely(answer: Callable[[], Reply]) -> Reply:
    try:
        return answer()
    except ApiError as error:
        return Reply(Answer(error.status, error.body(), error.headers))
    except Exception:
        # The simulator's own mistake, or a hook's, must show in the test that met it.
        broken = ApiError(500, "simulator_broken", traceback.format_exc())
        return Reply(Answer(500, broken.body()))
