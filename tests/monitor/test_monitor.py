"""The parts joined: signs of life, agents that come and go, and what a command doesn't load."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from etl.api.client import Client
from etl.config import Agent, Api, Settings
from etl.config import Service as Keys
from etl.credentials import Credentials
from etl.events import DatabaseFailed, Event, OutageBegan
from etl.service.monitor import monitor as monitors
from etl.service.monitor.monitor import Monitor, open_monitor
from etl.service.runs import Service
from etl.service.scheduler import run_scheduler
from etl.simulator import Simulator, World
from etl.store.store import Store

SETTINGS = Settings(service=Keys(listen="127.0.0.1:0"))


@pytest.fixture
def monitor(store: Store) -> Iterator[Monitor]:
    with open_monitor(SETTINGS, ["a", "b"], timedelta(hours=1)) as watching:
        watching.start(store)
        yield watching


def ask(monitor: Monitor, path: str) -> httpx.Response:
    assert monitor._server is not None
    return httpx.get(f"http://{monitor._server.address}{path}", trust_env=False)


def test_without_a_sign_of_life_it_counts_as_dead(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(monitor, "/healthz").status_code == 200

    monkeypatch.setattr(monitors, "LONGEST_SILENCE", 0.0)
    assert ask(monitor, "/healthz").status_code == 503
    monkeypatch.undo()
    monitor.note_heartbeat()

    assert ask(monitor, "/healthz").json()["alive"] is True


def test_the_scheduler_gives_signs_of_life(store: Store, api: Simulator, world: World) -> None:
    stop = threading.Event()
    settings = Settings(api=Api(base_url=api.base_url))
    with Client(settings.api, Credentials("sim-token"), stop) as client:
        service = Service(settings, client, store, stop)

        run_scheduler(service, [Agent(world.agent_ids()[0])], stop, heartbeat=stop.set)

    assert stop.is_set()


def test_a_database_of_another_schema_is_not_ready(monitor: Monitor, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    answer = ask(monitor, "/readyz")

    assert answer.status_code == 503
    assert answer.json()["failing"] == ["schema"]
    assert "gumloop_etl_database_up 0.0" in ask(monitor, "/metrics").text


def test_agents_come_and_go(monitor: Monitor, store: Store) -> None:
    for agent in ("a", "b", "c"):
        store.claim(agent)

    monitor.set_agents(["b", "c"])
    text = ask(monitor, "/metrics").text

    assert 'agent="b"' in text
    assert 'agent="c"' in text
    assert 'agent="a"' not in text


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_statement_that_takes_too_long_is_no_outage(monitor: Monitor, store: Store) -> None:
    told: list[Event] = []
    monitor._observers.append(told.append)

    with store.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 50")
        with pytest.raises(OperationalError):
            connection.exec_driver_sql("SELECT pg_sleep(5)")
        connection.rollback()
        assert told == []
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with store.engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 30000)")
        with pytest.raises(OperationalError):
            connection.exec_driver_sql("SELECT 1")

    assert {type(event) for event in told} == {DatabaseFailed, OutageBegan}


def test_an_observer_that_fails_hurts_nobody(monitor: Monitor, store: Store) -> None:
    def broken(_: Event) -> None:
        raise ValueError("a bug")

    monitor._observers.insert(0, broken)

    assert store.claim("a")
    assert ask(monitor, "/readyz").json()["failing"] == ["agent a", "agent b"]


def test_what_is_not_used_is_not_loaded() -> None:
    code = """
import sys
import etl.service.runs, etl.cli.sync.sync, etl.cli.sync.run, alembic.command
assert not {"structlog", "prometheus_client", "apscheduler", "rich", "pygments"} & set(sys.modules)
import etl.service.scheduler, etl.service.monitor.monitor
assert "prometheus_client" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
