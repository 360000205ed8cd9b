"""Entries of our own making: faster where they work, harmless where they don't."""

import pytest

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Simulator, World
from etl.store.store import Store
from tests.conftest import Runner
from tests.support.audit import differences

SEEK = RunOptions("backfill", walkers=4, seek=True)


def test_built_cursors_divide_the_list(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    api.latency = 0.02

    report = run_agent(agent, SEEK, page_size=10)

    assert report.status == "succeeded"
    assert differences(store, world.sessions(agent), agent) == []
    assert report.counts.requests < 45 * 2
    assert api.stats()["peak_in_flight"] > 2


@pytest.mark.parametrize(
    "fault",
    [Fault("refuse_cursor", times=None, cursor="^eyJzb3J0X3ZhbHVlIjogIjIwMjYt.{0,45}$")],
    ids=["refused"],
)
def test_refused_ones_are_done_without(
    store: Store, world: World, api: Simulator, run_agent: Runner, fault: Fault
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(fault)

    report = run_agent(agent, SEEK, page_size=10)

    assert report.status == "succeeded", report.error
    assert differences(store, world.sessions(agent), agent) == []


def test_ones_that_lead_elsewhere_are_done_without(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("ignore_cursor", times=2))

    report = run_agent(agent, SEEK, page_size=10)

    assert report.status == "succeeded", report.error
    assert differences(store, world.sessions(agent), agent) == []
