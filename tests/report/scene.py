"""A database as months of syncing leave it, from the simulator: what the pictures show."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from etl.analytics.figures.period import Period, find_default_since
from etl.analytics.report.load_figures import ReportOptions as Report
from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.config import Api
from etl.credentials import Credentials
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, World
from etl.simulator.world.seed_data import agent_profile
from etl.store.schema import migrate
from etl.store.store import Store
from etl.sync.agent_run import AgentSync

NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
DAYS = 70
EVERY = timedelta(hours=1)


def play(file: Path, sizes: Sequence[int], hours: int, now: datetime = NOW) -> list[str]:
    """Backfill agents of these sizes, then sync them each hour as they live; their ids.

    The simulator's time is the syncs' time too: so a session that took an hour shows as one.
    """
    world = World(now=now - hours * EVERY, seed=11)
    world.pace = min(sizes) * 8 / (DAYS * 86_400)
    agents = [world.add_agent(**agent_profile(number)) for number in range(len(sizes))]
    for id, size in zip(agents, sizes, strict=True):
        world.fill(id, size, DAYS)
    world.add_raw(agents[1], {"id": ["broken"]}, world.now - EVERY)
    clock = Clock(world)
    store = Store(f"sqlite:///{file}", clock)
    migrate.upgrade(store.engine)
    with ExitStack() as stack:
        api = Api(base_url=stack.enter_context(Simulator(world)).base_url)
        stop, limiter = threading.Event(), RateLimiter(draw=lambda: 0.0)
        client = stack.enter_context(
            Client(api, Credentials("sim-token"), stop, limiter, clock=clock)
        )
        _sync(client, store, clock, agents, RunOptions(mode="backfill"))
        for _ in range(hours):
            world.live(EVERY.total_seconds())
            clock.begin()
            _sync(client, store, clock, agents, RunOptions())
    store.close()
    return agents


def options(agents: Sequence[str], now: datetime = NOW) -> Report:
    """The report of such a database, as it is asked for right after the last sync."""
    zone = ZoneInfo("Europe/Vienna")
    now += timedelta(seconds=20)
    return Report(tuple(agents), Period(find_default_since(now, zone), now), zone, zone.key, now)


class Clock:
    """The world's time, which stands while it isn't lived, and the real time spent since."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begin()

    def begin(self) -> None:
        """Start from the world's time again."""
        self.begun = time.monotonic()

    def __call__(self) -> datetime:
        return self.world.now + timedelta(seconds=time.monotonic() - self.begun)


def _sync(
    client: Client, store: Store, clock: Clock, agents: list[str], options: RunOptions
) -> None:
    for id in agents:
        AgentSync(client, store, clock, threading.Event()).run(id, options)
