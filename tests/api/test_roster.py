"""The lists of agents and teams, from bytes to records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.api.decoding.agents import decode_agents, decode_teams
from etl.errors import Malformed
from etl.models import ABSENT, FoundAgent, Team


def page(*records: object, **more: object) -> bytes:
    return msgspec.json.encode({"agents": records, **more})


def test_fields_are_read_and_unknown_ones_left() -> None:
    body = page(
        {"id": "a", "name": "A", "team_id": "t", "is_active": False, "tools": [{"x": 1}]},
        {"id": "b", "name": None, "team_id": None, "is_active": None},
        {"id": "c"},
        next_cursor="n",
    )

    assert decode_agents(body) == (
        [FoundAgent("a", "A", "t", False), FoundAgent("b", None, None), FoundAgent("c")],
        0,
        "n",
    )
    assert decode_agents(page({"id": "c"})).agents[0].team_id is ABSENT


def test_half_a_character_in_a_field_that_is_not_read_costs_nothing() -> None:
    body = b'{"agents":[{"id":"a","description":"\\ud83d","name":"\\ud83d"}]}'

    assert decode_agents(body).agents == [FoundAgent("a")]


ODD_FIELDS: list[dict[str, object]] = [
    {"name": 7},
    {"name": ["a"], "is_active": "yes"},
    {"team_id": 7},
]


@pytest.mark.parametrize("odd", ODD_FIELDS)
def test_a_field_that_cannot_be_read_counts_as_absent(odd: dict[str, object]) -> None:
    assert decode_agents(page({"id": "a", **odd})).agents == [FoundAgent("a")]


@pytest.mark.parametrize("cursor", [None, ""])
def test_no_cursor_is_the_end(cursor: str | None) -> None:
    assert decode_agents(page(next_cursor=cursor)).next_cursor is None


BAD = [
    b"null",
    b"7",
    b'"x"',
    b"{}",
    b'{"id":7}',
    b'{"id":"\\ud800"}',
    b'{"id":"' + b"x" * 100_000 + b'"}',
]


@pytest.mark.parametrize("bad", BAD, ids=lambda raw: raw[:20])
def test_a_bad_record_costs_itself_alone(bad: bytes) -> None:
    body = b'{"agents":[{"id":"a"},' + bad + b',{"id":"b"}]}'

    found, unread, _ = decode_agents(body)

    assert ([agent.id for agent in found], unread) == (["a", "b"], 1)
    assert decode_teams(body.replace(b"agents", b"teams")) == [Team("a"), Team("b")]


@given(
    st.binary() | st.sampled_from([b"{}", b"[]", b"<html>", b'{"agents":null}', b'{"teams":{}}'])
)
def test_what_is_no_list_is_malformed(body: bytes) -> None:
    for decode in (decode_agents, decode_teams):
        with pytest.raises(Malformed):
            decode(body)
