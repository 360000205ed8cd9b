"""Lists of sessions: orders, pages, cursors, filters, and changes between pages."""

import base64
import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.simulator import ABSENT, World
from etl.simulator.http.query import ListQuery
from etl.simulator.times import NO_INSTANT, parse_instant


def key(session):
    """Return the place of a session in the order of the list."""
    created_at = session.get("created_at")
    return (NO_INSTANT if created_at is None else parse_instant(created_at), session["id"])


def ids(sessions):
    return [session["id"] for session in sessions]


def cursor_of(**place):
    return base64.b64encode(json.dumps(place).encode()).decode()


@pytest.mark.parametrize("page_size", [1, 7, 60, 100])
def test_newest_first_pages_hold_the_whole_list_in_order(caller, page_size):
    """Whatever the page size, a walk sees what is there, created_at and id descending."""
    sessions = caller.walk(page_size=page_size)

    assert caller.truth() == sessions
    assert sorted(sessions, key=key, reverse=True) == sessions


def test_oldest_first_is_the_exact_reverse(caller):
    """The other order shows the same sessions the other way round."""
    assert caller.truth()[::-1] == caller.walk(page_size=9, sort_order="oldest")


def test_page_size_defaults_to_twenty(caller):
    """Without page_size a page holds 20 sessions."""
    assert len(caller.page().json()["sessions"]) == 20


def test_a_full_last_page_ends_the_list(caller):
    """The cursor is null when nothing follows, not only on a short page."""
    assert caller.page(page_size=60).json()["next_cursor"] is None


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_ties_are_split_across_pages_without_loss(caller, world, order):
    """Sessions of the same instant are ordered by id, also across the edge of a page."""
    moment = datetime(2026, 5, 20, 10)
    for _ in range(5):
        world.add_session(caller.agent_id, created_at=moment)

    assert sorted(ids(caller.truth())) == sorted(ids(caller.walk(page_size=2, sort_order=order)))


def test_a_session_without_date_is_the_oldest(caller, world):
    """A null created_at sorts behind every date, and the walk gets past it."""
    first = world.add_session(caller.agent_id, created_at=None)
    second = world.add_session(caller.agent_id, created_at=None)

    assert {first, second} == set(ids(caller.walk(page_size=1)[-2:]))
    assert {first, second} == set(ids(caller.walk(page_size=1, sort_order="oldest")[:2]))


def test_sessions_added_at_the_head_do_not_shift_later_pages(caller, world):
    """A keyset goes on where it was, whatever is inserted before it or removed around it."""
    before = ids(caller.truth())

    def change(record):
        if "cursor" in record.query:
            world.add_session(caller.agent_id)

    caller.simulator.on_request = change

    assert before == ids(caller.walk(page_size=20))


def test_removing_the_last_row_of_a_page_does_not_lose_the_next(caller, world):
    """The cursor names a place, so the session at that place may vanish."""
    before = ids(caller.truth())
    first = caller.page(page_size=10).json()
    world.remove(before[9])
    second = caller.page(page_size=10, cursor=first["next_cursor"]).json()

    assert before[10:20] == ids(second["sessions"])


def test_a_restored_session_is_back_in_its_place(caller, world):
    """Removal hides a session from list and retrieval, restoring undoes that."""
    before = caller.truth()
    victim = before[5]["id"]
    world.remove(victim)

    assert victim not in ids(caller.walk())
    assert caller.get(f"/sessions/{victim}").status_code == 404

    world.restore(victim)

    assert before == caller.walk()


def test_a_cursor_has_the_documented_form(caller):
    """It is base64 of JSON with created_at, id and order."""
    page = caller.page(page_size=3).json()
    last = page["sessions"][-1]

    assert {
        "sort_value": last["created_at"],
        "interaction_id": last["id"],
        "sort_by": "newest",
    } == json.loads(base64.b64decode(page["next_cursor"]))


@pytest.mark.parametrize(
    ("order", "beyond"), [("newest", lambda a, b: a < b), ("oldest", lambda a, b: a > b)]
)
def test_a_cursor_of_an_instant_alone_begins_strictly_beyond_it(caller, order, beyond):
    """The documented short form is accepted, with any order."""
    instant = caller.truth()[30]["created_at"]
    page = caller.page(cursor=cursor_of(sort_value=instant), sort_order=order, page_size=100)
    expected = [s["id"] for s in caller.truth() if beyond(s["created_at"], instant)]

    assert sorted(expected) == sorted(ids(page.json()["sessions"]))


@pytest.mark.parametrize(
    "params",
    [{"sort_order": "oldest"}, {"state": "completed"}, {"search": "a"}, {"type": "api"}],
    ids=["order", "state", "search", "type"],
)
def test_a_cursor_is_bound_to_order_and_filters(caller, params):
    """Used with others than those it was issued under, a cursor is refused."""
    cursor = caller.page(page_size=5).json()["next_cursor"]
    answer = caller.page(cursor=cursor, **params)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    "params",
    [
        {"page_size": 0},
        {"page_size": 101},
        {"page_size": "x"},
        {"page_size": ""},
        {"cursor": "rubbish"},
        {"cursor": cursor_of(interaction_id="x")},
        {"cursor": cursor_of(sort_value="yesterday")},
        {"cursor": ""},
        {"state": "approval_required"},
        {"state": "done"},
        {"sort_order": "credits_desc"},
    ],
    ids=str,
)
def test_bad_parameters_are_refused(caller, params):
    """What the API doesn't document is a 400 that names the parameter."""
    answer = caller.page(**params)

    assert answer.status_code == 400
    assert next(iter(params)) == answer.json()["error"]["param"]


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("state", ["completed", "failed", "idle", "processing", "queued"])
def test_the_state_filter_shows_what_is_in_that_state_now(caller, world, state, order):
    """The index by state follows every change, and pages as the whole list does."""
    everyone = ids(caller.truth())
    for place, other in enumerate(("completed", "failed", "idle", "processing", "queued", None)):
        world.change(everyone[place], state=other)
    expected = [session["id"] for session in caller.truth() if session["state"] == state]
    expected = expected if order == "newest" else expected[::-1]

    assert expected == ids(caller.walk(state=state, sort_order=order, page_size=3))


