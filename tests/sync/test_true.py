"""No stored row stays wrong: freshness, reconcile, missing rows; on both databases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Simulator, World
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.conftest import Runner
from tests.support.audit import differences, stored_sessions

BACKFILL, RECONCILE = RunOptions("backfill"), RunOptions("reconcile")


def test_a_sync_sees_old_sessions_that_were_reopened(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    old = [s["id"] for s in world.sessions(agent) if s["state"] == "completed"][-50:]
    for id in old:
        world.reopen(id)

    report = run_agent(agent)

    assert report.status == "succeeded"
    assert report.counts.updated >= 50
    assert {stored_sessions(store, agent)[id]["state"] for id in old} == {"processing"}


def test_a_sync_follows_open_sessions_to_their_end(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    for session in world.sessions(agent)[100:200]:
        world.change(session["id"], state="processing")
    run_agent(agent, BACKFILL)
    for session in world.sessions(agent)[100:200]:
        world.change(session["id"], state="completed", usage={"credit_cost": 7.25})

    report = run_agent(agent)

    assert report.status == "succeeded", report.error
    assert differences(store, world.sessions(agent), agent) == []


def test_a_noop_sync_costs_four_requests(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    for session in world.sessions(agent):
        world.change(session["id"], state="completed")
    run_agent(agent, BACKFILL)

    report = run_agent(agent)

    assert report.counts.requests <= 4
    assert (report.counts.inserted, report.counts.updated) == (0, 0)


def test_reconcile_repairs_every_row_whatever_changed(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    sessions = world.sessions(agent)
    world.change(sessions[200]["id"], name="renamed")
    world.change(sessions[250]["id"], usage={"credit_cost": 99.5, "output_tokens": 3})
    world.change(sessions[300]["id"], creator={"id": "user_new", "first_name": "Nadia"})
    world.change(sessions[350]["id"], name=None)
    for gone in (220, 221, 330, 449):
        world.remove(sessions[gone]["id"])
    world.add_session(agent, created_at=datetime.now(UTC) - timedelta(days=60), name="late")

    report = run_agent(agent, RECONCILE)

    assert report.status == "succeeded", report.error
    assert report.counts.missing == 4
    assert differences(store, world.sessions(agent), agent) == []
    world.restore(sessions[220]["id"])
    again = run_agent(agent, RECONCILE)
    assert (again.counts.updated, again.counts.missing) == (1, 0)
    assert differences(store, world.sessions(agent), agent) == []


def test_lost_access_marks_nothing(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    for session in world.sessions(agent)[100:200]:
        world.remove(session["id"])

    report = run_agent(agent, RECONCILE)

    assert report.status == "incomplete"
    assert "100 stored sessions" in (report.error or "")
    assert not any(row["missing_since"] for row in stored_sessions(store, agent).values())
    with store.connect() as connection:
        listed = connection.execute(text("SELECT DISTINCT listed_at FROM session_freshness"))
        assert listed.scalars().all() == [None]


def test_reconcile_goes_on_after_a_crash_without_forgetting_suspects(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    world.remove(world.sessions(agent)[5]["id"])
    api.add_fault(Fault("status", status=500, after=4, times=None))
    one = RunOptions("reconcile", walkers=1)
    assert run_agent(agent, one, max_attempts=1).status == "failed"
    api.clear_faults()

    report = run_agent(agent, one)

    assert report.status == "succeeded"
    assert report.counts.pages < 9
    assert report.counts.missing == 1
    assert differences(store, world.sessions(agent), agent) == []


def test_an_undated_session_is_missed_by_a_full_walk(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    stays = world.add_session(agent, created_at=None)
    goes = world.add_session(agent, created_at=None)
    run_agent(agent, BACKFILL)
    world.remove(goes)

    report = run_agent(agent, RECONCILE)

    assert report.counts.missing == 1
    rows = stored_sessions(store, agent)
    assert rows[goes]["missing_since"] is not None
    assert rows[stays]["missing_since"] is None


def test_states_are_noted_at_first_sight_and_at_each_change(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    id = world.add_session(agent, state="processing")
    run_agent(agent)
    run_agent(agent)
    world.change(id, state="completed")
    run_agent(agent)

    c = t.session_states.c
    with store.connect() as connection:
        query = select(c.state).where(c.session_id == id).order_by(c.observed_at)
        assert connection.execute(query).scalars().all() == ["processing", "completed"]


def test_the_view_tells_how_fresh_rows_are(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    before = datetime.now(UTC)
    run_agent(agent, BACKFILL)

    with store.connect() as connection:
        query = "SELECT count(*), min(listed_at), min(state_confirmed_at) FROM session_freshness"
        count, listed, confirmed = connection.execute(text(query)).one()

    assert count == 450
    assert str(listed)[:19] >= before.isoformat(" ")[:19]
    assert str(confirmed) >= str(listed)
