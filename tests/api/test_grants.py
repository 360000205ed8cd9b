"""When a token is due, and what a reply of the token endpoint means."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.api.credentials.oauth_tokens import (
    AccessToken,
    is_over,
    needs_renewal,
    parse_token,
    read_reply,
    serialize_token,
)
from etl.errors import ApiError, Denied, Malformed, Transient

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "acc-3f9d1c77-never-shown"
lives = st.floats(0.01, 1e6).map(lambda seconds: timedelta(seconds=seconds))


def reply(status: int = 200, **body: object) -> AccessToken:
    return read_reply(status, msgspec.json.encode(body), None, None, NOW).access


@given(lives)
def test_a_token_is_fresh_then_due_then_over(life: timedelta) -> None:
    token = AccessToken(SECRET, NOW, NOW + life)
    ahead = min(life / 10, timedelta(minutes=5))
    tick = timedelta(microseconds=2)

    assert not needs_renewal(token, NOW)
    assert not needs_renewal(token, NOW + life - ahead - tick)
    assert needs_renewal(token, NOW + life - ahead + tick)
    assert not is_over(token, NOW + life - tick)
    assert is_over(token, NOW + life)


@given(lives, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_what_is_over_is_due(life: timedelta, later: timedelta) -> None:
    token = AccessToken(SECRET, NOW, NOW + life)

    assert needs_renewal(token, NOW + later) or not is_over(token, NOW + later)


def test_a_token_without_an_end_is_used_until_it_is_refused() -> None:
    token = reply(access_token=SECRET)

    assert not needs_renewal(token, NOW + timedelta(days=999))
    assert not is_over(token, NOW + timedelta(days=999))


def test_a_token_issued_after_now_is_due_for_the_clock_was_set_back() -> None:
    assert needs_renewal(
        AccessToken(SECRET, NOW, NOW + timedelta(hours=1)), NOW - timedelta(hours=2)
    )


def test_a_token_lives_from_when_it_was_asked_for() -> None:
    token = reply(access_token=SECRET, token_type="Bearer", expires_in=3600)

    assert token == AccessToken(SECRET, NOW, NOW + timedelta(hours=1))


@pytest.mark.parametrize("odd", [None, 0, -5, "soon", [], {}, True, "nan", "1e999", 1e308, "3600"])
def test_an_odd_life_costs_no_token(odd: object) -> None:
    token = reply(access_token=SECRET, expires_in=odd)

    assert token.value == SECRET
    assert token.expires_at is None or token.expires_at > NOW


@pytest.mark.parametrize("told", [None, "", "two words", "line\nbreak", 7])
def test_a_new_refresh_token_is_one_that_can_be_used(told: object) -> None:
    body = msgspec.json.encode({"access_token": SECRET, "refresh_token": told})

    assert read_reply(200, body, None, None, NOW).refresh_token is None
    body = msgspec.json.encode({"access_token": SECRET, "refresh_token": "new"})
    assert read_reply(200, body, None, None, NOW).refresh_token == "new"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"null", b"[" * 5000, b"\xff"])
def test_a_200_that_grants_nothing_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_reply(200, body, None, None, NOW)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nx: y", "é", None, 7])
def test_a_token_that_can_be_no_header_is_malformed(token: object) -> None:
    with pytest.raises(Malformed):
        reply(access_token=token)


def test_a_token_of_another_kind_is_malformed() -> None:
    with pytest.raises(Malformed):
        reply(access_token=SECRET, token_type="mac")


@given(st.integers(201, 599))
def test_a_refusal_is_dead_or_passes(status: int) -> None:
    with pytest.raises(ApiError) as caught:
        reply(status)

    passes = status >= 500 or status in (408, 425, 429)
    assert isinstance(caught.value, Transient if passes else Denied)
    assert str(status) in caught.value.message
    assert caught.value.hint


HINTS = {
    (400, "invalid_grant"): "refresh_token_file",
    (401, "invalid_client"): "client_id",
    (404, None): "token_url",
    (302, None): "redirects",
}


@pytest.mark.parametrize("case", HINTS, ids=str)
def test_the_hint_names_the_key(case: tuple[int, str | None]) -> None:
    with pytest.raises(Denied) as caught:
        read_reply(case[0], b"", case[1], None, NOW)

    assert HINTS[case] in caught.value.hint


texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(texts, lives | st.none())
def test_a_kept_token_is_read_back_for_its_grant_alone(value: str, life: timedelta | None) -> None:
    token = AccessToken(value, NOW, None if life is None else NOW + life)
    kept = serialize_token(token, "grant")
    back = parse_token(kept, "grant")

    assert back is not None
    assert (back.value, back.issued_at) == (value, NOW)
    assert back.expires_at == token.expires_at or abs(back.expires_at - token.expires_at) < (  # type: ignore[operator]
        timedelta(milliseconds=1)
    )
    assert parse_token(kept, "another") is None


JUNK = [b"", b"{}", b"[1]", b'{"grant":"g"}', b'{"grant":"g","access_token":"x","issued_at":"1"}']


@pytest.mark.parametrize("junk", [*JUNK, JUNK[-1].replace(b'"1"', b"1e99")])
def test_what_can_be_read_as_no_token_is_none(junk: bytes) -> None:
    assert parse_token(junk, "g") is None


def test_no_token_is_shown() -> None:
    token = AccessToken(SECRET, NOW, None)
    granted = read_reply(200, serialize_token(token, "g"), None, None, NOW)

    assert SECRET not in f"{token!r} {token} {granted!r} {granted}"
