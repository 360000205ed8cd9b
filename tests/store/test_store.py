"""What becomes of records in the database: bad ones, partial ones, late ones, strange ones."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update

from etl.clock import utc_now
from etl.errors import LeaseLost, StoreError
from etl.models import (
    BEGINNING,
    STORED_WITHOUT,
    Counts,
    Creator,
    Entry,
    Rejected,
    Session,
    Span,
)
from etl.planning.run_demand import AgentState, RunOptions
from etl.simulator import Simulator, World
from etl.simulator.world.edits import ABSENT
from etl.store.runs import lease as leases
from etl.store.runs.lease import Lease, LeaseHolder
from etl.store.runs.runs import finish_run, save_seek_refused, start_run
from etl.store.schema import tables as t
from etl.store.store import Batch, Store
from etl.store.write.responses import Response, Run
from tests.conftest import Runner
from tests.support.audit import differences, stored_creators, stored_sessions

AGENT = "agent"
T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
RECONCILE = RunOptions("reconcile", walkers=1)


def at(seconds: float) -> datetime:
    """So many seconds later."""
    return T0 + timedelta(seconds=seconds)


def session(id: str = "s", **fields: Any) -> Session:
    """A session with only what is given."""
    return Session(id, AGENT, **fields)


def response(*sessions: Session, sent: float = 0, **fields: Any) -> Response:
    """What a request brought that was sent at that time."""
    return Response(
        list(sessions), fields.get("creators", []), fields.get("rejected", []), at(sent)
    )


@pytest.fixture
def run(store: Store) -> Run:
    """A run under way."""
    lease = store.claim(AGENT)
    assert isinstance(lease, Lease)
    return start_run(store, lease, "backfill", AgentState(), T0)


def rejections(store: Store) -> list[dict[str, Any]]:
    """The rejected records."""
    query = select(t.rejected_records).order_by(t.rejected_records.c.id)
    with store.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def row(store: Store, id: str = "s", agent: str = AGENT) -> dict[str, Any]:
    """One stored session."""
    return stored_sessions(store, agent)[id]


# -- bad records from the API ----------------------------------------------------------------------

HUGE = 2**70
BAD = [
    17,
    "text",
    None,
    True,
    [],
    {},
    {"id": None},
    {"id": 5},
    {"id": "c", "agent_id": "another"},
    {"id": "b" * 3000},
]
PARTLY_BAD: list[dict[str, Any]] = [
    {"id": "b", "created_at": "yesterday"},
    {"id": "b", "created_at": "2026-05-01"},
    {"id": "b", "created_at": "99999-01-01T00:00:00Z"},
    {"id": "b", "usage": "oops"},
    {"id": "b", "usage": []},
    {"id": "b", "usage": {"credit_cost": "many"}},
    {"id": "b", "usage": {"input_tokens": 1.5}},
    {"id": "b", "usage": {"input_tokens": HUGE}},
    {"id": "b", "usage": {"output_tokens": True}},
    {"id": "b", "creator": "bob b"},
    {"id": "b", "creator": {"id": 7}},
    {"id": "b", "creator": {"id": "c", "email": []}},
    {"id": "b", "creator": {"id": "c" * 3000}},
    {"id": "b", "name": {"first": "x"}},
    {"id": "b", "state": 3},
    {"id": "b", "type": False},
]


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_bad_records_of_every_kind_are_set_aside(
    store: Store, world: World, run_agent: Runner, place: str
) -> None:
    agent = world.agent_ids()[0]
    good = world.sessions(agent)
    anchor = {"first": good[0], "middle": good[70], "last": good[-1]}[place]["created_at"]
    when = datetime.fromisoformat(anchor) + timedelta(seconds=1 if place == "first" else -1)
    for number, record in enumerate(BAD):
        unique = {**record, "id": f"{record['id']}{number}"} if _named(record) else record
        world.add_raw(agent, unique, when)

    report = run_agent(agent, RunOptions("backfill", walkers=1))

    assert report.status == "succeeded", report.error
    assert differences(store, good, agent) == []
    assert report.counts.inserted == len(good)
    assert report.counts.rejected == len(BAD)
    found = rejections(store)
    assert len(found) == len(BAD)
    assert all(one["reason"] and one["agent_id"] == agent for one in found)
    assert all(one["resolved_at"] is None for one in found)
    assert {"17", "null", "[]", "{}", '"text"'} <= {one["payload"] for one in found}


def test_records_with_a_field_that_cannot_be_read_are_stored_without_it(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    good = world.sessions(agent)
    when = datetime.fromisoformat(good[70]["created_at"]) - timedelta(seconds=1)
    for number, record in enumerate(PARTLY_BAD):
        world.add_raw(agent, {**record, "id": f"b{number}"}, when)

    report = run_agent(agent, RunOptions("backfill", walkers=1))

    assert report.status == "succeeded", report.error
    bad = {f"b{number}" for number in range(len(PARTLY_BAD))}
    assert bad <= stored_sessions(store, agent).keys()
    assert report.counts.inserted == len(good) + len(bad)
    assert (report.counts.rejected, report.counts.partial) == (0, len(bad))
    found = rejections(store)
    assert {one["session_id"] for one in found} == bad
    assert all(one["reason"].startswith("stored without `$.") for one in found)
    assert all(one["resolved_at"] is None for one in found)


def test_a_name_cut_in_the_middle_of_an_emoji_costs_itself_alone(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    good = world.sessions(agent)
    world.add_session(agent, id="cut", name="Launch \ud83d", state="idle")

    report = run_agent(agent, RECONCILE)

    assert report.status == "succeeded", report.error
    assert [one for one in differences(store, good, agent) if "'cut'" not in one] == []
    assert (row(store, "cut", agent)["name"], row(store, "cut", agent)["state"]) == (None, "idle")


def _named(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("id"), str)


def test_a_rejected_record_is_kept_once_with_its_last_time(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    world.change(world.sessions(agent)[3]["id"], usage="oops")
    run_agent(agent, RECONCILE)
    (first,) = rejections(store)

    run_agent(agent, RECONCILE)

    (again,) = rejections(store)
    assert again["received_at"] > first["received_at"]
    assert again["run_id"] > first["run_id"]
    assert (again["id"], again["payload"]) == (first["id"], first["payload"])


def test_a_rejected_record_that_comes_right_is_resolved(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    id, usage = (world.sessions(agent)[3][name] for name in ("id", "usage"))
    world.change(id, usage="oops")
    run_agent(agent, RECONCILE)
    world.change(id, usage=usage)

    run_agent(agent, RECONCILE)

    (resolved,) = rejections(store)
    assert resolved["resolved_at"] is not None
    assert differences(store, world.sessions(agent), agent) == []
    world.change(id, usage="oops")
    run_agent(agent, RECONCILE)
    (bad_again,) = rejections(store)
    assert bad_again["resolved_at"] is None


def test_a_field_that_turns_bad_overwrites_nothing_and_the_rest_is_stored(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    run_agent(agent, RECONCILE)
    id = world.sessions(agent)[3]["id"]
    before = row(store, id, agent)
    world.change(id, usage="oops", name="new")

    report = run_agent(agent, RECONCILE)

    assert (report.status, report.counts.rejected) == ("succeeded", 0)
    assert (report.counts.partial, report.counts.updated) == (1, 1)
    after = row(store, id, agent)
    assert after["name"] == "new"
    assert {k for k in after if after[k] != before[k]} <= {"name", "updated_at", "as_of"}
    (note,) = rejections(store)
    assert (note["session_id"], json.loads(note["payload"])) == (id, {"id": id, "usage": "oops"})


def test_a_note_is_settled_by_a_later_response_with_everything_readable(
    store: Store, run: Run
) -> None:
    def note(value: int, sent: float) -> Batch:
        reason = f"{STORED_WITHOUT}`$.name` (not a text)"
        bad = Rejected(json.dumps({"id": "s", "name": value}), reason, "s")
        return Batch([response(session("s"), sent=sent, rejected=[bad])])

    def unresolved() -> list[str]:
        return [one["payload"] for one in rejections(store) if one["resolved_at"] is None]

    store.save(run, note(1, sent=1))
    store.save(run, note(2, sent=2))
    assert unresolved() == ['{"id": "s", "name": 2}'], "the newer note replaces the older"

    store.save(run, Batch([response(session("s", name="early"), sent=0)]))
    store.save(run, Batch([response(Session("s", AGENT, state="idle"), sent=3)]))
    assert unresolved() == ['{"id": "s", "name": 2}'], "neither an early nor a silent response"

    store.save(run, Batch([response(session("s", name="right"), sent=4)]))
    assert unresolved() == []


def test_a_note_and_its_settlement_may_come_in_one_batch(store: Store, run: Run) -> None:
    bad = Rejected('{"id": "s", "state": 1}', f"{STORED_WITHOUT}`$.state` (not a text)", "s")
    noted = response(session("s"), sent=1, rejected=[bad])
    good = response(session("s", state="idle"), sent=2)

    store.save(run, Batch([good, noted]))

    assert [one["resolved_at"] is None for one in rejections(store)] == [False]


def test_notes_are_settled_among_hundreds_of_others(store: Store, run: Run) -> None:
    reason = f"{STORED_WITHOUT}`$.state` (not a text)"
    ids = [f"s{n}" for n in range(450)]
    bad = [Rejected(json.dumps({"id": id, "state": 1}), reason, id) for id in ids]
    store.save(run, Batch([response(*map(session, ids), sent=1, rejected=bad)]))

    store.save(run, Batch([response(session("s7", state="idle"), sent=2)]))

    settled = [one["session_id"] for one in rejections(store) if one["resolved_at"]]
    assert (settled, len(rejections(store))) == (["s7"], 450)


def test_the_same_payload_of_two_agents_is_kept_for_each(
    store: Store, world: World, run_agent: Runner
) -> None:
    for agent in world.agent_ids():
        world.add_raw(agent, 17, datetime.now(UTC) - timedelta(days=3))
        assert run_agent(agent, RECONCILE).status == "succeeded"

    assert [one["agent_id"] for one in rejections(store)] == world.agent_ids()


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_deeply_nested_record_costs_itself_alone(
    store: Store, api: Simulator, run_agent: Runner, depth: int
) -> None:
    world = api.world
    agent = world.agent_ids()[0]
    good = world.sessions(agent)
    id = world.add_raw(agent, {"id": "deep"}, datetime.now(UTC) - timedelta(days=3))
    nested = b"[" * depth + b"]" * depth
    world._rows[id].body = b'{"id":"deep","state":"completed","deep":' + nested + b"}"

    report = run_agent(agent, RECONCILE)

    assert report.status == "succeeded", report.error
    assert [one for one in differences(store, good, agent) if "deep" not in one] == []


# -- strange but good ones -------------------------------------------------------------------------

STRANGE = {
    "long": "long name " * 100_000,
    "emoji": "👩🏽\u200d🚀🧑\u200d🤝\u200d🧑 zażółć",
    "rtl": "\u202e\u0645\u0631\u062d\u0628\u0627\u202c \u05e9\u05dc\u05d5\u05dd",
    "controls": "tab\tline\nbell\x07\x7f\u2028\ufeff",
    "quotes": "'; DROP TABLE sessions; -- \" \\ %s %(x)s :x ?",
    "empty": "",
    "private": "\ue000\U0010ffff\uffff",
}


@pytest.mark.parametrize("kind", STRANGE)
def test_names_of_every_kind(store: Store, world: World, run_agent: Runner, kind: str) -> None:
    agent, name = world.agent_ids()[0], STRANGE[kind]
    creator = {"id": "person", "first_name": name, "last_name": name, "email": name}
    world.add_session(agent, id="strange", name=name, type=name, state=name, creator=creator)

    report = run_agent(agent, RECONCILE)

    assert report.status == "succeeded", report.error
    assert differences(store, world.sessions(agent), agent) == []
    assert stored_creators(store)["person"]["email"] == name


@pytest.mark.parametrize("kind", sorted(set(STRANGE) - {"long", "empty"}))
def test_ids_of_every_kind(store: Store, world: World, run_agent: Runner, kind: str) -> None:
    agent, id = world.agent_ids()[0], f"/{STRANGE[kind]}?#"
    world.add_session(agent, id=id, state="processing", creator={"id": id, "first_name": "x"})

    assert run_agent(agent, RECONCILE).status == "succeeded"
    report = run_agent(agent)

    assert (report.status, report.counts.updated) == ("succeeded", 0), report.error
    assert differences(store, world.sessions(agent), agent) == []


def test_what_a_bulk_load_gives_a_meaning_is_text_like_any_other(store: Store, run: Run) -> None:
    r"""COPY ends values at tabs and rows at line ends, and `\N` is its null."""
    pieces = [*"\\\t\n\rNnb.", "\\N", ""]
    texts = ["".join(chosen) for chosen in product(pieces, repeat=3)]
    names = {f"s{number}": name for number, name in enumerate([None, *texts])}

    shown = [session(id, name=name, type=name, extra={"x": name}) for id, name in names.items()]
    store.save(run, Batch([response(*shown)]))

    stored = stored_sessions(store, AGENT)
    assert {id: one["name"] for id, one in stored.items()} == names
    assert {id: one["type"] for id, one in stored.items()} == names
    again = store.save(run, Batch([response(*shown, sent=1)])).counts
    assert (again.updated, again.repeated) == (0, len(names))


def test_the_longest_ids(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(666))
    world.add_session(agent, id=noise, state="processing", creator={"id": noise[::-1]})

    assert run_agent(agent, RECONCILE).status == "succeeded"
    assert run_agent(agent).status == "succeeded"
    assert differences(store, world.sessions(agent), agent) == []


def test_nul_in_names(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    creator = {"id": "person", "first_name": "a\0b"}
    fields = {
        "name": "a\0b",
        "type": "\0",
        "state": "odd\0",
        "creator": creator,
        "new": {"\0": "\0"},
    }
    world.add_session(agent, id="nul", **fields)

    assert run_agent(agent, RECONCILE).status == "succeeded"
    again = run_agent(agent, RECONCILE)

    nul = "\0" if store.engine.dialect.name == "sqlite" else "\ufffd"
    stored = row(store, "nul", agent)
    assert (stored["name"], stored["type"], stored["state"]) == (f"a{nul}b", nul, f"odd{nul}")
    assert stored["extra"] == {"new": {nul: nul}}
    assert stored_creators(store)["person"]["first_name"] == f"a{nul}b"
    assert (again.status, again.counts.updated) == ("succeeded", 0)


@pytest.mark.parametrize(
    "record",
    [
        {"id": "nul\0", "name": "x", "state": "completed"},
        {"id": "nul\0"},
        {"id": "fine", "creator": {"id": "person\0"}},
        {"id": "nul\0", "created_at": "2026-05-01T00:00:00Z", "extra": [1]},
    ],
    ids=repr,
)
def test_nul_in_ids(store: Store, world: World, run_agent: Runner, record: dict[str, Any]) -> None:
    agent = world.agent_ids()[0]
    good = world.sessions(agent)
    world.add_raw(agent, record, datetime.now(UTC) - timedelta(days=3))

    report = run_agent(agent, RECONCILE)

    assert report.status == "succeeded", report.error
    if store.engine.dialect.name == "sqlite":
        assert differences(store, world.sessions(agent), agent) == []
        return
    others = [one for one in differences(store, good, agent) if "'fine'" not in one]
    assert others == []
    assert report.counts.rejected + report.counts.partial == 1
    (aside,) = rejections(store)
    assert "NUL" in aside["reason"]
    assert run_agent(agent, RECONCILE).status == "succeeded"
    assert len(rejections(store)) == 1


def test_nul_in_an_agents_name(store: Store, world: World, run_agent: Runner) -> None:
    agent = world.agent_ids()[0]
    world.rename_agent(agent, "a\0b")

    assert run_agent(agent, RECONCILE).status == "succeeded"


def test_what_no_column_holds_is_kept_in_extra(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    extra = {
        "big": 2**80,
        "small": -1e-300,
        "": {"": [None, True, 1.5, "é"]},
        "usage": {"gpu_seconds": 3},
        "creator": {"role": "owner"},
    }
    sent = {
        **extra,
        "usage": {"credit_cost": 1, "gpu_seconds": 3},
        "creator": {"id": "p", "role": "owner"},
    }
    world.add_session(agent, id="more", **sent)

    assert run_agent(agent, RECONCILE).status == "succeeded"
    again = run_agent(agent, RECONCILE)

    assert row(store, "more", agent)["extra"] == extra
    assert again.counts.updated == 0


@pytest.mark.parametrize(
    "created_at",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000001Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59Z",
        None,
        ABSENT,
    ],
    ids=lambda value: "absent" if value is ABSENT else str(value),
)
@pytest.mark.parametrize("others", [0, 3])
def test_dates_at_the_edges_of_the_calendar(
    store: Store, api: Simulator, run_agent: Runner, created_at: Any, others: int
) -> None:
    agent = api.world.add_agent("edge")
    for _ in range(others):
        api.world.add_session(agent)
    api.world.add_session(agent, created_at=created_at)

    for options in (RunOptions("backfill"), RunOptions(), RECONCILE):
        report = run_agent(agent, options)
        assert report.status == "succeeded", report.error
        assert differences(store, api.world.sessions(agent), agent) == []


@pytest.mark.parametrize("walkers", [1, 2])
def test_more_sessions_at_one_instant_than_many_pages_hold(
    store: Store, api: Simulator, run_agent: Runner, walkers: int
) -> None:
    agent = api.world.add_agent("burst")
    for number in range(260):
        api.world.add_session(agent, created_at=T0 + timedelta(seconds=number // 250))

    first = run_agent(agent, RunOptions("backfill", walkers=walkers), page_size=10)
    again = run_agent(agent, RunOptions(walkers=walkers), page_size=10)

    assert (first.status, again.status) == ("succeeded", "succeeded"), (first.error, again.error)
    assert differences(store, api.world.sessions(agent), agent) == []


# -- partial, absent, null -------------------------------------------------------------------------


def test_a_partial_creator_never_blanks_known_fields(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    whole = {
        "id": "p",
        "first_name": "Ada",
        "last_name": "L",
        "email": "a@x",
        "profile_picture": "u",
    }
    id = world.add_session(agent, creator=whole)
    run_agent(agent)

    for partial in ({"id": "p"}, {"id": "p", "first_name": None, "email": None}):
        world.change(id, creator=partial)
        run_agent(agent)
        known = stored_creators(store)["p"]
        assert {name: known[name] for name in whole} == whole
    world.change(id, creator={"id": "p", "first_name": "Augusta", "last_name": None})
    run_agent(agent)

    known = stored_creators(store)["p"]
    assert (known["first_name"], known["last_name"]) == ("Augusta", "L")


def test_an_absent_key_keeps_and_a_null_blanks(
    store: Store, world: World, run_agent: Runner
) -> None:
    agent = world.agent_ids()[0]
    fields = {"name": "n", "type": "t", "state": "processing", "creator": {"id": "p"}}
    id = world.add_session(agent, usage={"credit_cost": 2.5, "input_tokens": 3}, **fields)
    run_agent(agent)
    before = row(store, id, agent)

    world.change(id, **dict.fromkeys([*fields, "usage"], ABSENT))
    absent = run_agent(agent)
    assert row(store, id, agent) == before
    assert absent.counts.updated == 0
    world.change(id, usage={"credit_cost": None})
    run_agent(agent)
    assert (row(store, id, agent)["credit_cost"], row(store, id, agent)["input_tokens"]) == (
        None,
        3,
    )
    world.change(id, **dict.fromkeys([*fields, "usage"]))
    run_agent(agent)

    after = row(store, id, agent)
    blank = ("name", "type", "state", "creator_id", "credit_cost", "input_tokens")
    assert {after[name] for name in blank} == {None}
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


# -- older and newer answers -----------------------------------------------------------------------


def test_an_older_answer_never_overwrites_a_newer(store: Store, run: Run) -> None:
    store.save(run, Batch([response(session(state="new", name="new"), sent=5)]))

    late = store.save(run, Batch([response(session(state="old", name="old"), sent=3)]))

    assert (row(store)["state"], row(store)["name"]) == ("new", "new")
    assert (late.counts.updated, late.counts.repeated) == (0, 1)


def test_an_older_response_in_one_batch_changes_nothing(store: Store, run: Run) -> None:
    old, new = session(state="old"), session(state="new")

    store.save(run, Batch([response(new, sent=5), response(old, sent=3)]))

    assert row(store)["state"] == "new"


def test_nor_one_that_confirmed_what_was_stored(store: Store, run: Run) -> None:
    store.save(run, Batch([response(session(state="processing"), sent=1)]))
    store.save(run, Batch([response(session(state="processing"), sent=5)]))

    store.save(run, Batch([response(session(state="queued"), sent=3)]))

    assert row(store)["state"] == "processing"


def test_an_older_answer_fills_what_a_newer_one_left_open(store: Store, run: Run) -> None:
    """Two walks may be saved in either order, and a null says nothing."""
    store.save(run, Batch([response(sent=2, creators=[Creator("p", None, "Newer")])]))

    store.save(run, Batch([response(sent=1, creators=[Creator("p", "Older", "Older")])]))

    with store.connect() as connection:
        c = t.creators.c
        found = connection.execute(select(c.first_name, c.last_name, c.as_of)).one()
    assert tuple(found) == ("Older", "Newer", at(2))


def test_an_older_response_keeps_a_newer_creator(store: Store, run: Run) -> None:
    for sent, name in ((1, "A"), (5, "B"), (3, "C")):
        store.save(run, Batch([response(sent=sent, creators=[Creator("p", name)])]))

    assert stored_creators(store)["p"]["first_name"] == "B"


def test_nor_a_creator_that_was_confirmed(store: Store, run: Run) -> None:
    for sent, name in ((1, "A"), (5, "A"), (3, "C")):
        store.save(run, Batch([response(sent=sent, creators=[Creator("p", name)])]))

    assert stored_creators(store)["p"]["first_name"] == "A"


def test_states_are_noted_at_first_sight_and_at_each_change(store: Store, run: Run) -> None:
    for sent, state in ((0, "queued"), (1, "queued"), (2, "processing"), (3, None), (4, "failed")):
        store.save(run, Batch([response(session(state=state, name=str(sent)), sent=sent)]))

    query = select(t.session_states).order_by(t.session_states.c.observed_at)
    with store.connect() as connection:
        noted = [(row.state, row.observed_at, row.run_id) for row in connection.execute(query)]
    states = [("queued", 0), ("processing", 2), (None, 3), ("failed", 4)]
    assert noted == [(state, at(sent), run.id) for state, sent in states]


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_what_another_agents_run_wrote_meanwhile_is_taken_into_account(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that moves from agent to agent is in both lists for a moment."""
    store.save(run, Batch([response(session(state="queued"))]))
    elsewhere = Store(store.url, store.now)
    lease = elsewhere.claim("another")
    assert isinstance(lease, Lease)
    other = start_run(elsewhere, lease, "backfill", AgentState(), T0)
    load, to_come = store._rows.load, [response(Session("s", "another", state="queued"), sent=2)]

    def load_late(connection: Any, table: str, *args: Any) -> Any:
        found = load(connection, table, *args)
        if to_come:
            elsewhere.save(other, Batch([to_come.pop()]))
        return found

    monkeypatch.setattr(store._rows, "load", load_late)
    saved = store.save(run, Batch([response(session(state="processing"), sent=1)]))

    assert (saved.counts.updated, saved.counts.repeated) == (0, 1)
    query = select(t.session_states).order_by(t.session_states.c.observed_at)
    with store.connect() as connection:
        noted = [tuple(row) for row in connection.execute(query)]
    assert noted == [("s", "queued", at(0), run.id)]
    elsewhere.close()


