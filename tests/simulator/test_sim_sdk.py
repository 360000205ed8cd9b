"""The official SDK works against the simulator: it is not only our own belief."""

import gumloop
import pytest
from gumloop.errors import APIStatusError

from etl.simulator import Fault
from tests.support.waiting import PATIENCE


@pytest.fixture
def sdk(caller, monkeypatch):
    """Return the SDK's client, with a token."""
    for name in ("GUMLOOP_USER_ID", "GUMLOOP_TEAM_ID", "GUMLOOP_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with gumloop.Gumloop(
        access_token="sim-token", base_url=caller.simulator.base_url, timeout=PATIENCE
    ) as client:
        yield client


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_it_pages_through_an_agent(sdk, caller, order):
    """Every session, in order, with its fields, by the SDK's own models."""
    got, cursor = [], None
    while True:
        page = sdk.sessions.list(caller.agent_id, page_size=7, sort_order=order, cursor=cursor)
        got += page.sessions
        cursor = page.next_cursor
        if cursor is None:
            break
    truth = caller.truth() if order == "newest" else caller.truth()[::-1]

    assert [(s["id"], s["name"], s["state"], s["type"], s["created_at"]) for s in truth] == [
        (s.id, s.name, s.state, s.type, s.created_at) for s in got
    ]
    assert [(s["creator"] or {}).get("id") for s in truth] == [
        s.creator and s.creator.id for s in got
    ]
    assert [s.get("usage", {}).get("credit_cost") for s in truth] == [
        s.usage and s.usage.credit_cost for s in got
    ]


def test_its_filters_work(sdk, caller, world):
    """All the filters that the SDK's method names."""
    wanted = world.add_session(
        caller.agent_id,
        name="Needle",
        state="idle",
        type="api",
        creator={"id": "user_x"},
        trigger_id="trig_x",
    )
    page = sdk.sessions.list(
        caller.agent_id,
        search="needle",
        state="idle",
        type="api",
        creator_user_id="user_x",
        trigger_id="trig_x",
    )

    assert [wanted] == [session.id for session in page.sessions]


def test_it_retrieves_a_session(sdk, caller):
    """With a transcript, without name and type."""
    for shown in caller.truth()[:30]:
        if "/" not in shown["id"] and "%" not in shown["id"]:
            session = sdk.sessions.retrieve(shown["id"]).session

            assert (shown["id"], shown["state"]) == (session.id, session.state)
            assert session.messages
            assert session.name is None


def test_it_lists_agents_and_teams(sdk, caller):
    """Agents one by one and all together, and teams."""
    assert caller.world.agent_ids() == [agent.id for agent in sdk.agents.list().agents]
    assert caller.agent_id == sdk.agents.retrieve(caller.agent_id).agent.id
    assert "team_growth" in [team.id for team in sdk.teams.list().teams]


def test_a_key_with_its_user_and_team(caller):
    """The SDK sends x-auth-key and team_id by itself."""
    with gumloop.Gumloop(
        "sim-team-key",
        user_id="user_sim",
        team_id="team_growth",
        base_url=caller.simulator.base_url,
    ) as sdk:
        assert len(sdk.sessions.list(caller.agent_id, page_size=5).sessions) == 5


def test_it_renews_a_token(sdk, caller):
    """By the SDK's own OAuth helper, at the root host."""
    body = sdk.oauth.refresh_token("client", "sim-refresh")
    with gumloop.Gumloop(
        access_token=body["access_token"], base_url=caller.simulator.base_url
    ) as renewed:
        assert renewed.teams.list().teams


@pytest.mark.parametrize("shape", [1, 2, 3, 4])
def test_it_reads_every_error_body(sdk, caller, shape):
    """The SDK's error has the code, and the message where the body has one."""
    caller.simulator.add_fault(
        Fault("status", status=402, shape=shape, code="some_code", message="Some message")
    )
    with pytest.raises(APIStatusError) as caught:
        sdk.sessions.list(caller.agent_id)

    assert (caught.value.status_code, caught.value.code) == (402, "some_code")
    assert shape == 3 or str(caught.value) == "Some message"


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda sdk, _: sdk.sessions.list("nobody"), 404, "not_found"),
        (lambda sdk, _: sdk.sessions.retrieve("nothing"), 404, "not_found"),
        (lambda sdk, agent: sdk.sessions.list(agent, cursor="x"), 400, "invalid_cursor"),
        (lambda sdk, agent: sdk.sessions.list(agent, page_size=101), 400, "invalid_page_size"),
        (lambda sdk, agent: sdk.sessions.list(agent, team_id="t"), 403, "insufficient_scope"),
    ],
    ids=["agent", "session", "cursor", "page_size", "team"],
)
def test_it_raises_its_typed_error(sdk, caller, ask, status, code):
    """The simulator's own errors arrive as APIStatusError."""
    with pytest.raises(APIStatusError) as caught:
        ask(sdk, caller.agent_id)

    assert (status, code) == (caught.value.status_code, caught.value.code)


def test_a_wrong_token_is_its_error_too(caller):
    """401 from the OAuth body."""
    with (
        gumloop.Gumloop(access_token="no", base_url=caller.simulator.base_url) as sdk,
        pytest.raises(APIStatusError) as caught,
    ):
        sdk.teams.list()

    assert (caught.value.status_code, caught.value.code) == (401, "invalid_token")
