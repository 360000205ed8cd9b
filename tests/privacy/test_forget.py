"""A person is erased everywhere, and nothing that comes later brings them back."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from etl.api.decoding.sessions import decode_page
from etl.clock import utc_now
from etl.models import Counts, Creator, Message, Rejected, Session, list_unread_fields
from etl.planning.search_terms import parse_phrases
from etl.store.privacy import forget as forgetting
from etl.store.privacy.forget import ErasureReport, find_person, forget
from etl.store.privacy.redaction import ERASED
from etl.store.read.search import search
from etl.store.runs.runs import finish_run
from etl.store.schema import tables as t
from etl.store.store import Batch, Store
from etl.store.write.responses import Response
from etl.store.write.transcripts import Due, note_failure, save_transcript, select_due
from tests.privacy.people import (
    ADA,
    ADDRESS,
    AGENT,
    BOB,
    SECRET,
    SESSIONS,
    T0,
    begin,
    everything,
    plant,
    response,
    rows,
    save,
    say,
    traces,
)
from tests.support.waiting import PATIENCE

s, m = t.sessions.c, t.session_messages.c


def test_nothing_tells_of_a_forgotten_person(store: Store) -> None:
    plant(store)
    assert len(traces(store)) >= 10

    done = forget(store, ADA)

    assert done == ErasureReport(creators=1, sessions=2, messages=4, payloads=4)
    assert traces(store) == []
    with store.connect() as connection:
        assert search(connection, parse_phrases([SECRET]), 10) == []


def test_what_is_not_theirs_stays(store: Store) -> None:
    plant(store)
    every_state = select(t.session_states).order_by(t.session_states.c.session_id)
    states = rows(store, every_state)

    forget(store, ADA)

    assert rows(store, select(t.creators.c.id)) == [(BOB,)]
    [hers, his, _] = rows(store, select(s.id, s.creator_id, s.name, s.credit_cost).order_by(s.id))
    assert hers[:3] == ("hers", None, None) and float(hers[3]) == 1.5
    assert his[:3] == ("his", BOB, "His title")
    assert rows(store, select(m.position, m.content).order_by(m.position)) == [
        (0, "Hello from Bob"),
        (1, None),
        (2, None),
    ]
    assert rows(store, every_state) == states
    assert len(rows(store, select(t.rejected_records.c.id))) == 5


def test_later_saves_do_not_bring_them_back_and_are_quiet(store: Store) -> None:
    run = plant(store)
    forget(store, ADA)
    say(store, run)
    before = everything(store)

    for seconds in (10, 20):
        counts = save(store, run, response(seconds, rejected=[]))
        assert (counts.inserted, counts.updated, counts.repeated) == (0, 0, 3)
    save(store, run, response(30))
    say(store, run)

    assert traces(store) == []
    assert [one for one in everything(store).splitlines() if one.startswith("sessions:")] == [
        one for one in before.splitlines() if one.startswith("sessions:")
    ]


def test_a_person_who_was_never_seen_never_comes(store: Store) -> None:
    run = begin(store)
    assert forget(store, ADA) == ErasureReport()
    assert not find_person(store, ADA).is_known and find_person(store, ADA).was_forgotten

    save(store, run, response(sessions=[one for one in SESSIONS if one.id != "nobodys"]))

    wrong = [line for line in traces(store) if ADDRESS.lower() not in line.lower()]
    assert wrong == []
    assert rows(store, select(s.id, s.creator_id).order_by(s.id)) == [("hers", None), ("his", BOB)]
    with store.connect() as connection:
        due, left = select_due(connection, AGENT, 10, utc_now())
    assert ([one.session_id for one in due], left) == (["his"], 0)


def test_an_answer_without_a_creator_does_not_name_a_forgotten_session_again(
    store: Store,
) -> None:
    run = plant(store)
    forget(store, ADA)
    bare = Session("hers", AGENT, name="Needletitle", state="completed", extra={"n": "Needletitle"})

    save(store, run, response(10, sessions=[bare], creators=[], rejected=[]))

    assert rows(store, select(s.name, s.extra, s.state).where(s.id == "hers")) == [
        (None, None, "completed")
    ]


def test_a_session_that_turns_out_to_be_theirs_loses_what_was_stored(store: Store) -> None:
    run = begin(store)
    early = Session("hers", AGENT, name="Needletitle", extra={"n": "Needletitle"})
    save(store, run, response(sessions=[early], creators=[], rejected=[]))
    save_transcript(store, run.lease, Due("hers", T0), [Message(0, content=SECRET)], T0)
    forget(store, ADA)
    assert len(traces(store)) == 2

    save(store, run, response(10, rejected=[]))

    assert [line for line in traces(store) if ADDRESS not in line] == []


def test_transcripts_under_way_are_not_kept(store: Store) -> None:
    run = plant(store)
    forget(store, ADA)

    assert say(store, run) == [False, True]
    note_failure(store, run.lease, Due("hers", T0), f"no access for {ADDRESS}", T0)

    assert traces(store) == []
    marked = select(t.transcripts.c.session_id).where(t.transcripts.c.session_id == "hers")
    assert rows(store, marked) == []
    assert say(store, run) == [False, False], "and the second time nothing is written"


def test_it_can_be_repeated(store: Store) -> None:
    plant(store)
    forget(store, ADA)
    before = everything(store)

    assert forget(store, ADA) == ErasureReport()

    assert everything(store) == before


def test_one_that_was_cut_short_after_its_first_step_is_ended_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException): ...

    def die(_: object) -> None:
        raise Killed

    plant(store)
    monkeypatch.setattr(forgetting, "_delete_some", die)
    with pytest.raises(Killed):
        forget(store, ADA)
    assert traces(store) != []
    monkeypatch.undo()

    forget(store, BOB)

    assert traces(store) == []


def test_ids_with_signs_of_json_and_of_patterns(store: Store) -> None:
    odd = 'a"b\\%_\u00e9@x'
    run = begin(store)
    one = Session("odd", AGENT, None, "t", extra={"who": odd})
    other = Session("like", AGENT, None, "t", extra={"who": 'a"b\\zz\u00e9@x'})
    save(store, run, response(sessions=[one, other], creators=[Creator(odd)], rejected=[]))

    assert forget(store, odd) == ErasureReport(creators=1, sessions=1)

    assert rows(store, select(s.id).where(s.extra.is_not(None))) == [("like",)]


def test_others_who_are_told_of_with_them_keep_what_is_theirs(store: Store) -> None:
    run = plant(store)
    both = Session("both", AGENT, BOB, "Bob's", created_at=T0, extra={"seen_by": [ADA, BOB]})
    noted = Message(0, content="of Bob", creator_id=BOB, extra=f'{{"to": "{ADDRESS}"}}')
    due = Due("both", T0)
    save(store, run, response(5, sessions=[both]))
    save_transcript(store, run.lease, due, [noted], T0)

    forget(store, ADA)

    whole = select(s.creator_id, s.name, s.extra).where(s.id == "both")
    said = select(m.content, m.creator_id, m.extra).where(m.session_id == "both")
    for again in (False, True, True):
        if again:
            counts = save(store, run, response(10, sessions=[both], rejected=[]))
            assert (counts.updated, counts.repeated) == (0, 1)
            save_transcript(store, run.lease, due, [noted], T0)
        assert traces(store) == []
        assert rows(store, whole) == [(BOB, "Bob's", None)]
        assert rows(store, said) == [("of Bob", BOB, None)]


def test_errors_that_name_them_are_not_stored(store: Store) -> None:
    run = plant(store)
    forget(store, ADA)

    finish_run(store, run, "failed", Counts(), f"no access for '{ADDRESS}' (HTTP 403)", T0)
    note_failure(store, run.lease, Due("his", T0), f"{ADA} has no access", T0)

    assert traces(store) == []
    errors = select(t.sync_runs.c.error).order_by(t.sync_runs.c.id)
    assert [row[0] for row in rows(store, errors)] == [ERASED, ERASED]
    store.release(run.lease)
    again = begin(store)
    finish_run(store, again, "failed", Counts(), "the list was cut short", T0)
    assert rows(store, errors)[-1] == ("the list was cut short",)


def test_ids_with_nul(store: Store) -> None:
    run = begin(store)
    forget(store, ADA)
    odd = [Session("a\0b", AGENT, ADA, "Needletitle"), Session("c", AGENT, "d\0e", "Odd")]
    people = [Creator(id) for id in (ADA, "d\0e")]
    bad = [Rejected('{"id": "f\\u0000"}', "bad", "f\0")]

    for seconds in (1, 2):
        save(store, run, response(seconds, sessions=odd, creators=people, rejected=bad))

    assert traces(store) == []


def test_a_retrieved_session_comes_without_them_too(store: Store) -> None:
    run = begin(store)
    forget(store, ADA)
    [hers, *_] = SESSIONS

    store.save(run, Batch([response(sessions=[hers], rejected=[])], retrieved=[("hers", T0)]))

    assert rows(store, select(s.creator_id, s.name)) == [(None, None)]


def at_the_same_time(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    held: str,
    of: Any,
    first: Callable[[], Any],
    second: Callable[[], Any],
) -> None:
    """Do both, the first held up in its transaction until the second waits for it."""
    inside, go_on = threading.Event(), threading.Event()
    real = getattr(of, held)

    def hold(*args: Any) -> Any:
        done = real(*args)
        if threading.current_thread().name == "first":
            inside.set()
            assert go_on.wait(PATIENCE)
        return done

    monkeypatch.setattr(of, held, hold)
    errors: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=guarded, args=(work,), name=name)
        for work, name in ((first, "first"), (second, "second"))
    ]
    threads[0].start()
    assert inside.wait(PATIENCE)
    threads[1].start()
    threads[1].join(0.5)
    assert threads[1].is_alive(), "the second did not wait for the first"
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert errors == []


@pytest.mark.parametrize("saves", [0, 8], ids=["cold", "prepared"])
def test_a_save_that_begins_while_a_person_is_forgotten_waits_and_knows(
    store: Store, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    run = plant(store)
    with closing(Store(store.url, utc_now)) as rival:
        for number in range(saves):
            # The driver prepares a statement that it has seen some times.
            save(rival, run, response(number + 1))
        at_the_same_time(
            store,
            monkeypatch,
            "_erase_sentences",
            forgetting,
            lambda: forget(store, ADA),
            lambda: save(rival, run, response(100)),
        )

    assert traces(store) == []


def test_a_save_under_way_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = plant(store)
    new = Session("new", AGENT, ADA, "Needletitle", created_at=T0)
    with closing(Store(store.url, utc_now)) as rival:
        at_the_same_time(
            store,
            monkeypatch,
            "_note_absent",
            Store,
            lambda: save(rival, run, response(10, sessions=[*SESSIONS, new])),
            lambda: forget(store, ADA),
        )

    assert traces(store) == []
    assert rows(store, select(func.count()).select_from(t.sessions)) == [(4,)]


def test_without_rules_and_forgotten_people_a_save_asks_nothing_more(store: Store) -> None:
    from sqlalchemy import event

    run = plant(store)
    said: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *a: said.append(a[2]))

    save(store, run, response(10))

    assert [one for one in said if "forgotten" in one] == []
    assert len([one for one in said if "privacy" in one]) == 1


@pytest.mark.parametrize("creator", [[ADA], {"id": 7, "email": ADDRESS}, f"Ada <{ADDRESS}>"])
def test_a_session_whose_creator_cannot_be_read_is_theirs_if_the_note_names_them(
    store: Store, creator: object
) -> None:
    run = plant(store)
    forget(store, ADA)
    record = {"id": "new", "name": "Needletitle", "state": 7, "creator": creator}
    page = decode_page(json.dumps({"sessions": [record]}).encode(), AGENT)
    assert [one.is_partial for one in page.rejected] == [True]

    late = Response(page.sessions, page.creators, page.rejected, T0 + timedelta(hours=1))
    store.save(run, Batch([late]))

    [(name, creator_id)] = rows(store, select(s.name, s.creator_id).where(s.id == "new"))
    assert (name, creator_id) == (None, None)
    r = t.rejected_records.c
    [(payload, reason)] = rows(store, select(r.payload, r.reason).where(r.session_id == "new"))
    assert json.loads(payload) == {"id": "new"}
    assert list_unread_fields(reason)[0] == "state"
