"""Fixtures: a clean environment, a simulator, and a store on both databases."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import Credentials
from etl.models import AgentReport
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, World
from etl.store.schema import migrate
from etl.store.store import Store
from etl.sync.agent_run import AgentSync
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Cluster, cluster
from tests.support.selection import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_logreport,
    pytest_runtest_setup,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from tests.support.stores import open_store

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_logreport",
    "pytest_runtest_setup",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own reaches a test."""
    for name in list(os.environ):
        if name.startswith(("GUMLOOP_", "ETL_")) and name != "ETL_TEST_POSTGRES_URL":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A real PostgreSQL server."""
    with cluster() as running:
        yield running


@pytest.fixture
def pooler(postgres: Cluster) -> Iterator[int]:
    """The port of a pgbouncer that pools transactions: two connections for all."""
    with pgbouncer(postgres) as port:
        yield port


@pytest.fixture(scope="session")
def postgres_template(postgres: Cluster) -> str:
    """The name of a database with the newest schema, to be copied."""
    url = postgres.fresh()
    store = Store(url, utc_now)
    migrate.upgrade(store.engine)
    store.close()
    return url.rsplit("/", 1)[1]


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh()
    yield url
    cluster.drop(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("template") / "newest.db"
    with Store(f"sqlite:///{file}", utc_now) as store:
        migrate.upgrade(store.engine)
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database with the newest schema, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        file = tmp_path / "test.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        with open_store(f"sqlite:///{file}") as opened:
            yield opened
        return
    template: str = request.getfixturevalue("postgres_template")
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh(template)
    with open_store(url) as opened:
        yield opened
    cluster.drop(url)


@pytest.fixture
def world() -> World:
    """Two agents with a history of some pages."""
    return World.generate(agents=2, sessions=450, seed=3)


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    """The API over real HTTP."""
    with Simulator(world) as running:
        yield running


Runner = Callable[..., AgentReport]


@pytest.fixture
def run_agent(store: Store, api: Simulator) -> Runner:
    """Runs one agent against the simulator, with retries that cost no time."""

    def run(
        agent_id: str,
        options: RunOptions | None = None,
        clock: Callable[[], datetime] = utc_now,
        **settings: object,
    ) -> AgentReport:
        fields = {"base_url": api.base_url, "timeout": 60.0, "page_size": 50, **settings}
        stop = threading.Event()
        limiter = RateLimiter(draw=lambda: 0.0)
        given = Api(**fields)  # type: ignore[arg-type]
        with Client(given, Credentials("sim-token"), stop, limiter, clock=clock) as client:
            return AgentSync(client, store, clock, stop).run(agent_id, options or RunOptions())

    return run
