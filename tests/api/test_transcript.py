"""Transcripts of any shape become messages; nothing that was sent is lost."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.api.decoding.transcripts import LONGEST_SEARCHED, MOST_MESSAGES, decode_transcript
from etl.api.decoding.values import read_instant
from etl.errors import Malformed
from etl.models import Message

FIELDS = ("id", "role", "content", "created_at", "creator_id")
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from((*FIELDS, "parts", "metadata"))
messages = st.lists(values | st.dictionaries(names, values, max_size=7), max_size=5)


def answer(messages: Any, id: str = "s") -> bytes:
    return json.dumps({"session": {"id": id, "messages": messages}}).encode()


def one(**fields: Any) -> Message:
    return decode_transcript(answer([fields]), "s")[0]


def whole(message: Message) -> Any:
    """What was sent, put together again."""
    extra = json.loads(message.extra) if message.extra else None
    if message.extra and not isinstance(extra, dict):
        return extra
    found = dict(extra or {})
    for name in FIELDS:
        value = getattr(message, name)
        if value is not None:
            found[name] = value
    if message.parts is not None:
        found["parts"] = json.loads(message.parts)
    return found


def without_nulls(sent: Any) -> Any:
    if not isinstance(sent, dict):
        return {} if sent is None else sent
    known = {*FIELDS, "parts"}
    found = {k: v for k, v in sent.items() if v is not None or k not in known}
    with suppress(ValueError, OverflowError):
        found["created_at"] = read_instant(found.get("created_at"))
    return found


@given(messages)
def test_nothing_that_was_sent_is_lost(sent: list[Any]) -> None:
    found = decode_transcript(answer(sent), "s")

    assert [message.position for message in found] == list(range(len(sent)))
    assert [whole(message) for message in found] == [without_nulls(message) for message in sent]


@given(messages)
def test_the_same_answer_is_the_same_transcript(sent: list[Any]) -> None:
    assert decode_transcript(answer(sent), "s") == decode_transcript(answer(sent), "s")


def test_a_whole_message() -> None:
    sent = {"id": "m", "role": "user", "content": "Hi", "created_at": "2026-05-15 14:32:00.5"}

    assert one(**sent, creator_id="u", parts=[]) == Message(
        0, "m", "user", "Hi", datetime(2026, 5, 15, 14, 32, 0, 500_000, UTC), "u", "[]"
    )


@pytest.mark.parametrize("sent", [1778855520, "1778855520", 1778855520000])
def test_an_instant_may_be_a_number(sent: Any) -> None:
    message = one(created_at=sent)

    assert message == Message(0, created_at=datetime(2026, 5, 15, 14, 32, tzinfo=UTC))


def test_millions_of_messages_are_no_transcript() -> None:
    with pytest.raises(Malformed, match="more than"):
        decode_transcript(answer([1] * (MOST_MESSAGES + 1)), "s")


def test_a_long_text_that_is_not_utf8_at_its_end_is_read_all_the_same() -> None:
    body = answer([{"content": "é" * 2**20}]).replace(b"\\u00e9", "é".encode(), 2**20)
    broken = body[:-8] + b"\xff" + body[-8:]

    assert len(decode_transcript(body, "s")[0].content or "") == 2**20
    assert "\ufffd" in (decode_transcript(broken, "s")[0].content or "")


@pytest.mark.parametrize("sent", [None, []], ids=str)
def test_no_messages(sent: Any) -> None:
    assert decode_transcript(answer(sent), "s") == []


PART = {"type": "text", "text": "said in parts"}
SEARCHED = {
    "content as it stands": ({"content": "x", "parts": [PART]}, None),
    "parts instead of nothing": (
        {"parts": [PART, {"type": "tool"}, PART]},
        "said in parts\nsaid in parts",
    ),
    "parts instead of blanks": ({"content": " \n", "parts": [PART]}, "said in parts"),
    "odd parts among them": ({"parts": [1, None, "x", {"text": 1, "type": "text"}, PART]}, "said"),
    "parts that are none": ({"parts": {"type": "text", "text": "x"}}, None),
    "the beginning of much": ({"content": "y" * 10**6}, "y" * LONGEST_SEARCHED),
    "NUL": ({"content": "a\0b"}, "a b"),
}


@pytest.mark.parametrize("case", SEARCHED)
def test_what_is_searched(case: str) -> None:
    sent, wanted = SEARCHED[case]
    found = one(**sent).search_text

    assert (found or "").startswith(wanted or "") and (found is None) == (wanted is None)
    assert len(found or "") <= LONGEST_SEARCHED


def test_halves_of_surrogate_pairs_and_bytes_that_are_no_text() -> None:
    body = b'{"session":{"id":"s","messages":[{"content":"a\\ud800b\\\\ud800\\ud83d\\ude00\xff",'
    body += b'"parts":["\\udc00"],"odd":"\xfe"}]}}'

    found = decode_transcript(body, "s")[0]

    assert found.content == "a\ufffdb\\ud800\N{GRINNING FACE}\ufffd"
    assert json.loads(found.parts or "") == ["\ufffd"]
    assert json.loads(found.extra or "") == {"odd": "\ufffd"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        b'{"error":"x"}',
        b'{"session":null}',
        b'{"session":{"id":"s"}}',
        b'{"session":{"id":"s","messages":{"a":1}}}',
        b'{"session":{"id":"s","messages":"none"}}',
        answer([], id="other"),
        b'{"session":{"id":"s","messages":[' + b"[" * 100_000,
        answer([{"content": "x"}])[:-5],
    ],
    ids=lambda body: body[:40].decode(),
)
def test_what_is_no_transcript(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_transcript(body, "s")
