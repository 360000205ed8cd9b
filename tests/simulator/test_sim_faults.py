"""Every kind of fault, seen through a real HTTP client."""

import json
import time
from pathlib import Path

import httpx
import pytest

from etl.simulator import Fault
from etl.simulator.http.faults import KINDS, load_faults, parse_faults


def ids(page):
    return [session["id"] for session in page.json()["sessions"]]


def first_cursor(caller):
    return caller.page(page_size=10).json()["next_cursor"]


def test_a_fault_strikes_after_so_many_and_so_often(caller):
    """So many requests are spared, then so many are struck."""
    caller.simulator.add_fault(Fault("status", status=503, after=1, times=2))

    assert [caller.page().status_code for _ in range(4)] == [200, 503, 503, 200]


def test_faults_of_a_script_strike_one_after_the_other(caller):
    """Of several that are due the first acts, and the next waits for the next request."""
    caller.simulator.add_fault(Fault("status", status=500), Fault("status", status=502))

    assert [caller.page().status_code for _ in range(3)] == [500, 502, 200]


def test_a_fault_is_for_matching_paths_only(caller):
    """The regex is searched in path and query, as sent."""
    caller.simulator.add_fault(Fault("status", path=r"page_size=3\b", times=None))

    assert [caller.page(page_size=size).status_code for size in (30, 3)] == [200, 500]


def test_cleared_faults_are_gone(caller):
    """clear_faults ends the script."""
    caller.simulator.add_fault(Fault("status", times=None))
    caller.simulator.clear_faults()

    assert caller.page().status_code == 200


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (1, {"error": {"code": "c", "message": "m", "type": "api_error", "param": None,
                       "details": {}}, "trace_id": "trace_500_c"}),
        (2, {"error": "c", "message": "m", "metadata": {"minimum_tier": "pro"}}),
        (3, {"error": "c"}),
        (4, {"error": "c", "error_description": "m"}),
    ],
)  # fmt: skip
def test_error_bodies_come_in_the_four_shapes(caller, shape, body):
    """Both as an error status and within a 200."""
    caller.simulator.add_fault(
        Fault("status", shape=shape, code="c", message="m"),
        Fault("error_200", shape=shape, code="c", message="m"),
    )
    error, disguised = caller.page(), caller.page()

    assert (500, body) == (error.status_code, error.json())
    assert (200, body) == (disguised.status_code, disguised.json())


def test_an_error_may_be_html_and_carry_headers(caller):
    """A proxy's 502 page, with Retry-After."""
    caller.simulator.add_fault(
        Fault("status", status=502, shape="html", headers={"Retry-After": 3})
    )
    answer = caller.page()

    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "3")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert answer.headers["Content-Type"].startswith("text/html")


def test_latency_delays_one_answer_and_adds_to_other_faults(caller):
    """A slow error is both slow and an error."""
    caller.simulator.add_fault(Fault("latency", seconds=0.2), Fault("status"))
    started = time.monotonic()
    answer = caller.page()

    assert answer.status_code == 500
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("where", ["before", "middle"])
def test_a_reset_breaks_the_connection(caller, where):
    """The client sees a read error, and a new connection works."""
    caller.simulator.add_fault(Fault("reset", where=where))

    with pytest.raises(httpx.ReadError):
        caller.page()

    assert caller.page().status_code == 200


def test_a_truncated_body_is_shorter_than_promised(caller):
    """Content-Length says more than comes."""
    caller.simulator.add_fault(Fault("truncate", fraction=0.3))

    with pytest.raises(httpx.RemoteProtocolError):
        caller.page()


def test_a_stalled_body_times_out(caller):
    """Part of the body comes, then nothing."""
    caller.simulator.add_fault(Fault("stall", seconds=30))

    with pytest.raises(httpx.ReadTimeout):
        caller.http.get(f"{caller.simulator.base_url}/agents", timeout=0.2)


