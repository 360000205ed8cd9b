"""An API whose fields change their form, over real HTTP, on both databases."""

import json
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text

from etl.models import list_unread_fields
from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Simulator, World
from etl.store.read.unread import load_unread
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.conftest import Runner
from tests.support.audit import differences, stored_sessions

BACKFILL, RECONCILE = RunOptions("backfill"), RunOptions("reconcile")

UNAMBIGUOUS = {
    "usage.credit_cost": "text",
    "usage.input_tokens": "text",
    "usage.output_tokens": "text",
}


@pytest.mark.parametrize("instants", ["seconds", "milliseconds"])
def test_what_is_unambiguous_is_stored_as_it_was_meant(
    store: Store, world: World, api: Simulator, run_agent: Runner, instants: str
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("drift", fields={**UNAMBIGUOUS, "created_at": instants}, times=None))

    report = run_agent(agent, BACKFILL)

    assert (report.status, report.error) == ("succeeded", None)
    assert differences(store, world.sessions(agent), agent) == []
    assert (report.counts.inserted, report.counts.partial, report.counts.rejected) == (450, 0, 0)
    assert report.watermark is not None
    api.clear_faults()
    again = run_agent(agent, RECONCILE)
    assert (again.status, again.counts.updated) == ("succeeded", 0)


