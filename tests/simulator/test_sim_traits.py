"""Traits: servers that work, but unlike the documented one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from etl.simulator import Simulator, Traits, World


def ask(api: Simulator, **params: Any) -> httpx.Response:
    agent = api.world.agent_ids()[0]
    headers = {"Authorization": "Bearer sim-token"}
    url = f"{api.base_url}/agents/{agent}/sessions"
    return httpx.get(url, params={"page_size": 10, **params}, headers=headers)


def ids(response: httpx.Response) -> list[str]:
    return [record["id"] for record in response.json()["sessions"]]


@pytest.fixture
def world() -> World:
    return World.generate(agents=1, sessions=45, seed=3)


def test_an_old_cursor_is_refused(api: Simulator) -> None:
    cursor = ask(api).json()["next_cursor"]
    assert ask(api, cursor=cursor).status_code == 200

    api.expire_cursors()

    response = ask(api, cursor=cursor)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_cursor")


def test_an_old_cursor_can_be_answered_with_the_first_page(api: Simulator) -> None:
    api.adopt(Traits(cursor_requests=(1, 1), old_cursor="first_page"))
    first = ask(api)
    cursor = first.json()["next_cursor"]

    assert ids(ask(api, cursor=cursor)) != ids(first)
    assert ids(ask(api, cursor=cursor)) == ids(first)


def test_a_foreign_cursor_is_refused_or_not(api: Simulator) -> None:
    cursor = ask(api).json()["next_cursor"]
    api.adopt(Traits())
    assert ask(api, cursor=cursor).status_code == 200

    api.adopt(Traits(foreign_cursor="refuse"))
    assert ask(api, cursor=cursor).status_code == 400


def test_an_old_cursor_can_lead_to_the_end(api: Simulator) -> None:
    api.adopt(Traits(cursor_requests=(0, 0), old_cursor="end"))
    cursor = ask(api).json()["next_cursor"]
    ask(api)

    page = ask(api, cursor=cursor).json()

    assert (page["sessions"], page["next_cursor"]) == ([], None)


def test_every_list_comes_in_the_only_order(api: Simulator) -> None:
    api.adopt(Traits(only_order="newest"))
    first = ask(api, sort_order="oldest")

    assert ids(first) == ids(ask(api, sort_order="newest"))
    assert ids(ask(api, sort_order="oldest", cursor=first.json()["next_cursor"])) != ids(first)


def test_the_state_is_ignored(api: Simulator) -> None:
    api.adopt(Traits(ignores_state=True))

    assert ids(ask(api, state="queued")) == ids(ask(api))


def test_a_list_of_one_state_is_cut_short(api: Simulator) -> None:
    api.adopt(Traits(state_rows=3))

    page = ask(api, state="completed").json()

    assert (len(page["sessions"]), page["next_cursor"]) == (3, None)


def test_swapped_sessions_stand_in_each_others_place(api: Simulator) -> None:
    first, second, *rest = ids(ask(api, page_size=5))
    api.adopt(Traits(swapped=(first, rest[-1])))

    assert ids(ask(api, page_size=5)) == [rest[-1], second, *rest[:-1], first]


def test_beyond_so_many_requests_at_once_another_is_refused(api: Simulator) -> None:
    api.adopt(Traits(at_once=1))
    api.latency = 0.3
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(lambda _: ask(api), range(2)))

    assert sorted(response.status_code for response in responses) == [200, 429]


def test_hidden_sessions_count_for_the_length_of_a_page(api: Simulator) -> None:
    whole = ask(api, page_size=5)
    api.adopt(Traits(hidden=ids(whole)[:2]))

    assert ids(ask(api, page_size=5)) == ids(whole)[2:]
    assert ids(ask(api, page_size=2)) == []


def test_a_new_session_is_listed_late_and_retrieved_at_once(api: Simulator) -> None:
    api.adopt(Traits(list_lag=3600))
    id = api.world.add_session(api.world.agent_ids()[0])

    url = f"{api.base_url}/sessions/{id}"
    assert httpx.get(url, headers={"Authorization": "Bearer sim-token"}).status_code == 200
    assert id not in ids(ask(api))
    assert len(ids(ask(api))) == 10

    api.adopt(Traits())
    assert id in ids(ask(api))


def test_the_clock_of_the_server_is_ahead(api: Simulator) -> None:
    behind = api.world.now
    api.adopt(Traits(clock_ahead=3600))

    assert (api.world.now - behind).total_seconds() >= 3600
    assert ask(api).headers["Date"] > ""
    assert api.clock_ahead == 3600


def test_traits_are_set_from_outside(api: Simulator) -> None:
    cursor = ask(api).json()["next_cursor"]

    answer = httpx.post(f"{api.root_url}/_sim/traits", json={"foreign_cursor": "refuse"})

    assert answer.json()["traits"]["foreign_cursor"] == "refuse"
    assert ask(api, cursor=cursor).status_code == 400