# -- counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 8, 9, 700])
def test_counts_are_truthful(store: Store, run: Run, count: int) -> None:
    whole = [session(f"s{n}", name="one", credit_cost=0.1 + n) for n in range(count)]
    half = [session(s.id, name="two") if n % 2 else s for n, s in enumerate(whole)]

    first = store.save(run, Batch([response(*whole)])).counts
    same = store.save(run, Batch([response(*whole, sent=1)])).counts
    changed = store.save(run, Batch([response(*half, sent=2)])).counts

    assert (first.inserted, first.updated, first.unchanged, first.seen) == (count, 0, 0, count)
    assert (same.inserted, same.updated, same.repeated) == (0, 0, count)
    assert (changed.updated, changed.repeated) == (count // 2, count - count // 2)
    with store.connect() as connection:
        runs = connection.execute(select(t.sync_runs)).one()
    assert (runs.inserted, runs.updated, runs.seen) == (count, count // 2, 3 * count)


def test_what_a_run_sees_again_is_counted_apart_from_what_was_unchanged(
    store: Store, run: Run
) -> None:
    whole = [session(f"s{n}") for n in range(6)]
    changed = [session("s0", name="new"), *whole[1:3]]
    store.save(run, Batch([response(*whole)]))
    second = start_run(store, run.lease, "reconcile", AgentState(), at(10))

    counts = [
        store.save(second, Batch([response(*shown, sent=sent)])).counts
        for sent, shown in (
            (11, changed),
            (12, changed),
            (13, [*whole[3:], *whole[3:]]),
            (9, whole),
        )
    ]

    assert [(one.updated, one.unchanged, one.repeated) for one in counts] == [
        (1, 2, 0),
        (0, 0, 3),
        (0, 3, 3),
        (0, 0, 6),
    ]


def test_an_unchanged_row_is_not_touched(store: Store, run: Run) -> None:
    store.save(run, Batch([response(session(name="x", extra={"b": 1, "a": [2]}))]))
    before = row(store)["updated_at"]

    store.save(run, Batch([response(session(name="x", extra={"a": [2], "b": 1}), sent=1)]))

    assert row(store)["updated_at"] == before


@pytest.mark.parametrize("cost", [0.1, 0.1 + 0.2, 1e-9, 123456789.123456, -0.5, 3, 1e300])
@pytest.mark.parametrize("count", [1, 20])
def test_costs_come_back_as_they_went_in(store: Store, run: Run, cost: float, count: int) -> None:
    costs = {"credit_cost": cost, "tool_credit_cost": cost}
    many = [session(f"s{number}", **costs) for number in range(count)]
    store.save(run, Batch([response(*many)]))

    again = store.save(run, Batch([response(*many, sent=1)])).counts

    assert row(store, "s0")["credit_cost"] == cost
    assert (again.updated, again.repeated) == (0, count)


def test_a_nul_in_one_record_changes_nothing_of_another(store: Store, run: Run) -> None:
    deep: Any = "bottom"
    for _ in range(600):
        deep = [deep]
    store.save(
        run, Batch([response(session("a", name="x\0y"), session("b", extra={"deep": deep}))])
    )

    assert row(store, "a")["name"] in ("x\0y", "x\ufffdy")
    assert row(store, "b")["extra"] == {"deep": deep}


@pytest.mark.parametrize("tokens", [0, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_tokens_come_back_as_they_went_in(store: Store, run: Run, tokens: int) -> None:
    store.save(run, Batch([response(session(input_tokens=tokens))]))

    assert row(store)["input_tokens"] == tokens


def set_server(store: Store, setting: str) -> None:
    """Have PostgreSQL work with a setting that its owner may have made; SQLite has none."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.begin() as connection:
            name = connection.engine.url.database
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET {setting}")
        store.engine.dispose()


def test_costs_come_back_as_they_went_in_whatever_the_server_shows(store: Store, run: Run) -> None:
    set_server(store, "extra_float_digits TO 0")
    shown = session(credit_cost=0.1 + 0.2)
    store.save(run, Batch([response(shown)]))

    again = store.save(run, Batch([response(shown, sent=1)])).counts

    assert (again.updated, again.repeated) == (0, 1)


def test_the_hour_that_comes_twice_is_two_hours(store: Store, run: Run) -> None:
    """Python takes both for the same instant where they are told in the server's zone."""
    set_server(store, "timezone TO 'Europe/Berlin'")
    times = [datetime(2025, 10, 25, 22, 30, tzinfo=UTC) + n * timedelta(hours=1) for n in range(12)]
    shown = [session(f"s{n:02}", created_at=one) for n, one in enumerate(times)]
    store.save(run, Batch([response(*shown)]))

    again = store.save(run, Batch([response(*shown, sent=1)])).counts
    store.save(run, Batch([response(*(session(one.id, name="new") for one in shown), sent=2)]))

    assert (again.updated, again.repeated) == (0, 12)
    stored = stored_sessions(store, AGENT)
    assert [stored[one.id]["created_at"] for one in shown] == times


def test_instants_come_back_as_they_went_in_wherever_the_server_is(store: Store, run: Run) -> None:
    set_server(store, "timezone TO 'Europe/Berlin'")
    # Until 1893 Berlin was 53 minutes and 28 seconds ahead.
    shown = {f"s{n}": datetime(1 + 100 * n, 7, 1, 12, 30, 0, n, tzinfo=UTC) for n in range(21)}
    first = [session(id, created_at=at) for id, at in shown.items()]
    store.save(run, Batch([response(*first)]))

    renamed = [session(id, name="new") for id in shown]
    store.save(run, Batch([response(*renamed, sent=1)]))

    stored = stored_sessions(store, AGENT)
    assert {id: one["created_at"] for id, one in stored.items()} == shown
    assert {one["first_seen_at"] for one in stored.values()} == {at(0)}
    assert {one["as_of"] for one in stored.values()} == {at(1)}


# -- leases and transactions -----------------------------------------------------------------------


def test_a_save_extends_the_lease(store: Store, run: Run) -> None:
    expires = t.sync_state.c.lease_expires_at
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(lease_expires_at=T0))

    store.save(run, Batch([response(session())]))

    with store.connect() as connection:
        left = connection.execute(select(expires)).scalar_one() - utc_now()
    assert leases.LEASE / 2 < left <= leases.LEASE + timedelta(seconds=1)


def test_a_lease_belongs_to_one(store: Store, run: Run) -> None:
    with store.engine.begin() as connection:
        other = leases.claim(connection, AGENT, "elsewhere:1:1")

    assert isinstance(other, LeaseHolder)


def test_a_run_whose_lease_was_taken_over_saves_nothing(store: Store, run: Run) -> None:
    store.save(run, Batch([response(session(state="ours"))]))
    theirs = _take_over(store)
    before = contents(store)

    for attempt in (
        lambda: store.save(run, Batch([response(session(state="late"), sent=9)])),
        lambda: store.renew(run.lease),
        lambda: start_run(store, run.lease, "backfill", AgentState(), T0),
        lambda: save_seek_refused(store, run),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    store.release(run.lease)

    assert contents(store) == before
    store.renew(theirs)


def test_a_fenced_run_cannot_call_itself_a_success(store: Store, run: Run) -> None:
    _take_over(store)

    with pytest.raises(LeaseLost):
        finish_run(store, run, "succeeded", Batch().counts, None, at(9))

    assert store.load_state(AGENT).last_success_at is None
    with store.connect() as connection:
        assert connection.execute(select(t.sync_runs.c.status)).scalar_one() == "running"


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_run_whose_last_save_was_lost_cannot_call_itself_a_success(
    store: Store, run: Run
) -> None:
    """A standby that lacked the last commit has taken over meanwhile."""
    store.save(run, Batch([response(session("kept"))]))
    with store.connect() as connection:
        saves = connection.scalar(select(t.sync_state.c.saves))
    store.save(run, Batch([response(session("lost"))]))
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(saves=saves))

    with pytest.raises(StoreError, match="has lost what was committed"):
        finish_run(store, run, "succeeded", Batch().counts, None, at(9))

    assert store.load_state(AGENT).last_success_at is None


def _take_over(store: Store) -> Lease:
    """Another process works on the agent since the lease ran out."""
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_state).values(lease_expires_at=T0))
        lease = leases.claim(connection, AGENT, "elsewhere:1:1")
    assert isinstance(lease, Lease)
    return lease


def test_the_next_run_marks_one_that_died(store: Store, run: Run) -> None:
    theirs = _take_over(store)

    start_run(store, theirs, "incremental", store.load_state(AGENT), at(60))

    query = select(t.sync_runs.c.status).order_by(t.sync_runs.c.id)
    with store.connect() as connection:
        assert list(connection.execute(query).scalars()) == ["interrupted", "running"]


class PulledPlug(Exception):
    """Stands for whatever ends a transaction in the middle."""


def test_rows_and_checkpoint_commit_together(store: Store, run: Run) -> None:
    store.save(run, _batch("before", 0))
    before = contents(store)

    for number in range(100):
        with _failing(store, number) as failed:
            try:
                store.save(run, _batch("after", 1))
            except PulledPlug:
                assert contents(store) == before, f"after statement {number}"
                continue
        assert failed() is False
        break

    assert number > 8
    assert contents(store) != before
    with store.connect() as connection:
        assert connection.scalar(select(t.sync_state.c.last_cursor)) == "cursor after"


def _batch(name: str, sent: float) -> Batch:
    """A batch that touches every table."""
    sessions = [
        session(f"{name} {n}", state=name, creator_id="p", created_at=at(-n)) for n in range(20)
    ]
    changed = session("s", state=name)
    rejected = [Rejected(json.dumps(name), "bad", "x")]
    creators = [Creator("p", name)]
    got = response(*sessions, changed, sent=sent, creators=creators, rejected=rejected)
    edge = Entry("newest", f"cursor {name}", at(sent))
    return Batch(
        [got],
        coverage=(Span(BEGINNING, at(100 + sent), at(sent), below=edge),),
        last_cursor=f"cursor {name}",
        watermark_bound=at(100),
        bookmarks=[(edge, None)],
    )


class _failing:
    """Fails the statement of that number while the block lasts."""

    def __init__(self, store: Store, number: int) -> None:
        self.engine, self.left, self.failed = store.engine, number, False

    def __enter__(self) -> Callable[[], bool]:
        event.listen(self.engine, "before_cursor_execute", self.strike)
        return lambda: self.failed

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self.strike)

    def strike(self, *_: object) -> None:
        self.left -= 1
        if self.left == -1:
            self.failed = True
            raise PulledPlug


