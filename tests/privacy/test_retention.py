"""What is older than it may become is deleted, and nothing else."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from etl.clock import utc_now
from etl.config import Duration, Retention
from etl.models import Message, Pruned, Rejected, Session
from etl.store.privacy.retention import prune
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.transcripts import count_transcripts, save_transcript, select_due
from tests.privacy.people import AGENT, T0, begin, everything, plant, response, rows, save

DAY = Duration(days=1)
NOW = T0 + timedelta(days=100)


def aged(days: float) -> datetime:
    """So many days before now."""
    return NOW - timedelta(days=days)


def test_nothing_is_deleted_unless_that_is_wished(store: Store) -> None:
    plant(store)
    before = everything(store)

    assert prune(store, Retention(), NOW) == Pruned()

    assert everything(store) == before


def test_what_is_young_stays(store: Store) -> None:
    plant(store)
    before = everything(store)
    whole = Duration(days=101)

    assert prune(store, Retention(whole, whole, whole), NOW) == Pruned()

    assert everything(store) == before


def test_old_transcripts_go_and_are_not_retrieved_again(store: Store) -> None:
    run = begin(store)
    many = [f"s{n}" for n in range(205)]
    save(store, run, response(sessions=[Session(id, AGENT, created_at=T0) for id in many]))
    with store.connect() as connection:
        due, _ = select_due(connection, AGENT, 1000, utc_now())
    for one in due:
        young = one.session_id in ("s1", "s2")
        save_transcript(store, run.lease, one, [Message(0, content="x")], aged(1 if young else 9))

    assert prune(store, Retention(transcripts=7 * DAY), NOW).transcripts == 203
    assert prune(store, Retention(transcripts=7 * DAY), NOW).transcripts == 0

    found = rows(store, select(t.session_messages.c.session_id))
    assert sorted(found) == [("s1",), ("s2",)]
    with store.connect() as connection:
        assert select_due(connection, AGENT, 10, utc_now()) == ([], 0)
        assert count_transcripts(connection, AGENT, NOW) == (2, 0, 0)
    changed = Session("s3", AGENT, state="failed")
    save(store, run, response(10, sessions=[changed], creators=[], rejected=[]))
    with store.connect() as connection:
        assert [one.session_id for one in select_due(connection, AGENT, 10, utc_now())[0]] == ["s3"]


def test_old_payloads_go_and_that_a_record_is_set_aside_stays_known(store: Store) -> None:
    run = begin(store)
    bad = [Rejected(f'{{"id": "{id}"}}', "bad", id) for id in ("right", "wrong", "young")]
    save(store, run, response(sessions=[], creators=[], rejected=bad[:2]))
    save(store, run, response(86400 * 98, sessions=[], creators=[], rejected=bad[2:]))
    good = Session("right", AGENT)
    save(store, run, response(20, sessions=[good], creators=[], rejected=[]))

    assert prune(store, Retention(payloads=7 * DAY), NOW) == Pruned(payloads=2)
    assert prune(store, Retention(payloads=7 * DAY), NOW) == Pruned()

    c = t.rejected_records.c
    found = select(c.session_id, c.payload, c.reason).order_by(c.session_id)
    assert rows(store, found) == [("wrong", "", "bad"), ("young", bad[2].payload, "bad")]
    save(store, run, response(86400 * 99, sessions=[], creators=[], rejected=bad[1:2]))
    assert rows(store, found)[0] == ("wrong", bad[1].payload, "bad"), "seen again, it is young"


def add_runs(store: Store, runs: list[tuple[str, str, float]]) -> list[int]:
    """Runs by their mode, status and age in days; in a list of numbers."""
    numbers = []
    with store.engine.begin() as connection:
        for mode, status, days in runs:
            row = {"agent_id": AGENT, "mode": mode, "status": status, "started_at": aged(days)}
            key = connection.execute(insert(t.sync_runs).values(row)).inserted_primary_key
            assert key is not None
            numbers.append(key[0])
    return numbers


RUNS = st.lists(
    st.tuples(
        st.sampled_from(["incremental", "reconcile", "verify"]),
        st.sampled_from(["succeeded", "failed", "running"]),
        st.floats(0, 30),
    ),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(runs=RUNS, most=st.integers(1, 30))
def test_old_runs_go_but_the_newest_of_each_kind_and_those_at_work(
    store: Store, runs: list[tuple[str, str, float]], most: int
) -> None:
    store.claim(AGENT)
    with store.engine.begin() as connection:
        connection.execute(t.sync_runs.delete())
    numbers = add_runs(store, runs)
    newest = {mode: n for n, (mode, _, _) in zip(numbers, runs, strict=True)}.values()
    stay = [
        n
        for n, (_, status, days) in zip(numbers, runs, strict=True)
        if days <= most or status == "running" or n in newest
    ]

    done = prune(store, Retention(runs=most * DAY), NOW)

    assert rows(store, select(t.sync_runs.c.id).order_by(t.sync_runs.c.id)) == [(n,) for n in stay]
    assert done.runs == len(numbers) - len(stay)


def test_what_an_old_run_saw_stays(store: Store) -> None:
    run = plant(store)
    first = run.id - 1
    states: Any = rows(store, select(t.session_states))
    with store.engine.begin() as connection:
        connection.execute(update(t.sync_runs).values(status="succeeded"))
    add_runs(store, [("backfill", "succeeded", 0)])

    assert prune(store, Retention(runs=DAY), NOW).runs == 2

    assert rows(store, select(t.session_states)) == states
    assert {row[3] for row in states} == {first}
    assert rows(store, select(t.rejected_records.c.run_id).distinct()) == [(None,)]