def test_a_short_stall_goes_on_with_the_rest(caller):
    """Who waits gets the whole answer."""
    caller.simulator.add_fault(Fault("stall", seconds=0.1))

    assert len(ids(caller.page())) == 20


def test_a_stall_may_end_in_a_closed_connection(caller):
    """With then=close the rest never comes."""
    caller.simulator.add_fault(Fault("stall", seconds=0.1, then="close"))

    with pytest.raises(httpx.RemoteProtocolError):
        caller.page()


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("html", b"<html>"),
        ("text", b"upstream"),
        ("broken_json", b'{"sessions":[{"id":"sess_'),
        ("empty_object", b"{}"),
        ("empty_list", b"[]"),
        ("null", b"null"),
        ("empty", b""),
        ("invalid_utf8", b'{"sessions":[{"id":"\xff'),
        ("wrong_types", b'{"sessions":{'),
    ],
)
def test_garbage_is_a_200_that_is_no_answer(caller, form, content):
    """Every form of it, byte for byte."""
    caller.simulator.add_fault(Fault("garbage", form=form))
    answer = caller.page()

    assert answer.status_code == 200
    assert answer.content.startswith(content)


@pytest.mark.parametrize("keep_cursor", [True, False])
def test_an_empty_page_ends_or_goes_on(caller, keep_cursor):
    """No sessions, with a null cursor or the right one."""
    right = first_cursor(caller)
    caller.simulator.add_fault(Fault("empty_page", keep_cursor=keep_cursor))

    assert {"sessions": [], "next_cursor": right if keep_cursor else None} == caller.page(
        page_size=10
    ).json()


def test_the_sessions_key_may_be_missing(caller):
    """Only the cursor is left."""
    right = first_cursor(caller)
    caller.simulator.add_fault(Fault("missing_sessions"))

    assert {"next_cursor": right} == caller.page(page_size=10).json()


def test_a_null_cursor_cuts_the_list_short(caller):
    """The page is right, its cursor is not."""
    right = ids(caller.page(page_size=10))
    caller.simulator.add_fault(Fault("null_cursor"))
    cut = caller.page(page_size=10)

    assert right == ids(cut)
    assert cut.json()["next_cursor"] is None


def test_a_cursor_may_repeat_at_once(caller):
    """The answer leads to itself; a request without cursor is spared."""
    caller.simulator.add_fault(Fault("repeat_cursor"))
    cursor = first_cursor(caller)

    assert cursor == caller.page(page_size=10, cursor=cursor).json()["next_cursor"]


def test_a_cursor_may_lead_back_by_two(caller):
    """A, then B, then A again: only once there is an A to go back to."""
    caller.simulator.add_fault(Fault("aba_cursor"))
    first = first_cursor(caller)
    second = caller.page(page_size=10, cursor=first).json()["next_cursor"]

    assert first != second
    assert first == caller.page(page_size=10, cursor=second).json()["next_cursor"]


def test_rows_may_come_from_the_head_with_the_right_cursor(caller):
    """elsewhere: another page's rows in the place of those asked for."""
    cursor = first_cursor(caller)
    right = caller.page(page_size=10, cursor=cursor).json()
    caller.simulator.add_fault(Fault("elsewhere"), Fault("elsewhere", where="tail"))
    head, tail = (caller.page(page_size=10, cursor=cursor) for _ in range(2))

    assert [session["id"] for session in caller.truth()[:10]] == ids(head)
    assert [session["id"] for session in caller.truth()[:-11:-1]] == ids(tail)
    assert right["next_cursor"] == head.json()["next_cursor"]


def test_a_cursor_may_be_ignored(caller):
    """ignore_cursor: the head page as a whole, its cursor too."""
    head = caller.page(page_size=10).json()
    caller.simulator.add_fault(Fault("ignore_cursor"))

    assert head == caller.page(page_size=10, cursor=head["next_cursor"]).json()