def test_other_filters_select_by_their_field(caller):
    """type, creator and search, alone and together with a state."""
    for name, value, of in [
        ("type", "api", lambda s: s["type"]),
        ("creator_user_id", "user_2b9d71f0", lambda s: (s["creator"] or {}).get("id")),
    ]:
        expected = [s["id"] for s in caller.truth() if of(s) == value]

        assert expected
        assert expected == ids(caller.walk(page_size=4, **{name: value}))


@pytest.mark.parametrize("name", ["search", "search_query"])
def test_search_finds_part_of_the_name(caller, world, name):
    """Case does not matter, and both spellings of the parameter work."""
    wanted = world.add_session(caller.agent_id, name="Über-SPECIAL thing")

    assert [wanted] == ids(caller.walk(**{name: "über-special"}))


def test_trigger_filter_selects_triggered_sessions(caller, world):
    """A trigger id is not shown, but can be filtered by."""
    wanted = world.add_session(caller.agent_id, type="triggered", trigger_id="trig_9")

    assert [wanted] == ids(caller.walk(trigger_id="trig_9"))
    assert caller.walk(trigger_id=f"trig_{caller.agent_id}_1")


def test_filters_combine(caller):
    """All filters must hold."""
    expected = [s["id"] for s in caller.truth() if (s["type"], s["state"]) == ("api", "completed")]

    assert expected == ids(caller.walk(type="api", state="completed", page_size=2))


def test_invalid_records_can_be_planted(caller, world):
    """Any JSON value can stand in the list, also a text, a list, or a record without id."""
    at = datetime(2026, 5, 20)
    planted = ["x", None, 7, [], {"name": "no id"}, {"id": 3, "state": "failed"}]
    for number, record in enumerate(planted):
        world.add_raw(caller.agent_id, record, at + timedelta(seconds=number))
    walked = caller.walk(page_size=3)

    assert len(walked) == 66
    assert planted[::-1] == [s for s in walked if not isinstance(s, dict) or len(s) < 3]


def test_a_planted_record_may_repeat_an_id(caller, world):
    """A second row with an id that exists is addressed by an invented name."""
    twin = caller.truth()[0]
    planted = world.add_raw(caller.agent_id, twin, datetime(2026, 5, 20))

    assert planted != twin["id"]
    assert ids(caller.walk()).count(twin["id"]) == 2


def test_fields_can_be_spoiled_and_dropped(caller, world):
    """Any value can be set, and ABSENT takes a key away; the place stays."""
    victim = ids(caller.truth())[3]
    world.change(victim, usage="oops", creator=ABSENT, created_at="last Tuesday")
    shown = caller.walk(page_size=2)[3]

    assert (victim, "oops", "last Tuesday") == (shown["id"], shown["usage"], shown["created_at"])
    assert "creator" not in shown


def test_lone_surrogates_and_nul_survive_the_wire(caller, world):
    """Text that is no valid Unicode comes as JSON escapes, as other servers send it."""
    world.change(ids(caller.truth())[0], name="a\ud800b\x00c")

    assert caller.page(page_size=1).json()["sessions"][0]["name"] == "a\ud800b\x00c"


def test_unusual_ids_can_be_retrieved_when_encoded(caller, world):
    """An id may hold slashes, percent signs and any script."""
    wanted = world.add_session(caller.agent_id, id="crm/a b%2F+=ü?#")

    assert (
        wanted == caller.get("/sessions/crm%2Fa%20b%252F%2B%3D%C3%BC%3F%23").json()["session"]["id"]
    )


def test_renaming_an_agent_shows_in_every_session(caller, world):
    """agent_name is the agent's, whether a session was shown before or not."""
    caller.page(page_size=10)
    world.rename_agent(caller.agent_id, 'New "name"')

    assert {'New "name"'} == {session["agent_name"] for session in caller.walk()}


def test_a_retired_agent_is_not_found(caller, world):
    """Its list, itself and its sessions answer 404."""
    session_id = caller.truth()[0]["id"]
    world.retire_agent(caller.agent_id)

    for path in (f"/agents/{caller.agent_id}/sessions", f"/sessions/{session_id}"):
        assert caller.get(path).status_code == 404


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.sampled_from("abc"))),
    st.integers(1, 4),
    st.sampled_from(["newest", "oldest"]),
)
def test_any_walk_is_complete_and_in_order(drawn, page_size, order):
    """For every set of sessions with ties and nulls, both orders page through all of it."""
    world = World(now=datetime(2026, 6, 3))
    agent_id = world.add_agent("A")
    for number, (second, prefix) in enumerate(drawn):
        created_at = None if second is None else datetime(2026, 5, 1, second=second)
        world.add_session(agent_id, id=f"{prefix}{number}", created_at=created_at)
    walked, query = [], ListQuery(order=order, page_size=page_size)
    while query is not None:
        rows, at = world.page(agent_id, query)
        walked += [json.loads(row) for row in rows]
        query = at and ListQuery(order=order, page_size=page_size, cursor=query.cursor_at(at))

    assert sorted(walked, key=key, reverse=order == "newest") == walked
    assert len(drawn) == len(walked)
