"""The DAGs of deploy/airflow, with the real program and stand-ins for the names of Airflow.

Airflow itself is heavy; what it would call is called here.
"""

import runpy
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.simulator import Simulator, World

FILE = Path(__file__).parents[2] / "deploy" / "airflow" / "gumloop_etl_dags.py"


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


class Dags:
    """What the file declares: the options of each DAG, and its tasks."""

    def __init__(self) -> None:
        self.options: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, Callable[[], dict[str, Any]]] = {}

    def dag(self, **options: Any) -> Callable[[Callable[[], None]], Callable[[], None]]:
        self.options[options["dag_id"]] = options
        return lambda build: build

    def task(self, *, task_id: str) -> Callable[[Callable[..., Any]], Callable[..., None]]:
        def declare(call: Callable[..., Any]) -> Callable[..., None]:
            return lambda *words: self.tasks.update({task_id: lambda: call(*words)})

        return declare


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> Dags:
    """The file, loaded as Airflow's scheduler loads it."""
    declared = Dags()
    sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.sdk.exceptions")
    vars(sdk).update(dag=declared.dag, task=declared.task)
    vars(exceptions).update(
        AirflowException=AirflowException, AirflowFailException=AirflowFailException
    )
    for module in (types.ModuleType("airflow"), sdk, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    runpy.run_path(str(FILE))
    return declared


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The environment of an Airflow worker, and the API that its program talks to."""
    world = World.generate(agents=2, sessions=30, seed=9)
    with Simulator(world, token="token-of-the-worker") as api:
        variables = {
            "ETL_AGENTS": ",".join(world.agent_ids()),
            "ETL_API__MAX_ATTEMPTS": "1",
            "ETL_DATABASE__URL": f"sqlite:///{tmp_path / 'gumloop.db'}",
            "GUMLOOP_ACCESS_TOKEN": "token-of-the-worker",
            "GUMLOOP_BASE_URL": api.base_url,
            "GUMLOOP_ETL": str(Path(sys.executable).parent / "gumloop-etl"),
            "PYTHONPATH": str(FILE.parents[2]),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield world


def test_both_modes_are_scheduled_one_run_at_a_time(dags: Dags) -> None:
    assert set(dags.options) == {"gumloop_sync", "gumloop_reconcile"}
    assert set(dags.tasks) == {"sync", "reconcile"}
    for options in dags.options.values():
        assert (options["max_active_runs"], options["catchup"]) == (1, False)
        assert options["default_args"]["retries"] > 0


def test_a_task_hands_the_counts_on(dags: Dags, worker: World) -> None:
    first, second = dags.tasks["sync"](), dags.tasks["reconcile"]()

    nothing = {"updated": 0, "missing": 0, "rejected": 0}
    assert first == {"status": "succeeded", "agents": 2, "inserted": 60, **nothing}
    assert (second["status"], second["inserted"]) == ("succeeded", 0)


def test_a_refused_credential_is_tried_again(
    dags: Dags, worker: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUMLOOP_ACCESS_TOKEN", "another-token")

    with pytest.raises(AirflowException, match="exit code 1") as failure:
        dags.tasks["sync"]()
    assert not isinstance(failure.value, AirflowFailException)


def test_a_mistake_in_the_configuration_is_not_tried_again(
    dags: Dags, worker: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUMLOOP_ACCESS_TOKEN")

    with pytest.raises(AirflowFailException, match="configuration"):
        dags.tasks["sync"]()
