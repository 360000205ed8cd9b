"""PostgreSQL goes away at the worst moments: a run goes on, and counts nothing twice."""

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, event, func, select, update
from sqlalchemy.exc import OperationalError

from etl.api.client import Client
from etl.api.rate_limit import RateLimiter
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import Credentials
from etl.errors import LeaseLost
from etl.models import AgentReport, Session
from etl.planning.run_demand import RunOptions
from etl.simulator import Simulator, World
from etl.store.runs.lease import Lease
from etl.store.runs.runs import start_run
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Batch, Store
from etl.store.write.responses import Response
from etl.sync.agent_run import AgentSync
from tests.support.audit import differences
from tests.support.postgres import Cluster, Server, own_server
from tests.torture.proxy import Proxy

SESSIONS = 120


@pytest.fixture
def world() -> World:
    return World.generate(agents=1, sessions=SESSIONS, seed=9)


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    with Simulator(world) as running:
        yield running


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with own_server() as server:
        yield server


def run(api: Simulator, store: Store, options: RunOptions) -> AgentReport:
    stop = threading.Event()
    settings = Api(base_url=api.base_url, timeout=60.0, page_size=20)
    with Client(settings, Credentials("sim-token"), stop, RateLimiter(draw=lambda: 0.0)) as client:
        return AgentSync(client, store, utc_now, stop).run(api.world.agent_ids()[0], options)


def audit(store: Store, world: World, report: AgentReport) -> None:
    """All is there, once, and counted once."""
    agent = world.agent_ids()[0]
    assert (report.status, report.error) == ("succeeded", None)
    assert differences(store, world.sessions(agent), agent) == []
    with store.connect() as connection:
        row = connection.execute(select(t.sync_runs).order_by(t.sync_runs.c.id.desc())).first()
        states = connection.execute(select(func.count()).select_from(t.session_states)).scalar_one()
        runs = connection.execute(select(func.count()).select_from(t.sync_runs)).scalar_one()
    assert row is not None
    assert runs == 1
    assert row.status == "succeeded"
    assert row.inserted == report.counts.inserted == SESSIONS
    assert row.updated == report.counts.updated == 0
    assert row.seen == row.inserted + report.counts.repeated + row.rejected
    assert row.unchanged == 0
    assert (row.seen, row.pages) == (report.counts.seen, report.counts.pages)
    assert states == SESSIONS


@pytest.mark.parametrize("walkers", [1, 2])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_commit_whose_answer_is_lost_counts_once(
    postgres: Cluster,
    postgres_template: str,
    world: World,
    api: Simulator,
    at: int,
    walkers: int,
) -> None:
    url = postgres.fresh(postgres_template)
    port = urlsplit(postgres.admin_url).port or 5432
    with Proxy(port, at) as proxy:
        store = Store(url.replace(f":{port}/", f":{proxy.port}/"), utc_now)
        try:
            report = run(api, store, RunOptions("backfill", walkers=walkers))
            if proxy.commits >= at:
                assert proxy.lost == 1
            audit(store, world, report)
        finally:
            store.close()
    postgres.drop(url)


@pytest.mark.parametrize("signal_number", [2, 3], ids=["fast", "immediate"])
@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_server_restart_costs_a_page_not_a_run(
    own: Server, world: World, api: Simulator, at: int, signal_number: int
) -> None:
    url = own.fresh()
    # The tests' server may lose what it said was committed; this database may not.
    store = Store(f"{url}?options=-csynchronous_commit%3Don", utc_now)
    migrate.upgrade(store.engine)
    own.run("CHECKPOINT")
    seen: list[Any] = []
    restarted: list[threading.Thread] = []

    def restart() -> None:
        own.stop(signal_number)
        own.start()

    def count(record: object) -> None:
        seen.append(record)
        if len(seen) == at:
            restarted.append(threading.Thread(target=restart))
            restarted[0].start()
            # The next save meets a server that is going down, or is down.
            threading.Event().wait(0.15)

    api.on_request = count
    try:
        report = run(api, store, RunOptions("backfill", walkers=1))
        restarted[0].join()
        audit(store, world, report)
    finally:
        for thread in restarted:
            thread.join()
        store.close()
        own.drop(url)


def test_a_commit_that_was_lost_is_no_success_after_a_takeover(
    postgres: Cluster, postgres_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of saves has grown, but it was another that grew it."""
    url = postgres.fresh(postgres_template)
    store, other = Store(url, utc_now), Store(url, utc_now)
    began = utc_now()

    def take_over(_: float) -> None:
        with other.engine.begin() as connection:
            connection.execute(update(t.sync_state).values(lease_expires_at=began))
        lease = other.claim("a")
        assert isinstance(lease, Lease)
        successor = start_run(other, lease, "backfill", other.load_state("a"), utc_now())
        other.save(successor, Batch([Response([Session("theirs", "a")], [], [], utc_now())]))

    def lose(connection: Connection) -> None:
        event.remove(store.engine, "commit", lose)
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
        raise OperationalError("COMMIT", None, Exception("the connection is lost"))

    lease = store.claim("a")
    assert isinstance(lease, Lease)
    mine = start_run(store, lease, "backfill", store.load_state("a"), began)
    store.save(mine, Batch([Response([Session("first", "a")], [], [], utc_now())]))
    monkeypatch.setattr("etl.store.store.time.sleep", take_over)
    event.listen(store.engine, "commit", lose)
    with pytest.raises(LeaseLost):
        store.save(mine, Batch([Response([Session("second", "a")], [], [], utc_now())]))

    with store.connect() as connection:
        ids = set(connection.execute(select(t.sessions.c.id)).scalars())
    assert ids == {"first", "theirs"}
    store.close()
    other.close()
    postgres.drop(url)