def test_rows_may_be_another_agents(caller, world):
    """A page of the other agent."""
    caller.simulator.add_fault(Fault("other_agent"))

    assert {world.agent_ids()[1]} == {s["agent_id"] for s in caller.page().json()["sessions"]}


def test_rows_may_be_out_of_order(caller):
    """The same rows, shuffled."""
    right = ids(caller.page())
    caller.simulator.add_fault(Fault("shuffle"))
    shuffled = ids(caller.page())

    assert right != shuffled
    assert sorted(right) == sorted(shuffled)


def test_a_cursor_may_be_refused(caller):
    """Any cursor, or only one that a regex finds."""
    cursor = first_cursor(caller)
    caller.simulator.add_fault(Fault("refuse_cursor", cursor="^nothing like it"))

    assert caller.page(page_size=10, cursor=cursor).status_code == 200

    caller.simulator.add_fault(Fault("refuse_cursor"))
    refused = caller.page(page_size=10, cursor=cursor)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_cursor")


def test_fields_may_come_in_other_forms(caller, world):
    """In lists, every record or some, and in retrieves."""
    fields = {"created_at": "seconds", "usage.credit_cost": "text", "creator": "id"}
    caller.simulator.add_fault(Fault("drift", fields=fields, every=2, times=2))
    right = world.sessions(caller.agent_id)[0]
    world.change(right["id"], usage={"credit_cost": 1.5}, creator={"id": "user_x"})

    first, second, *_ = caller.page().json()["sessions"]

    assert isinstance(first["created_at"], int)
    assert (first["usage"], first["creator"]) == ({"credit_cost": "1.5"}, "user_x")
    assert isinstance(second["created_at"], str)
    session = caller.get(f"/sessions/{right['id']}").json()["session"]
    assert session["created_at"] == first["created_at"]
    with pytest.raises(ValueError, match="form"):
        Fault("drift", fields={"name": "unheard of"})


def test_a_body_may_be_meant_to_take_all_memory(caller):
    """Small on the wire, large once it is unpacked; on any path."""
    caller.simulator.add_fault(Fault("bomb", megabytes=1, encoding="gzip, gzip", times=2))

    assert len(caller.page().content) > 2**20
    response = caller.get("/agents")

    assert int(response.headers["content-length"]) < 1000
    assert len(response.content) > 2**20


def test_page_faults_spare_other_endpoints(caller):
    """A fault of a list waits for a list."""
    caller.simulator.add_fault(Fault("missing_sessions"))

    assert caller.get("/agents").status_code == 200
    assert "sessions" not in caller.page().json()


def test_every_kind_has_a_test_of_its_own():
    """A kind that is added here must be added above."""
    text = Path(__file__).read_text(encoding="utf-8")

    assert [kind for kind in KINDS if f'Fault("{kind}"' not in text] == []


def test_faults_load_from_json(tmp_path):
    """A file holds what the constructor takes."""
    file = tmp_path / "faults.json"
    file.write_text(json.dumps([{"kind": "status", "status": 429, "path": "x", "times": None}]))

    assert [Fault("status", status=429, path="x", times=None)] == load_faults(file)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"kind": "nonsense"}, "unknown kind"),
        ({"kind": "reset", "seconds": 1}, "takes no seconds"),
        ({"status": 1}, "not a fault"),
        (7, "not a fault"),
        ({"kind": "garbage", "form": "?"}, "form of 'garbage' must be"),
        ({"kind": "reset", "where": "head"}, "where of 'reset' must be"),
        ({"kind": "error_200", "shape": "html"}, "shape of 'error_200' must be"),
        ({"kind": "status", "path": "("}, "no regex"),
    ],
    ids=str,
)
def test_what_is_no_fault_is_refused(entry, reason):
    """A typing error in a script must not pass for a quiet one."""
    with pytest.raises(ValueError, match=reason):
        parse_faults([entry])
