"""A server with traits, a database of either kind, runs that are killed or whose clock is off."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, select, text, update

from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import Credentials
from etl.models import AgentReport
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, Traits, World
from etl.store.schema import tables as t
from etl.sync.agent_run import AgentSync
from tests.support.audit import differences
from tests.support.stores import open_store
from tests.torture.rig import DEAD, Crash, Killer, MortalClient

BACKFILL, RECONCILE, SYNC = RunOptions("backfill"), RunOptions("reconcile"), RunOptions()
RESTART = RunOptions("backfill", restart=True)
AGENT = "agent"
Clock = Callable[[], datetime]


def second(ago: float = 0) -> datetime:
    """The whole second so many seconds ago; negative: to come."""
    return (utc_now() - timedelta(seconds=ago)).replace(microsecond=0)


def shifted(seconds: float) -> Clock:
    """A clock that is so far ahead."""
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


@dataclass
class Lab:
    """One agent of an empty world, which the tests fill."""

    url: str
    world: World = field(default_factory=lambda: World(seed=5))
    page_size: int = 10

    def __post_init__(self) -> None:
        if self.world.agent(AGENT) is None:
            self.world.add_agent("agent", agent_id=AGENT)
        self.api = Simulator(self.world)
        self.api.start()
        self.store = open_store(self.url)
        self.clients: list[MortalClient] = []

    def close(self) -> None:
        # Once more: a thread of a killed run may have given a connection back since.
        for client in self.clients:
            client.close()
        self.api.stop()
        self.store.close()

    def add(self, instants: Sequence[datetime], prefix: str = "s", **fields: Any) -> list[str]:
        """Add a session at each instant; their ids."""
        start = sum(self.world.counts().values())
        return [
            self.world.add_session(
                fields.get("agent_id", AGENT),
                id=f"{prefix}{start + number:05}",
                created_at=instant,
                state=fields.get("state", "completed"),
            )
            for number, instant in enumerate(instants)
        ]

    def spread(self, count: int, every: float = 60, ago: float = 7200, **fields: Any) -> list[str]:
        """Add sessions at even distances in seconds, the newest so many seconds ago."""
        return self.add([second(ago + every * n) for n in range(count)], **fields)

    def lag(self, seconds: float) -> None:
        """Lists show late from now on what is added from now on; all that is there is shown."""
        for row in self.world._rows.values():
            row.added = float("-inf")
        self.api.adopt(Traits(list_lag=seconds))

    def run(
        self,
        options: RunOptions = SYNC,
        *,
        kill: Killer | None = None,
        clock: Clock = utc_now,
        agent: str = AGENT,
        **settings: Any,
    ) -> AgentReport:
        """One run; of one that was killed, a report that says "running"."""
        killer, stop = kill or Killer(), threading.Event()
        fields = {"timeout": 60.0, "max_attempts": 3, "page_size": self.page_size, **settings}
        limiter = RateLimiter(draw=lambda: 0.0)
        api = Api(base_url=self.api.base_url, **fields)
        client = MortalClient(api, Credentials("sim-token"), stop, limiter, clock=clock)
        client.killer = killer
        self.clients.append(client)
        self.store._clock = clock
        for name in ("before_cursor_execute", "commit"):
            event.listen(self.store.engine, name, killer.statement)
        try:
            with client:
                return AgentSync(client, self.store, clock, stop).run(agent, options)
        except Crash:
            return AgentReport(agent, options.mode)
        finally:
            stop.set()
            if killer.dead:
                self._reopen()
                self._bury()
            else:
                for name in ("before_cursor_execute", "commit"):
                    event.remove(self.store.engine, name, killer.statement)

    def _reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.url)

    def _bury(self) -> None:
        held = t.sync_state.c.lease_holder.is_not(None)
        with self.store.engine.begin() as connection:
            connection.execute(update(t.sync_state).where(held).values(lease_holder=DEAD))

    # -- what has come of it ---------------------------------------------------------------

    def wrong(self, agent: str = AGENT) -> list[str]:
        """Where the database differs from the list."""
        return differences(self.store, self.world.sessions(agent), agent)

    def rows(self, agent: str = AGENT) -> dict[str, Any]:
        query = select(t.sessions).where(t.sessions.c.agent_id == agent)
        with self.store.connect() as connection:
            return {row.id: row for row in connection.execute(query)}

    def missing(self) -> set[str]:
        """The ids that are marked missing."""
        return {id for id, row in self.rows().items() if row.missing_since}

    def suspects(self) -> set[str]:
        """The ids that a run has found absent, and that none has settled yet."""
        with self.store.connect() as connection:
            return set(connection.execute(select(t.suspects.c.session_id)).scalars())

    def listed_at(self) -> dict[str, datetime | None]:
        """As of when each session claims to be listed."""
        with self.store.connect() as connection:
            found = connection.execute(text("SELECT session_id, listed_at FROM session_freshness"))
            return {row.session_id: as_instant(row.listed_at) for row in found}

    def watermark(self) -> datetime | None:
        return self.store.load_state(AGENT).watermark

    def proven_to(self) -> datetime | None:
        """The newest instant of coverage."""
        return max((span.newest for span in self.store.load_state(AGENT).coverage), default=None)


def as_instant(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).replace(tzinfo=UTC)