def contents(store: Store) -> dict[str, list[str]]:
    """Every row of every table, but for the time of the lease."""
    found = {}
    with store.connect() as connection:
        for table in t.metadata.sorted_tables:
            columns = [column for column in table.c if column.name != "lease_expires_at"]
            found[table.name] = sorted(map(str, connection.execute(select(*columns))))
    return found


def test_a_commit_that_fails_leaves_nothing(store: Store, run: Run) -> None:
    before = contents(store)

    def fail(_: object) -> None:
        raise PulledPlug

    event.listen(store.engine, "commit", fail)
    with pytest.raises(PulledPlug):
        store.save(run, _batch("after", 1))
    event.remove(store.engine, "commit", fail)

    assert contents(store) == before


def test_an_answer_that_was_rolled_back_was_never_there(store: Store, run: Run) -> None:
    new, old = (
        Batch([response(session(creator_id="p"), sent=sent, creators=[Creator("p", name)])])
        for sent, name in ((5, "new"), (3, "old"))
    )
    with _failing(store, 6), pytest.raises(PulledPlug):
        store.save(run, new)

    saved = store.save(run, old)

    assert saved.counts.inserted == 1
    assert stored_creators(store)["p"]["first_name"] == "old"


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_two_agents_with_the_same_creator_at_the_same_time(
    store: Store, run: Run, count: int
) -> None:
    lease = store.claim("other")
    assert isinstance(lease, Lease)
    other = start_run(store, lease, "backfill", AgentState(), T0)
    theirs = [Session(f"theirs {number}", "other", creator_id="p") for number in range(count)]
    failures: list[Exception] = []

    def save_theirs() -> None:
        people = [Creator("p", "old")]
        try:
            store.save(other, Batch([Response(theirs, people, [], at(3))]))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=save_theirs)

    def in_the_middle(_: object, __: object, statement: str, *___: object) -> None:
        # Our creator is written by now, but not committed; the other answer is an older one.
        if "sync_runs" in statement and not thread.ident:
            thread.start()
            thread.join(2)

    event.listen(store.engine, "before_cursor_execute", in_the_middle)
    store.save(
        run, Batch([response(session(creator_id="p"), sent=5, creators=[Creator("p", "new")])])
    )
    thread.join(60)

    assert failures == []
    assert stored_creators(store)["p"]["first_name"] == "new"


