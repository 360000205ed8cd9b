"""A small world, served over HTTP, and a caller that pages through it."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from etl.simulator import Simulator, World
from tests.support.waiting import PATIENCE

# Loading the certificates that nobody needs here would take most of the tests' time.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)


class Caller:
    """An httpx client that knows the simulator's paths; retries nothing, checks nothing."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.agent_id = simulator.world.agent_ids()[0]
        headers = {"Authorization": f"Bearer {simulator.credentials.token}"}
        self.http = httpx.Client(headers=headers, timeout=PATIENCE, verify=NO_TLS)

    def get(self, path: str, **params: Any) -> httpx.Response:
        """Fetch a path below the API's base."""
        return self.http.get(f"{self.simulator.base_url}{path}", params=params)

    def bare(self, path: str, headers: dict[str, str], **params: Any) -> httpx.Response:
        """Fetch a path below the API's base with just these headers."""
        url = f"{self.simulator.base_url}{path}"
        return httpx.get(url, headers=headers, params=params, verify=NO_TLS)

    def renew(self, secret: str, **fields: str) -> httpx.Response:
        """Ask for a new token, with the form of a refresh but for *fields*."""
        form = {"grant_type": "refresh_token", "client_id": "c", "refresh_token": secret}
        url = f"{self.simulator.root_url}/oauth/token"
        return httpx.post(url, data={**form, **fields}, verify=NO_TLS)

    def page(self, **params: Any) -> httpx.Response:
        """Fetch a page of the first agent's sessions."""
        return self.get(f"/agents/{self.agent_id}/sessions", **params)

    def walk(self, **params: Any) -> list[Any]:
        """Follow the cursors from the head to the end; return all sessions."""
        sessions: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            body = self.page(**params, **cursor).raise_for_status().json()
            sessions += body["sessions"]
            if body["next_cursor"] is None:
                return sessions
            cursor = {"cursor": body["next_cursor"]}

    def truth(self) -> list[Any]:
        """Return what the whole list shows now, newest first."""
        return self.world.sessions(self.agent_id)

    def control(self, method: str, name: str, **options: Any) -> httpx.Response:
        """Send a control request, without credentials."""
        url = f"{self.simulator.root_url}/_sim/{name}"
        return httpx.request(method, url, verify=NO_TLS, **options)


@pytest.fixture
def world() -> World:
    """Two agents of 60 sessions."""
    return World.generate(agents=2, sessions=60, seed=7, now=NOW, days=30)


@pytest.fixture
def serve() -> Iterator[Callable[..., Caller]]:
    """Serve any world, with any options of Simulator, until the test ends."""
    with ExitStack() as stack:

        def start(world: World, **options: Any) -> Caller:
            caller = Caller(stack.enter_context(Simulator(world, **options)))
            stack.callback(caller.http.close)
            return caller

        yield start


@pytest.fixture
def caller(world: World, serve: Callable[..., Caller]) -> Caller:
    """Serve `world` and return a caller."""
    return serve(world)
