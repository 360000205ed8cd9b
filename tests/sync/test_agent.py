"""One agent's run against the API simulator, on both databases."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Simulator, World
from etl.store.runs.runs import finish_run
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.responses import Run
from etl.sync.walks.page_batch import PageBatcher
from tests.conftest import Runner
from tests.support.audit import differences

BACKFILL = RunOptions("backfill")


@pytest.mark.parametrize("walkers", [1, 2, 5])
def test_backfill_stores_every_session_as_the_api_has_it(
    store: Store, world: World, run_agent: Runner, walkers: int
) -> None:
    agent = world.agent_ids()[0]

    report = run_agent(agent, RunOptions("backfill", walkers=walkers))

    assert (report.status, report.error) == ("succeeded", None)
    assert differences(store, world.sessions(agent), agent) == []
    assert report.counts.inserted == 450
    assert report.watermark is not None


def test_a_second_sync_changes_no_row(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)

    again = run_agent(agent)

    assert again.status == "succeeded"
    assert (again.counts.inserted, again.counts.updated) == (0, 0)
    assert again.counts.pages <= 4  # the head, within `lookback`, and the two short lists


def test_sync_brings_what_is_new(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent)
    for number in range(130):
        world.add_session(agent, name=f"new {number}")

    report = run_agent(agent)

    assert report.counts.inserted == 130
    assert differences(store, world.sessions(agent), agent) == []


TROUBLE = [
    Fault("status", status=429, headers={"Retry-After": "0"}, after=2),
    Fault("status", status=500, after=1, times=2),
    Fault("status", status=502, shape="html", after=3),
    Fault("reset", after=2),
    Fault("reset", where="middle", after=1),
    Fault("truncate", after=2),
    Fault("garbage", after=2),
    Fault("garbage", form="empty_object", after=2),
    Fault("error_200", after=2),
    Fault("empty_page", after=2),
    Fault("missing_sessions", after=2),
    Fault("repeat_cursor", after=1),
    Fault("aba_cursor", after=2),
    Fault("elsewhere", after=3),
    *(Fault("elsewhere", where="tail", after=after) for after in range(4)),
    Fault("other_agent", after=3),
    Fault("null_cursor", after=2),
    Fault("refuse_cursor", after=2),
    Fault("shuffle", after=2),
]


def describe(fault: Fault) -> str:
    return "-".join([fault.kind, *filter(None, [fault.params.get("where")]), str(fault.after)])


@pytest.mark.parametrize("walkers", [1, 2])
@pytest.mark.parametrize("fault", TROUBLE, ids=describe)
def test_passing_trouble_leaves_no_trace(
    store: Store, world: World, api: Simulator, run_agent: Runner, fault: Fault, walkers: int
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(fault)

    report = run_agent(agent, RunOptions("backfill", walkers=walkers))

    assert report.status == "succeeded", report.error
    assert differences(store, world.sessions(agent), agent) == []


LASTING = [
    "error_200",
    "empty_page",
    "missing_sessions",
    "repeat_cursor",
    "elsewhere",
    "other_agent",
    "null_cursor",
    "aba_cursor",
    "garbage",
]


@pytest.mark.parametrize("walkers", [1, 2])
@pytest.mark.parametrize("kind", LASTING)
def test_a_list_cut_short_is_never_a_success(
    store: Store, world: World, api: Simulator, run_agent: Runner, kind: str, walkers: int
) -> None:
    """Built cursors would lead past the break to more of the rows."""
    agent = world.agent_ids()[0]
    api.add_fault(Fault(kind, after=4, times=None))

    cut = run_agent(agent, RunOptions("backfill", walkers=walkers, seek=False), max_attempts=2)

    missing = differences(store, world.sessions(agent), agent)
    assert cut.status == "incomplete"
    assert missing
    assert cut.watermark is None
    api.clear_faults()

    mended = run_agent(agent, RunOptions("backfill", walkers=walkers))

    assert mended.status == "succeeded", mended.error
    assert differences(store, world.sessions(agent), agent) == []


def test_an_interrupted_sync_keeps_the_watermark(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    before = run_agent(agent, BACKFILL).watermark
    for _ in range(300):
        world.add_session(agent)
    api.add_fault(Fault("status", status=500, after=2, times=None))

    broken = run_agent(agent, max_attempts=1)

    assert (broken.status, broken.watermark) == ("failed", before)
    api.clear_faults()
    assert run_agent(agent).status == "succeeded"
    assert differences(store, world.sessions(agent), agent) == []


def test_ties_across_page_edges(store: Store, api: Simulator, run_agent: Runner) -> None:
    agent = api.world.add_agent("ties")
    at = datetime.now(UTC) - timedelta(days=2)
    for number in range(240):
        api.world.add_session(agent, created_at=at + timedelta(seconds=number // 80))

    report = run_agent(agent, RunOptions("backfill", walkers=2))

    assert report.status == "succeeded"
    assert differences(store, api.world.sessions(agent), agent) == []


def test_an_agent_without_sessions(api: Simulator, run_agent: Runner) -> None:
    agent = api.world.add_agent("empty")

    assert run_agent(agent, BACKFILL).status == "succeeded"
    assert run_agent(agent).status == "succeeded"


def test_since_begins_history_there(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    since = datetime.now(UTC) - timedelta(days=20)

    report = run_agent(agent, RunOptions("backfill", since=since))
    again = run_agent(agent)

    stored = differences(store, world.sessions(agent), agent)
    assert report.status == again.status == "succeeded"
    assert 0 < len(stored) < 450
    assert report.watermark is not None
    whole = run_agent(agent, BACKFILL)
    assert whole.status == "succeeded"
    assert differences(store, world.sessions(agent), agent) == []


def test_the_first_sessions_of_an_empty_agent_are_dated_by_the_second(
    store: Store, api: Simulator, run_agent: Runner
) -> None:
    agent = api.world.add_agent("empty at first")
    run_agent(agent)
    for _ in range(5):
        api.world.add_session(agent, created_at=datetime.now(UTC).replace(microsecond=0))

    report = run_agent(agent)

    assert report.status == "succeeded"
    assert differences(store, api.world.sessions(agent), agent) == []


def test_the_agents_name_comes_from_the_head_however_far_the_walk_has_run(
    store: Store, world: World, run_agent: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, make = world.agent_ids()[0], PageBatcher.make

    def make_late(self: PageBatcher, arrivals: Any) -> Any:
        time.sleep(0.1)
        return make(self, arrivals)

    monkeypatch.setattr(PageBatcher, "make", make_late)

    run_agent(agent, RunOptions("backfill", walkers=1), page_size=20)

    with store.connect() as connection:
        names = connection.execute(select(t.agents.c.name)).scalars().all()
    assert names == [world.agent(agent).name]


def test_a_run_that_is_taken_over_at_its_very_end_is_no_success(
    store: Store, world: World, run_agent: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, c = world.agent_ids()[0], t.sync_state.c
    ends: list[str] = []

    def take_over_and_finish(store: Store, run: Run, status: Any, *more: Any) -> None:
        if not ends:
            with store.engine.begin() as connection:
                connection.execute(update(t.sync_state).values(fence=c.fence + 1))
        ends.append(status)
        finish_run(store, run, status, *more)

    monkeypatch.setattr("etl.sync.agent_run.finish_run", take_over_and_finish)

    report = run_agent(agent)

    assert (report.status, ends) == ("failed", ["succeeded", "failed"])
    with store.connect() as connection:
        row = connection.execute(select(t.sync_runs)).one()
        assert connection.scalar(select(c.last_success_at)) is None
    assert (row.status, row.error, row.pages) == ("failed", report.error, report.counts.pages)
    assert "taken over" in row.error