def test_an_id_in_place_of_the_creator_keeps_who_is_known(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    api.add_fault(Fault("drift", fields={"creator": "id"}, times=None))

    report = run_agent(agent, RECONCILE)

    assert (report.status, report.counts.partial) == ("succeeded", 0)
    assert [one for one in differences(store, world.sessions(agent), agent) if "name" in one] == []


UNREADABLE = {
    "usage": "list",
    "usage.credit_cost": "words",
    "usage.output_tokens": "nan",
    "usage.input_tokens": "boolean",
    "created_at": "words",
    "creator": "list",
    "name": "object",
    "state": "number",
}


@pytest.mark.parametrize("field", UNREADABLE)
def test_drift_that_cannot_be_read_ends_the_run_incomplete_and_names_the_field(
    store: Store, world: World, api: Simulator, run_agent: Runner, field: str
) -> None:
    agent = world.agent_ids()[0]
    for session in world.sessions(agent):
        world.change(session["id"], **whole())
    api.add_fault(Fault("drift", fields={field: UNREADABLE[field]}, times=None))

    report = run_agent(agent, BACKFILL)

    assert report.status == "incomplete"
    assert (
        f"450 of {report.counts.seen - report.counts.repeated} records could not be read whole"
        in str(report.error)
    )
    assert f"{field} (450)" in str(report.error)
    assert (report.counts.inserted, report.counts.rejected) == (450, 0)
    with store.connect() as connection:
        unread = load_unread(connection, agent)
        fresh = connection.execute(text("SELECT count(state_confirmed_at) FROM session_freshness"))
        assert fresh.scalar() == 0
    assert (unread.partial, unread.rejected, unread.fields) == (450, 0, {field: 450})


def whole() -> dict[str, Any]:
    """Every field that may drift, all known."""
    usage = {"credit_cost": 1.5, "input_tokens": 7, "output_tokens": 8}
    return {"usage": usage, "creator": {"id": "user_x"}, "name": "A", "state": "completed"}


def test_what_cannot_be_read_overwrites_nothing_and_a_reconcile_settles_it(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, BACKFILL)
    before = stored_sessions(store, agent)
    world.change(world.sessions(agent)[3]["id"], name="renamed meanwhile")
    fields = {"usage": "list", "created_at": "words", "creator": "number"}
    api.add_fault(Fault("drift", fields=fields, times=None))
    drifted = run_agent(agent, RECONCILE)

    assert drifted.status == "incomplete"
    after = stored_sessions(store, agent)
    assert [row["name"] for row in after.values()].count("renamed meanwhile") == 1
    kept = ("created_at", "creator_id", "credit_cost", "output_tokens", "state", "missing_since")
    assert all(after[id][name] == before[id][name] for id in before for name in kept)

    api.clear_faults()
    settled = run_agent(agent, RECONCILE)
    assert settled.status == "succeeded", settled.error
    assert differences(store, world.sessions(agent), agent) == []
    with store.connect() as connection:
        assert load_unread(connection, agent).records == 0
        confirmed = text("SELECT count(*) FROM session_freshness WHERE listed_at IS NULL")
        assert connection.execute(confirmed).scalar() == 0


def test_a_few_odd_records_make_no_run_incomplete(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    for session in world.sessions(agent)[100:120]:
        world.change(session["id"], name=7)

    report = run_agent(agent, RunOptions("backfill", walkers=1))

    assert (report.status, report.counts.partial) == ("succeeded", 20)


def test_records_without_a_readable_id_are_drift_as_well(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("drift", fields={"id": "number"}, every=2, times=None))

    report = run_agent(agent, RunOptions("backfill", walkers=1))

    assert report.status == "incomplete"
    assert report.counts.rejected >= 225


def test_records_that_are_all_alike_are_counted_each(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    when = datetime.fromisoformat(world.sessions(agent)[200]["created_at"])
    for _ in range(60):
        world.add_raw(agent, None, when)

    report = run_agent(agent, RunOptions("backfill", walkers=1))

    assert (report.status, report.counts.rejected) == ("incomplete", 60)
    assert "the whole record (60)" in str(report.error)


def test_odd_sessions_that_a_run_meets_again_and_again_count_once(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.add_agent("small")
    for _ in range(11):
        world.add_session(agent, state="processing", name=7)

    reports = [run_agent(agent) for _ in range(2)]

    assert {report.status for report in reports} == {"succeeded"}
    assert all(report.counts.partial > 20 for report in reports)


def test_a_retrieve_that_drifts_is_noted_too(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    for session in world.sessions(agent):
        world.change(session["id"], state="completed")
    id = world.sessions(agent)[200]["id"]
    world.change(id, state="approval_required")
    run_agent(agent, BACKFILL)
    fields = {"usage": "list", "created_at": "seconds"}
    api.add_fault(Fault("drift", path="/api/v1/sessions/", fields=fields, times=None))
    world.change(id, state="failed", usage={"credit_cost": 1.0})

    report = run_agent(agent)

    assert (report.status, report.counts.partial) == ("succeeded", 1)
    with store.connect() as connection:
        (note,) = connection.execute(select(t.rejected_records)).all()
    assert (note.session_id, json.loads(note.payload)) == (id, {"id": id, "usage": []})
    assert list_unread_fields(note.reason) == ["usage"]
    assert stored_sessions(store, agent)[id]["state"] == "failed"
    created_at = datetime.fromisoformat(world.sessions(agent)[200]["created_at"])
    assert stored_sessions(store, agent)[id]["created_at"] == created_at


@pytest.mark.parametrize("after", [0, 3, 8])
def test_a_page_of_which_nothing_could_be_read_is_requested_again(
    store: Store, world: World, api: Simulator, run_agent: Runner, after: int
) -> None:
    """Else its sessions would wait for a reconcile, as the page proves what it spans."""
    agent = world.agent_ids()[0]
    api.add_fault(Fault("drift", fields={"id": "object"}, after=after, times=1))

    report = run_agent(agent, BACKFILL, page_size=50)

    assert (report.status, report.counts.rejected) == ("succeeded", 0)
    assert differences(store, world.sessions(agent), agent) == []


def test_notes_of_a_large_history_are_kept_once(
    store: Store, world: World, api: Simulator, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("drift", fields={"name": "number"}, times=None))
    run_agent(agent, RECONCILE)
    run_agent(agent, RECONCILE)

    with store.connect() as connection:
        count = select(func.count()).select_from(t.rejected_records)
        assert connection.execute(count).scalar() == load_unread(connection, agent).partial
