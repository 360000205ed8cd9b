"""Credentials, teams, agents, retrieval, tokens, the limit of requests."""

import threading
import time

import pytest

from etl.simulator import World


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer sim-token"}, 200),
        ({"Authorization": "Bearer sim-key", "x-auth-key": "user_sim"}, 200),
        ({}, 401),
        ({"Authorization": "Basic sim-token"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer sim-key"}, 401),
        ({"Authorization": "Bearer sim-key", "x-auth-key": "user_other"}, 401),
        ({"Authorization": "Bearer sim-token", "x-auth-key": "user_sim"}, 401),
        ({"Authorization": "Bearer sim-team-key", "x-auth-key": "user_sim"}, 403),
    ],
    ids=str,
)
def test_a_request_is_answered_by_its_credentials(caller, headers, status):
    """A token goes alone, a key with its user; nothing else passes."""
    assert status == caller.bare("/agents", headers).status_code


def test_a_team_key_needs_its_team(caller):
    """On every request, and no other team will do."""
    headers = {"Authorization": "Bearer sim-team-key", "x-auth-key": "user_sim"}

    assert caller.bare("/agents", headers, team_id="team_growth").status_code == 200
    assert caller.bare("/agents", headers, team_id="team_ops").status_code == 403


def test_a_key_without_its_user_is_told_so_in_the_oauth_shape(caller):
    """The documented example of the fourth body."""
    answer = caller.bare("/agents", {"Authorization": "Bearer sim-key"})

    assert answer.json() == {"error": "invalid_token", "error_description": "Missing subject"}


def test_an_unknown_team_is_forbidden(caller):
    """403 in the nested shape."""
    answer = caller.page(team_id="team_of_others")

    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")


def test_an_agent_of_another_team_is_forbidden(caller, world):
    """The second agent belongs to a team: its own opens the list, another does not."""
    agent_id = world.agent_ids()[1]
    team_id = world.agent(agent_id).team_id
    other = next(team for team in world.teams if team != team_id)

    assert caller.get(f"/agents/{agent_id}/sessions", team_id=team_id).status_code == 200
    assert caller.get(f"/agents/{agent_id}/sessions", team_id=other).status_code == 403


@pytest.mark.parametrize("path", ["/agents/nobody", "/agents/nobody/sessions", "/sessions/x", "/y"])
def test_the_unknown_is_not_found(caller, path):
    """404 in the nested shape, with a trace id."""
    answer = caller.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "trace_id" in answer.json()


def test_agents_come_whole_or_in_pages(serve):
    """Without page_size and cursor the whole list, with either, pages."""
    caller = serve(World.generate(agents=5, sessions=1))
    whole = caller.get("/agents").json()
    first = caller.get("/agents", page_size=3).json()
    second = caller.get("/agents", cursor=first["next_cursor"], page_size=3).json()

    assert whole["next_cursor"] is None
    assert whole["agents"] == first["agents"] + second["agents"]
    assert second["next_cursor"] is None
    assert caller.get("/agents", cursor="?").status_code == 400


def test_only_own_agents_without_a_team(serve):
    """The third agent is somebody else's, or its team's."""
    world = World.generate(agents=6, sessions=1)
    caller = serve(world)
    team_id = world.agents()[5].team_id

    assert len(caller.get("/agents").json()["agents"]) == 4
    assert [world.agent_ids()[5]] == [
        agent["id"] for agent in caller.get("/agents", team_id=team_id).json()["agents"]
    ]


def test_last_use_is_shown_on_demand(caller):
    """include_last_used adds the time of the newest session."""
    plain, used = (caller.get("/agents", **p) for p in ({}, {"include_last_used": "true"}))

    assert "last_used_at" not in plain.json()["agents"][0]
    assert caller.truth()[0]["created_at"] == used.json()["agents"][0]["last_used_at"]


def test_one_agent_and_the_teams(caller):
    """Both in their own envelopes."""
    assert caller.agent_id == caller.get(f"/agents/{caller.agent_id}").json()["agent"]["id"]
    assert {"id", "name"} == set(caller.get("/teams").json()["teams"][0])


def test_retrieval_adds_and_lacks_keys(caller, world):
    """A transcript comes along; name and type don't; a queued session has a position."""
    shown = caller.truth()[0]
    world.change(shown["id"], state="queued")
    body = caller.get(f"/sessions/{shown['id']}").json()
    session = body["session"]

    assert body["queue_position"] == 1
    assert {"name", "type"}.isdisjoint(session)
    assert {"messages", "agent_team_id", "participants", "agent_tools"} <= session.keys()
    assert ("queued", shown["created_at"]) == (session["state"], session["created_at"])
    assert {"user", "assistant"} == {message["role"] for message in session["messages"]}


def test_a_transcript_stays_the_same(caller):
    """Looking twice shows the same messages."""
    path = f"/sessions/{caller.truth()[3]['id']}"

    assert caller.get(path).json() == caller.get(path).json()


def test_tokens_renew_and_the_grant_rotates(caller):
    """A refresh gives a token that works and a new refresh token; the old one is dead."""
    body = caller.renew("sim-refresh").json()
    headers = {"Authorization": f"Bearer {body['access_token']}"}

    assert body["expires_in"] == 3600
    assert caller.bare("/agents", headers).status_code == 200
    assert caller.renew("sim-refresh").status_code == 400
    assert caller.renew(body["refresh_token"]).status_code == 200


def test_issued_tokens_expire(serve, world):
    """After expires_in seconds a token is refused in the OAuth shape."""
    caller = serve(world, expires_in=0.05)
    headers = {"Authorization": f"Bearer {caller.renew('sim-refresh').json()['access_token']}"}
    time.sleep(0.06)
    answer = caller.bare("/agents", headers)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_expired_at_will_and_renewed(caller):
    """expire() makes the first token useless too, until it is renewed."""
    caller.simulator.credentials.expire()

    assert caller.page().status_code == 401

    token = caller.renew("sim-refresh").json()["access_token"]

    assert caller.bare("/agents", {"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    "fields", [{"refresh_token": "x"}, {"grant_type": "password"}, {"client_id": ""}], ids=str
)
def test_a_bad_renewal_is_refused(caller, fields):
    """4xx in the OAuth shape."""
    answer = caller.renew("sim-refresh", **fields)

    assert answer.status_code == 400
    assert "error_description" in answer.json()


def test_a_revoked_grant_is_dead(caller):
    """Nothing can be renewed after revoke()."""
    caller.simulator.credentials.revoke()

    assert caller.renew("sim-refresh").json()["error"] == "invalid_grant"
    assert caller.renew("").status_code == 400


def test_beyond_the_rate_limit_is_429(serve, world):
    """With Retry-After in seconds, and the bare body."""
    caller = serve(world, rate_limit=2)
    answers = [caller.page(page_size=1) for _ in range(4)]
    refused = [answer for answer in answers if answer.status_code == 429]

    assert refused
    assert refused[0].json() == {"error": "gummie_rate_limit"}
    assert refused[0].headers["Retry-After"] == "1"


def test_latency_does_not_serialise_requests(serve, world):
    """Eight slow requests at once take as long as one."""
    caller = serve(world, latency=0.2)
    threads = [threading.Thread(target=caller.page) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert caller.simulator.stats()["peak_in_flight"] == 8
