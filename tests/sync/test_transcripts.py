"""Transcripts against the simulator, on both databases."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from etl.api.client import Client
from etl.clock import utc_now
from etl.config import Api
from etl.credentials import Credentials
from etl.errors import LeaseLost, Stopped
from etl.models import Transcripts
from etl.planning.run_demand import AgentState, RunOptions
from etl.planning.transcripts import MOST_TROUBLE
from etl.simulator import Fault, Simulator, World
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.responses import Run
from etl.store.write.transcripts import count_transcripts
from etl.sync.run_context import RunContext
from etl.sync.transcripts import TranscriptSync
from tests.conftest import Runner

SESSIONS = 30
ALL = RunOptions("backfill", transcripts=1000)
SYNC = RunOptions(transcripts=1000)
RETRIEVE = r"^/api/v1/sessions/"


@pytest.fixture
def world() -> World:
    """Two agents with a short history, none of it open."""
    made = World.generate(agents=2, sessions=SESSIONS, seed=3)
    for agent in made.agent_ids():
        for session in made.sessions(agent):
            made.change(session["id"], state="completed")
    return made


@pytest.fixture
def agent(world: World) -> str:
    return world.agent_ids()[0]


@pytest.fixture
def ids(world: World, agent: str) -> list[str]:
    """Of its sessions, the newest first."""
    return [session["id"] for session in world.sessions(agent)]


def contents(store: Store, session_id: str) -> list[str | None]:
    c = t.session_messages.c
    query = select(c.content).where(c.session_id == session_id).order_by(c.position)
    with store.connect() as connection:
        return list(connection.execute(query).scalars())


def markers(store: Store) -> dict[str, Any]:
    with store.connect() as connection:
        return {row.session_id: row for row in connection.execute(select(t.transcripts))}


def everything(store: Store) -> list[Any]:
    with store.connect() as connection:
        tables = (t.session_messages, t.transcripts)
        return [sorted(map(str, connection.execute(select(table)))) for table in tables]


def retrieved(api: Simulator) -> list[str]:
    """The sessions asked for by id, in order."""
    found = (r.path.rpartition("/")[2] for r in list(api.requests) if "/agents/" not in r.path)
    return list(found)


def test_off_by_default_it_asks_for_nothing_and_touches_no_table(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    statements: list[str] = []

    def listen(_c: object, _cur: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(store.engine, "before_cursor_execute", listen)
    report = run_agent(agent)

    assert (report.status, report.transcripts) == ("succeeded", None)
    assert retrieved(api) == []
    assert [s for s in statements if "transcripts" in s or "message" in s] == []


def test_each_message_is_stored_as_the_api_has_it(
    store: Store, world: World, agent: str, ids: list[str], run_agent: Runner
) -> None:
    sent = {
        "id": "m1",
        "role": "user",
        "content": "Where is it?",
        "created_at": "2026-05-15T14:32:00.25Z",
        "creator_id": "user_1",
        "parts": [{"type": "text", "text": "Where is it?"}, {"type": "tool", "n": 1.5}],
    }
    world.set_transcript(ids[0], [sent, {"content": None, "mood": "odd"}, None])

    report = run_agent(agent, ALL)

    assert report.transcripts == Transcripts(SESSIONS, SESSIONS, 0, 0, SESSIONS)
    with store.connect() as connection:
        c = t.session_messages.c
        query = select(*c).where(c.session_id == ids[0]).order_by(c.position)
        first, second, third = connection.execute(query)
        total = connection.execute(select(func.count()).select_from(t.session_messages)).scalar()
    assert total == sum(row.messages for row in markers(store).values())
    assert first[1:10] == (
        ids[0],
        0,
        *(sent[name] for name in ("id", "role", "content")),
        datetime(2026, 5, 15, 14, 32, 0, 250_000, UTC),
        "user_1",
        sent["parts"],
        None,
    )
    assert (second.extra, third[3:]) == ({"mood": "odd"}, (None,) * 8)


def test_a_second_run_asks_for_nothing_and_writes_nothing(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    run_agent(agent, ALL)
    before = everything(store)
    api.clear_requests()

    report = run_agent(agent, SYNC)

    assert report.transcripts == Transcripts()
    assert retrieved(api) == []
    assert everything(store) == before


def test_a_changed_session_is_retrieved_again_and_replaced_whole(
    store: Store, world: World, api: Simulator, agent: str, ids: list[str], run_agent: Runner
) -> None:
    world.set_transcript(ids[3], [{"content": c} for c in "abc"])
    run_agent(agent, ALL)
    world.set_transcript(ids[3], [{"content": c} for c in "xb"])
    world.change(ids[3], name="renamed")
    api.clear_requests()

    report = run_agent(agent, RunOptions("reconcile", transcripts=1000))

    assert retrieved(api) == [ids[3]]
    assert report.transcripts == Transcripts(fetched=1, changed=1, requests=1)
    assert contents(store, ids[3]) == ["x", "b"]


def test_the_same_answer_writes_no_message(
    store: Store, world: World, agent: str, ids: list[str], run_agent: Runner
) -> None:
    run_agent(agent, ALL)
    before = everything(store)[0]
    world.change(ids[3], name="renamed")

    report = run_agent(agent, RunOptions("reconcile", transcripts=1000))

    assert report.transcripts == Transcripts(fetched=1, changed=0, requests=1)
    assert everything(store)[0] == before
    assert run_agent(agent, SYNC).transcripts == Transcripts()


def test_an_open_session_is_retrieved_again_each_time_it_changes(
    store: Store, world: World, agent: str, run_agent: Runner
) -> None:
    id = world.add_session(agent, state="processing")
    world.set_transcript(id, [{"content": "first"}])
    run_agent(agent, ALL)
    for number in range(3):
        world.set_transcript(id, [{"content": "first"}, {"content": f"then {number}"}])
        world.reopen(id)

        report = run_agent(agent, SYNC)

        assert report.transcripts is not None
        assert (report.transcripts.fetched, contents(store, id)[-1]) == (1, f"then {number}")


def test_messages_null_empties_a_transcript_and_none_at_all_leaves_it(
    store: Store, world: World, agent: str, ids: list[str], run_agent: Runner
) -> None:
    for id in ids[:2]:
        world.set_transcript(id, [{"content": "here"}])
    run_agent(agent, ALL)
    world.set_transcript(ids[0], None)
    world.set_transcript(ids[1], {"no": "list"})
    for id in ids[:2]:
        world.change(id, name="renamed")

    report = run_agent(agent, RunOptions("reconcile", transcripts=1000), max_attempts=1)

    assert report.status == "succeeded"
    assert report.transcripts == Transcripts(1, 1, 1, 0, 2)
    assert (contents(store, ids[0]), contents(store, ids[1])) == ([], ["here"])
    assert "can't be read" in markers(store)[ids[1]].error


def test_so_many_a_run_the_newest_first(
    store: Store, api: Simulator, agent: str, ids: list[str], run_agent: Runner
) -> None:
    got: list[str] = []
    for left in (20, 10, 0, 0):
        api.clear_requests()
        report = run_agent(agent, RunOptions(transcripts=10))
        got += sorted(retrieved(api), key=ids.index)
        assert report.transcripts is not None and report.transcripts.left == left

    assert got == ids


@pytest.mark.parametrize("status", [403, 404])
def test_one_that_is_refused_is_noted_and_not_tried_every_run(
    store: Store,
    world: World,
    api: Simulator,
    agent: str,
    ids: list[str],
    status: int,
    run_agent: Runner,
) -> None:
    fault = Fault("status", status=status, path=f"sessions/{ids[4]}", times=None)
    api.add_fault(fault)

    first = run_agent(agent, ALL)
    again = run_agent(agent, SYNC)

    assert (first.status, first.error) == ("succeeded", None)
    assert first.transcripts == Transcripts(SESSIONS - 1, SESSIONS - 1, 1, 0, SESSIONS)
    assert again.transcripts == Transcripts()
    assert f"HTTP {status}" in markers(store)[ids[4]].error
    with store.connect() as connection:
        assert count_transcripts(connection, agent, utc_now()) == (SESSIONS - 1, 1, 0)
        assert count_transcripts(connection, agent, utc_now() + timedelta(days=8)) == (
            SESSIONS - 1,
            1,
            1,
        )
    api.clear_faults()
    world.change(ids[4], name="renamed")
    run_agent(agent, RunOptions("reconcile", transcripts=1000))
    assert markers(store)[ids[4]].error is None
    assert len(contents(store, ids[4])) > 0


def test_many_that_are_gone_are_no_outage(api: Simulator, agent: str, run_agent: Runner) -> None:
    api.add_fault(Fault("status", status=403, path=RETRIEVE, times=20))

    report = run_agent(agent, ALL)

    assert report.transcripts is not None
    assert (report.transcripts.failed, report.transcripts.error) == (20, None)
    assert report.transcripts.fetched == SESSIONS - 20


OUTAGES = [
    Fault("status", status=500, path=RETRIEVE, times=None),
    Fault("reset", path=RETRIEVE, times=None),
    Fault("garbage", path=RETRIEVE, times=None),
    Fault("error_200", path=RETRIEVE, times=None),
]


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda f: f.kind)
def test_an_outage_leaves_them_for_the_next_run_and_the_sync_succeeds(
    store: Store, api: Simulator, agent: str, ids: list[str], fault: Fault, run_agent: Runner
) -> None:
    api.add_fault(fault)

    broken = run_agent(agent, ALL, max_attempts=2)

    assert (broken.status, broken.error) == ("succeeded", None)
    assert broken.transcripts is not None
    assert broken.transcripts.error
    # Those under way when it gives up are waited for.
    assert MOST_TROUBLE <= broken.transcripts.failed < MOST_TROUBLE + 8
    assert len(set(retrieved(api))) == broken.transcripts.failed
    api.clear_faults()

    mended = run_agent(agent, SYNC)

    assert mended.transcripts is not None and mended.transcripts.error is None
    # What could not be read waits a day; what did not come at all does not.
    assert mended.transcripts.fetched >= SESSIONS - broken.transcripts.failed
    if fault.kind in ("status", "reset"):
        assert {row.error for row in markers(store).values()} == {None}
        assert len(markers(store)) == SESSIONS


def test_one_that_always_fails_keeps_no_other_waiting(
    store: Store, api: Simulator, agent: str, ids: list[str], run_agent: Runner
) -> None:
    for id in ids[:3]:
        api.add_fault(Fault("status", status=500, path=f"sessions/{id}", times=None))

    reports = [run_agent(agent, RunOptions(transcripts=8), max_attempts=1) for _ in range(5)]

    assert sum(r.transcripts.fetched for r in reports if r.transcripts) == SESSIONS - 3
    assert {r.status for r in reports} == {"succeeded"}
    assert {id for id, row in markers(store).items() if row.error} == set(ids[:3])


def test_a_refused_credential_stops_it_and_is_noted_on_no_session(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    api.add_fault(Fault("status", status=401, path=RETRIEVE, times=None))

    report = run_agent(agent, ALL)

    assert report.transcripts is not None and "401" in (report.transcripts.error or "")
    assert (report.status, report.transcripts.left) == ("succeeded", SESSIONS)
    assert markers(store) == {}


def test_none_after_a_run_that_did_not_succeed(
    api: Simulator, agent: str, run_agent: Runner
) -> None:
    api.add_fault(Fault("status", status=500, path="agents/", times=None))

    report = run_agent(agent, ALL, max_attempts=1)

    assert (report.status, report.transcripts) == ("failed", None)
    assert retrieved(api) == []


def test_the_run_is_closed_before(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    statuses: list[str] = []

    def look(record: Any) -> None:
        if "/agents/" not in record.path and not statuses:
            with store.connect() as connection:
                statuses.extend(connection.execute(select(t.sync_runs.c.status)).scalars())

    api.on_request = look

    run_agent(agent, ALL)

    assert statuses == ["succeeded"]


def test_a_session_that_is_missing_is_left_alone_until_it_returns(
    store: Store, world: World, agent: str, ids: list[str], run_agent: Runner
) -> None:
    run_agent(agent, RunOptions("backfill"))
    world.remove(ids[7])
    gone = run_agent(agent, RunOptions("reconcile", transcripts=1000))
    world.restore(ids[7])
    back = run_agent(agent, RunOptions("reconcile", transcripts=1000))

    assert gone.transcripts is not None and gone.transcripts.fetched == SESSIONS - 1
    assert back.transcripts is not None and back.transcripts.fetched == 1


# -- hostile content ------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "nothing": [],
    "no objects": [None, 1, "x", [], True, 1.5],
    "wrong types": [{"id": 1, "role": [], "content": {}, "created_at": 7, "creator_id": False}],
    "parts of any shape": [{"parts": p} for p in (None, 1, "x", {}, [[]], [{"type": "text"}])],
    "NUL": [{"id": "\0", "content": "a\0b", "parts": [{"\0": "\\\0\\\\u0000"}], "\0": "\0"}],
    "halves of pairs": [{"content": "\ud800", "parts": ["\udfff"], "\udc00": "\ud83d"}],
    "controls": [{"content": "\x1b[2J\x07\x9b31m\u202e", "role": "\x1b]0;x\x07"}],
    "SQL": [{"content": "'; DROP TABLE session_messages; --", "id": '"'}],
    "numbers": [{"parts": [10**300, -(10**40), 1e-300], "n": 2**70}],
    "dates": [{"created_at": d} for d in ("0001-01-01T00:00:00Z", "9999-12-31 23:59:59", "x")],
    "deep": [{"parts": nested(400)}],
    "the same id twice": [{"id": "m"}, {"id": "m"}],
    "a long id": [{"id": "i" * 100_000, "role": "r" * 100_000}],
    "one long word": [{"content": "w" * 3_000_000}],
    "words without end": [{"content": " ".join(map(str, range(400_000)))}],
    "rare letters": [{"content": " ".join(chr(0x20000 + n) for n in range(40_000))}],
    "parts without end": [{"parts": [{"type": "text", "text": "part"}] * 50_000}],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_whatever_a_transcript_holds_it_is_stored_once(
    store: Store, world: World, agent: str, ids: list[str], case: str, run_agent: Runner
) -> None:
    world.set_transcript(ids[0], HOSTILE[case])

    report = run_agent(agent, RunOptions(transcripts=1))

    assert report.transcripts == Transcripts(1, 1, 0, SESSIONS - 1, 1), markers(store)
    marker = markers(store)[ids[0]]
    assert (marker.messages, marker.error) == (len(HOSTILE[case]), None)
    assert len(contents(store, ids[0])) == len(HOSTILE[case])
    world.change(ids[0], name="renamed")
    again = run_agent(agent, RunOptions("reconcile", transcripts=1))
    assert again.transcripts is not None
    assert (again.transcripts.fetched, again.transcripts.changed) == (1, 0)


def test_what_a_database_refuses_is_one_bad_transcript(
    store: Store, world: World, agent: str, ids: list[str], api: Simulator, run_agent: Runner
) -> None:
    # A number that JSON allows and PostgreSQL's numeric does not.
    body = json.dumps({"session": {"id": ids[0], "messages": [{"content": "s3cret", "parts": 1}]}})
    huge = body.replace('"parts": 1', '"parts": ["s3cret", 1e999999]').encode()
    response = api._api._show_session

    def say(session_id: str, request: Any, fault: Any) -> Any:
        right = response(session_id, request, fault)
        return type(right)(200, huge) if session_id == ids[0] else right

    api._api._show_session = say  # type: ignore[method-assign]

    report = run_agent(agent, ALL)

    assert (report.status, report.error) == ("succeeded", None)
    assert report.transcripts is not None
    assert report.transcripts.fetched + report.transcripts.failed == SESSIONS
    if store.engine.dialect.name == "postgresql":
        assert "can't hold" in markers(store)[ids[0]].error
        assert "s3cret" not in markers(store)[ids[0]].error
        assert contents(store, ids[0]) == []


def test_ten_megabytes_of_messages(
    store: Store, world: World, agent: str, ids: list[str], run_agent: Runner
) -> None:
    said = [{"id": str(n), "content": f"{n} " + "word " * 100} for n in range(20_000)]
    world.set_transcript(ids[0], said)

    report = run_agent(agent, RunOptions(transcripts=1))

    assert report.transcripts is not None and report.transcripts.fetched == 1
    assert contents(store, ids[0]) == [message["content"] for message in said]


# -- the lease ------------------------------------------------------------------------------------


@pytest.fixture
def client(api: Simulator) -> Client:
    return Client(Api(base_url=api.base_url, max_attempts=1), Credentials("sim-token"))


def transcript_sync(client: Client, store: Store, lease: Lease) -> TranscriptSync:
    """As after a run that has succeeded."""
    run = Run(1, lease, lease.agent_id, "incremental", utc_now())
    return TranscriptSync(RunContext(client, store, run, AgentState(), RunOptions(), utc_now))


def test_nothing_is_written_once_another_process_has_taken_over(
    store: Store, agent: str, client: Client, run_agent: Runner
) -> None:
    run_agent(agent)
    lease = store.claim(agent)
    assert isinstance(lease, Lease)
    stale = Lease(agent, lease.fence - 1)

    with client, pytest.raises(LeaseLost):
        transcript_sync(client, store, stale).run(10, timedelta(minutes=1))

    assert markers(store) == {}


def test_none_is_begun_once_the_time_is_over(
    store: Store, agent: str, client: Client, run_agent: Runner
) -> None:
    run_agent(agent)
    lease = store.claim(agent)
    assert isinstance(lease, Lease)

    with client:
        late = transcript_sync(client, store, lease)
        late.run(10, timedelta(0))

    assert (late.done.fetched, late.done.left, late.done.error) == (0, SESSIONS, None)


def test_a_signal_ends_it_and_what_is_saved_is_kept(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    run_agent(agent)
    lease = store.claim(agent)
    assert isinstance(lease, Lease)
    stop, asked = threading.Event(), 0

    def count(_: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 12:
            stop.set()

    api.on_request = count
    settings = Api(base_url=api.base_url, concurrency=2)

    with Client(settings, Credentials("sim-token"), stop) as client:
        stopped = transcript_sync(client, store, lease)
        with pytest.raises(Stopped, match="asked to stop"):
            stopped.run(1000, timedelta(minutes=1))
        late = [one for one in threading.enumerate() if one.name.startswith("transcript")]
        for thread in late:
            thread.join()

    assert 0 < len(markers(store)) < SESSIONS
    store.release(lease)
    api.on_request = None
    run_agent(agent, SYNC)
    assert len(markers(store)) == SESSIONS


def test_a_wait_too_long_ends_them_and_is_no_transcripts_fault(
    store: Store, api: Simulator, agent: str, run_agent: Runner
) -> None:
    headers = {"Retry-After": "86400"}
    fault = Fault("status", path=RETRIEVE, after=3, status=429, headers=headers, times=None)
    api.add_fault(fault)

    first = run_agent(agent, ALL)
    asked = len(retrieved(api))
    api.clear_faults()
    second = run_agent(agent, SYNC)

    assert (first.status, first.transcripts.failed) == ("succeeded", 0)
    assert "come back at" in first.transcripts.error
    assert first.transcripts.fetched + first.transcripts.left == SESSIONS
    assert asked <= 3 + 8
    assert second.transcripts.fetched == first.transcripts.left
