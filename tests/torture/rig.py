"""Drives the real engine against the simulator; crashes it; audits every run."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event

from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import Credentials
from etl.models import AgentReport
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, Traits, World
from etl.store.runs.lease import Lease, LeaseHolder, name_holder
from etl.store.store import Store
from etl.sync.agent_run import AgentSync
from tests.support.stores import open_store
from tests.torture.auditor import Auditor, Run
from tests.torture.databases import Database, Rows
from tests.torture.truth import Truth, now

# Of this host, in its space of pids, where nobody has this one: found dead, not waited for.
DEAD = f"{name_holder().rsplit(':', 2)[0]}:999999999:1"


class Crash(BaseException):
    """The process dies here: nothing in the engine may handle it."""


@dataclass
class Killer:
    """Counts statements and requests; at a given one the process dies, and nothing works after."""

    at_statement: int | None = None
    at_request: int | None = None
    statements: int = 0
    requests: int = 0
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def statement(self, *_: object) -> None:
        with self.lock:
            self.statements += 1
            self._maybe(self.at_statement, self.statements)

    def request(self) -> None:
        with self.lock:
            self.requests += 1
            self._maybe(self.at_request, self.requests)

    def _maybe(self, at: int | None, count: int) -> None:
        self.dead = self.dead or (at is not None and count >= at)
        if self.dead:
            raise Crash


class MortalClient(Client):
    """A client whose process can die at a request."""

    killer: Killer

    def _attempt(self, *request: Any) -> Any:
        self.killer.request()
        return super()._attempt(*request)


Hook = Callable[[], None]


class Rig:
    """A world, its API, a database, and processes that come and go."""

    def __init__(self, database: Database, sizes: tuple[int, ...]) -> None:
        self.world = World(seed=5)
        self.truth = Truth(self.world)
        self.agents = [self.world.add_agent(f"agent {i}", agent_id=f"agent{i}") for i in (0, 1)]
        for agent, size in zip(self.agents, sizes, strict=False):
            for number in range(size):
                hours = timedelta(hours=2 * (number // 3 if number % 5 else number))
                self.truth.add(agent, now() - hours - timedelta(minutes=1))
        self.database = database
        self.store = self._open()
        self.api = Simulator(self.world)
        self.api.start()
        self.hooks: dict[int, Hook] = {}
        self.hook_error: BaseException | None = None
        self.seen_requests = 0
        self.auditor = Auditor(database, self.truth)
        self.api.on_request = self._on_request

    def adopt(self, traits: Traits) -> None:
        """Be served like this from now on; what is there is shown."""
        with self.truth.lock, self.world.lock:
            for row in self.world._rows.values():
                row.added = float("-inf")
            for id, since in self.truth.since.items():
                self.truth.since[id] = min(since, now())
            self.truth.lag = timedelta(seconds=traits.list_lag)
            self.api.adopt(traits)

    def _open(self) -> Store:
        return open_store(self.database.url)

    def close(self) -> None:
        self.api.stop()
        self.store.close()
        self.database.drop()

    def snapshot(self) -> dict[str, Rows]:
        """Every table, and the view."""
        return self.database.snapshot()

    def _on_request(self, _record: object) -> None:
        self.seen_requests += 1
        hook = self.hooks.pop(self.seen_requests, None)
        if hook:
            try:
                hook()
            except BaseException as error:
                self.hook_error = error

    def take_over(self, agent: str) -> None:
        """Another process takes the lease: this one was frozen for so long."""
        past = "2020-01-01 00:00:00.000000"
        other = self._open()
        lease: Lease | LeaseHolder = LeaseHolder("", 0)
        # The holder may renew its lease between the two statements.
        while isinstance(lease, LeaseHolder):
            self.database.execute(
                "UPDATE sync_state SET lease_expires_at = ? WHERE agent_id = ?", past, agent
            )
            lease = other.claim(agent)
        other.release(lease)
        other.close()

    def hold(self, agent: str, seconds: float) -> None:
        """Another host holds the lease for so long."""
        until = (now() + timedelta(seconds=seconds)).replace(tzinfo=None)
        self.database.execute(
            "UPDATE sync_state SET lease_holder = 'elsewhere:1:1', lease_expires_at = ? "
            "WHERE agent_id = ?",
            until.isoformat(" ", "microseconds"),
            agent,
        )

    def run(
        self,
        agent: str,
        options: RunOptions | None = None,
        *,
        killer: Killer | None = None,
        hooks: dict[int, Hook] | None = None,
        page_size: int = 5,
        audit: bool = True,
        disturbed: bool = False,
        **api: Any,
    ) -> AgentReport | None:
        """One run, audited. None: it died."""
        options, killer = options or RunOptions(), killer or Killer()
        self.seen_requests, self.hooks, self.hook_error = 0, dict(hooks or {}), None
        before, fired = self.snapshot(), sum(n for _, n in self.api.faults.list_fired())
        started = now()
        report = self._run(agent, options, killer, page_size, api)
        self.hooks = {}
        ended = now()
        if self.hook_error is not None:
            raise self.hook_error
        if killer.dead:
            self._bury()
            report = None
        struck = disturbed or sum(n for _, n in self.api.faults.list_fired()) > fired
        if audit:
            self.auditor.check(
                Run(agent, options, report, before, self.snapshot(), started, ended, struck)
            )
        return report

    def _run(
        self, agent: str, options: RunOptions, killer: Killer, page_size: int, api: dict[str, Any]
    ) -> AgentReport | None:
        stop = threading.Event()
        settings = {"timeout": 60.0, "max_attempts": 3, "page_size": page_size, **api}
        client = MortalClient(
            Api(base_url=self.api.base_url, **settings),
            Credentials("sim-token"),
            stop,
            RateLimiter(draw=lambda: 0.0),
        )
        client.killer = killer
        event.listen(self.store.engine, "before_cursor_execute", killer.statement)
        event.listen(self.store.engine, "commit", killer.statement)
        try:
            return AgentSync(client, self.store, utc_now, stop).run(agent, options)
        except Crash:
            return None
        finally:
            # Threads of a dead process make no more requests.
            if killer.dead:
                stop.set()
            client.close()
            if not killer.dead:
                event.remove(self.store.engine, "before_cursor_execute", killer.statement)
                event.remove(self.store.engine, "commit", killer.statement)

    def _bury(self) -> None:
        """The process is gone: its connections too, and its pid."""
        self.store.close()
        self.store = self._open()
        self.database.execute(
            "UPDATE sync_state SET lease_holder = ? WHERE lease_holder IS NOT NULL", DEAD
        )


def when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