def test_readers_see_a_batch_whole_or_not_at_all(store: Store, run: Run) -> None:
    seen: list[tuple[int, int]] = []

    def look(_: object, __: object, statement: str, *___: object) -> None:
        if "coverage" not in statement or seen:
            return
        seen.append((-1, -1))
        with store.connect() as connection:
            rows = connection.execute(select(func.count()).select_from(t.sessions)).scalar_one()
            spans = connection.execute(text("SELECT count(*) FROM coverage")).scalar_one()
        seen.append((rows, spans))

    event.listen(store.engine, "before_cursor_execute", look)
    store.save(run, _batch("after", 1))
    event.remove(store.engine, "before_cursor_execute", look)

    assert seen[1:] == [(0, 0)]


def test_a_run_that_lost_its_lease_ended_when_the_next_began(store: Store) -> None:
    """Its process may close it a moment later: else the two would seem to overlap."""
    first = store.claim("a")
    assert isinstance(first, Lease)
    run = start_run(store, first, "backfill", store.load_state("a"), utc_now())
    store.release(first)
    second = store.claim("a")
    assert isinstance(second, Lease)
    begun = utc_now()

    finish_run(store, run, "failed", Counts(), "woken late", begun + timedelta(seconds=1))
    start_run(store, second, "backfill", store.load_state("a"), begun)

    with store.connect() as connection:
        c = t.sync_runs.c
        query = select(c.status, c.finished_at).where(c.id == run.id)
        assert tuple(connection.execute(query).one()) == ("failed", begun)


def test_a_run_that_another_process_has_closed_stays_as_it_is(store: Store) -> None:
    first = store.claim("a")
    assert isinstance(first, Lease)
    run = start_run(store, first, "backfill", store.load_state("a"), utc_now())
    store.release(first)
    second = store.claim("a")
    assert isinstance(second, Lease)
    start_run(store, second, "backfill", store.load_state("a"), utc_now())

    finish_run(store, run, "failed", Counts(), "woken late", utc_now())

    with store.connect() as connection:
        query = select(t.sync_runs.c.status).where(t.sync_runs.c.id == run.id)
        assert connection.execute(query).scalar_one() == "interrupted"
