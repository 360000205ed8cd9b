"""Failed answers: every body that the API is known to send, in one sentence with a hint."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from etl.api.errors import HINTS, LONGEST_MESSAGE, find_error, retry_after, translate_response
from etl.errors import ApiError, Denied, Transient

NOW = datetime(2026, 5, 15, 14, 32, tzinfo=UTC)

OBJECT = (
    b'{"error":{"code":"insufficient_scope","message":"Scope is missing",'
    b'"type":"permission_error","param":null,"details":{}},"trace_id":"t-1"}'
)
TIER = (
    b'{"error":"subscription_tier_required","message":"Upgrade","metadata":{"minimum_tier":"pro"}}'
)
BARE = b'{"error":"gummie_rate_limit"}'
OAUTH = b'{"error":"invalid_token","error_description":"Missing subject"}'


def error(status: int, body: bytes = b"", **headers: str) -> ApiError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return translate_response("sessions of agent 'x'", status, named, body, NOW)


SHAPES = {
    "object": (OBJECT, "insufficient_scope", "Scope is missing [trace t-1]"),
    "text and message": (TIER, "subscription_tier_required", "Upgrade"),
    "bare text": (BARE, "gummie_rate_limit", "gummie_rate_limit"),
    "OAuth": (OAUTH, "invalid_token", "Missing subject"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_error_is_told(shape: str) -> None:
    body, code, ending = SHAPES[shape]

    told = error(403, body)

    assert told.status == 403
    assert told.message.startswith(f"sessions of agent 'x': HTTP 403, {code}")
    assert told.message.endswith(ending)
    assert told.hint == HINTS[403]


SPEECHLESS = [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b"[]", b"null", b"7", b'"x"', b"{}"]


@pytest.mark.parametrize("body", [*SPEECHLESS, b'{"error":null}', b'{"error":7,"message":[]}'])
def test_a_body_that_says_nothing_leaves_the_status(body: bytes) -> None:
    told = error(502, body)

    assert told.message == "sessions of agent 'x': HTTP 502"
    assert find_error(body) is None


@pytest.mark.parametrize("body", [OBJECT, TIER, BARE, OAUTH])
def test_an_error_under_status_200_is_recognized(body: bytes) -> None:
    assert find_error(body) is not None


def test_a_page_is_no_error() -> None:
    assert find_error(b'{"sessions":[],"next_cursor":null}') is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_what_may_pass_is_worth_another_try(status: int) -> None:
    told = error(status, BARE)

    assert isinstance(told, Transient)
    assert told.status == status
    assert told.hint


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 418])
def test_what_was_refused_is_not_tried_again(status: int) -> None:
    told = error(status, TIER)

    assert isinstance(told, Denied)
    assert told.hint == HINTS.get(status, "")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    told = error(status, location="https://elsewhere.example")

    assert isinstance(told, Denied)
    assert "redirects" in told.hint
    assert "elsewhere" not in str(told)


def test_an_endless_message_is_cut() -> None:
    told = error(400, b'{"error":{"code":"x","message":"' + b"long \\n " * 5000 + b'"}}')

    assert len(told.message) < LONGEST_MESSAGE + 100
    assert "\n" not in told.message


def test_a_transient_error_carries_the_servers_wish() -> None:
    told = error(429, BARE, retry_after="7")

    assert isinstance(told, Transient)
    assert told.retry_after == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("Fri, 15 May 2026 14:33:00", 60),
        ("Fri, 15 May 2026 16:33:00 +0200", 60),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "soon",
        "-5",
        "1.5",
        "²",
        "1e3",
        "Fri, 99 May 2026 14:33:00 GMT",
        "\x00",
        "9" * 400,
    ],
)
def test_any_other_retry_after_never_fails(value: str | None) -> None:
    seconds = retry_after(value, NOW)

    assert seconds is None or 0 <= seconds < float("inf")
