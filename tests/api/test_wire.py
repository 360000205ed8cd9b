"""From bytes to records: every field the API documents, and everything that it might send."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.api.decoding.sessions import (
    decode_page,
    decode_records,
    decode_retrieved,
    parse_instant,
)
from etl.errors import Malformed
from etl.models import ABSENT, LONGEST_ID, Creator, Listed, Page, Session

AGENT = "abc123DEFghiJKL"
CREATED = datetime(2026, 5, 15, 14, 32, tzinfo=UTC)
PERSON = {
    "id": "user_2b9d71f0",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "profile_picture": None,
}
USAGE = {
    "credit_cost": 12.5,
    "tool_credit_cost": 4,
    "flow_credit_cost": 1.5,
    "input_tokens": 18432,
    "cached_input_tokens": 7,
    "cache_write_input_tokens": 8,
    "output_tokens": 2043,
    "reasoning_tokens": 9,
}
RECORD: dict[str, Any] = {
    "id": "sess_xYz789AbCd",
    "agent_id": AGENT,
    "name": "Research task",
    "type": "api",
    "messages": [],
    "created_at": "2026-05-15T14:32:00Z",
    "state": "completed",
    "agent_name": "Sales research agent",
    "creator": PERSON,
    "usage": USAGE,
}
ADA = Creator("user_2b9d71f0", "Ada", "Lovelace", "ada@example.com", None)
COLUMNS = ("name", "type", "state", "created_at")


def body(*records: Any, **rest: Any) -> bytes:
    return json.dumps({"sessions": records, "next_cursor": None, **rest}).encode()


def record(**changes: Any) -> dict[str, Any]:
    return {**RECORD, **changes}


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in RECORD.items() if k != key}


def decoded(*records: Any) -> Page:
    return decode_page(body(*records), AGENT)


def only(*records: Any) -> Session:
    (session,) = decoded(*records).sessions
    return session


def test_a_documented_record_fills_every_column() -> None:
    page = decoded(RECORD)

    assert page.sessions == [
        Session(
            "sess_xYz789AbCd",
            AGENT,
            "user_2b9d71f0",
            "Research task",
            "api",
            "completed",
            CREATED,
            12.5,
            4.0,
            1.5,
            18432,
            7,
            8,
            2043,
            9,
        )
    ]
    assert page.creators == [ADA]
    assert page.listed == [Listed("sess_xYz789AbCd", CREATED)]
    assert (page.rejected, page.next_cursor, page.agent_name) == ([], None, "Sales research agent")


@pytest.mark.parametrize("key", COLUMNS)
def test_a_null_is_not_the_same_as_an_absent_key(key: str) -> None:
    assert getattr(only(record(**{key: None})), key) is None
    assert getattr(only(without(key)), key) is ABSENT


@pytest.mark.parametrize("key", USAGE)
def test_each_number_of_the_usage_may_be_null_or_absent(key: str) -> None:
    rest = {k: v for k, v in USAGE.items() if k != key}

    assert getattr(only(record(usage={**rest, key: None})), key) is None
    assert getattr(only(record(usage=rest)), key) is ABSENT


def test_the_usage_as_a_whole_may_be_null_or_absent() -> None:
    null, absent = only(record(usage=None)), only(without("usage"))

    assert {getattr(null, key) for key in USAGE} == {None}
    assert {getattr(absent, key) for key in USAGE} == {ABSENT}


@pytest.mark.parametrize("key", ["agent_id", "agent_name", "messages"])
def test_what_no_column_needs_may_be_null_or_absent(key: str) -> None:
    assert only(record(**{key: None})) == only(without(key)) == only(RECORD)


def test_a_record_of_nothing_but_an_id_is_a_session() -> None:
    page = decoded({"id": "x"})

    assert page.sessions == [Session("x", AGENT)]
    assert page.listed == [Listed("x", None)]


def test_a_null_creator_clears_the_reference_and_an_absent_one_leaves_it() -> None:
    assert only(record(creator=None)).creator_id is None
    assert only(without("creator")).creator_id is ABSENT


@pytest.mark.parametrize("key", [key for key in PERSON if key != "id"])
def test_a_creator_may_be_partial(key: str) -> None:
    rest = {k: v for k, v in PERSON.items() if k != key}

    absent, null = decoded(record(creator=rest)), decoded(record(creator={**rest, key: None}))

    assert absent.creators == null.creators == [msgspec.structs.replace(ADA, **{key: None})]


@pytest.mark.parametrize("person", [{"id": None, "first_name": "Ada"}, {"first_name": "Ada"}])
def test_a_creator_without_an_id_is_kept_in_extra(person: dict[str, Any]) -> None:
    page = decoded(record(creator=person))

    assert page.creators == []
    assert page.sessions[0].creator_id is None
    assert page.sessions[0].extra == {"creator": {"first_name": "Ada"}}


@pytest.mark.parametrize("person", [{}, {"id": None}, dict.fromkeys(PERSON)])
def test_a_creator_that_says_nothing_leaves_nothing(person: dict[str, Any]) -> None:
    session = only(record(creator=person))

    assert (session.creator_id, session.extra) == (None, ABSENT)


def test_a_creator_without_an_id_keeps_unknown_keys_too() -> None:
    session = only(record(creator={"first_name": "Ada", "nickname": "A"}))

    assert session.extra == {"creator": {"first_name": "Ada", "nickname": "A"}}


def test_a_creator_is_told_once_a_page() -> None:
    page = decoded(RECORD, record(id="other"))

    assert page.creators == [ADA]


def test_unknown_keys_end_up_in_extra() -> None:
    new = {"provenance": {"a": [1, None]}, "incognito": False, "agent_tools": None}

    session = only(record(**new, usage={**USAGE, "gpu": 1}, creator={**PERSON, "role": "x"}))

    assert session.extra == {**new, "usage": {"gpu": 1}, "creator": {"role": "x"}}
    assert msgspec.structs.replace(session, extra=ABSENT) == only(RECORD)


def test_unknown_keys_of_the_answer_are_passed_over() -> None:
    assert decode_page(body(RECORD, total=7), AGENT) == decoded(RECORD)


INSTANTS = {
    "2026-05-15T14:32:00Z": CREATED,
    "2026-05-15T14:32:00+00:00": CREATED,
    "2026-05-15T14:32:00": CREATED,
    "2026-05-15 14:32:00": CREATED,
    "2026-05-15 14:32:00Z": CREATED,
    "2026-05-15 14:32:00+00:00": CREATED,
    "2026-05-15T14:32": CREATED,
    "2026-05-15T16:32:00+02:00": CREATED,
    "2026-05-15T09:02:00-05:30": CREATED,
    "2026-05-15T14:32:00.5Z": CREATED.replace(microsecond=500_000),
    "2026-05-15T14:32:00.123Z": CREATED.replace(microsecond=123_000),
    "2026-05-15T14:32:00.123456Z": CREATED.replace(microsecond=123_456),
    "2026-05-15T14:32:00.123456": CREATED.replace(microsecond=123_456),
    "2026-05-15 14:32:00.123456+00:00": CREATED.replace(microsecond=123_456),
}


@pytest.mark.parametrize("text", INSTANTS)
def test_every_form_of_a_timestamp_is_the_same_instant(text: str) -> None:
    instant = parse_instant(text)

    assert instant == INSTANTS[text]
    assert instant.tzinfo is UTC


BAD_INSTANTS = ["", "2026-05-15", "20260515T143200Z", "yesterday", "20260515", "17788555"]


@pytest.mark.parametrize(
    "text", [*BAD_INSTANTS, "2026-13-15T14:32:00Z", "0001-01-01T00:00:00+05:00"]
)
def test_a_session_is_stored_without_what_is_no_timestamp(text: str) -> None:
    page = decoded(record(created_at=text), record(id="good"))

    assert page.sessions == [
        msgspec.structs.replace(only(RECORD), created_at=ABSENT),
        only(record(id="good")),
    ]
    assert [(r.id, r.is_partial, r.reason) for r in page.rejected] == [
        (RECORD["id"], True, "stored without `$.created_at` (not a timestamp)")
    ]
    assert page.listed == [Listed(RECORD["id"], None), Listed("good", CREATED)]


def test_a_record_of_another_agent_costs_itself_alone() -> None:
    bad = record(agent_id="other")

    page = decoded(record(id="first"), bad, record(id="last"))

    assert [session.id for session in page.sessions] == ["first", "last"]
    (rejected,) = page.rejected
    assert (json.loads(rejected.payload), rejected.id) == (bad, RECORD["id"])
    assert "$.agent_id" in rejected.reason
    assert not rejected.is_partial
    assert page.listed[1] == Listed(RECORD["id"], CREATED), "its place stays readable"


def test_a_record_of_another_agent_is_no_page_of_several() -> None:
    """Alone it may be a bad one; with a next cursor it stands where others should."""
    raw = json.dumps({"sessions": [record(agent_id="other")], "next_cursor": "c"}).encode()

    assert decode_page(raw, AGENT, page_size=1).sessions == []
    assert decode_page(raw.replace(b'"c"', b"null"), AGENT, page_size=100).sessions == []
    with pytest.raises(Malformed, match="another agent"):
        decode_page(raw, AGENT, page_size=100)


ILLEGIBLE = {
    "id is null": (record(id=None), Listed(None, CREATED)),
    "id is a number": (record(id=7), Listed(None, CREATED)),
    "no id": (without("id"), Listed(None, CREATED)),
    "id is too long": (record(id="x" * 100_000), Listed("x" * 100_000, CREATED)),
    "null": (None, Listed(None, None)),
    "a string": ("session", Listed(None, None)),
    "a list": ([1], Listed(None, None)),
    "an empty object": ({}, Listed(None, None)),
}


@pytest.mark.parametrize("case", ILLEGIBLE)
def test_the_place_of_a_bad_record_is_read_as_far_as_it_goes(case: str) -> None:
    bad, place = ILLEGIBLE[case]

    page = decoded(bad, record(id="good"))

    assert [session.id for session in page.sessions] == ["good"]
    assert [r.id for r in page.rejected] == [place.id]
    assert page.listed[0] == place


def test_an_id_may_be_as_long_as_an_index_allows() -> None:
    fits, too_long = "é" * (LONGEST_ID // 2), "é" * (LONGEST_ID // 2 + 1)

    page = decoded(record(id=fits), record(id=too_long))

    assert [session.id for session in page.sessions] == [fits]
    assert "$.id" in page.rejected[0].reason


@pytest.mark.parametrize("text", ["", "a\x00b", "\u2028\ufeff", "名前 🦉", "' OR 1=1 --"])
def test_any_unicode_is_text(text: str) -> None:
    session = only(record(name=text, id=f"id {text}"))

    assert (session.id, session.name) == (f"id {text}", text)


def raw(name: bytes) -> bytes:
    """A record whose name is these bytes, next to a good one."""
    good = json.dumps(record(id="good")).encode()
    return b'{"sessions":[{"id":"bad","name":' + name + b',"state":"idle"},' + good + b"]}"


ODD_BYTES = {
    "lone surrogate": b'"\\ud800"',
    "reversed surrogates": b'"\\udc00\\ud800"',
    "invalid UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\x80"',
    "huge number": b"1e999",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "deep nesting": b"[" * 50_000 + b"]" * 50_000,
}


@pytest.mark.parametrize("case", ODD_BYTES)
def test_text_that_is_none_costs_its_field_alone(case: str) -> None:
    page = decode_page(raw(ODD_BYTES[case]), AGENT)

    assert page.sessions[0] == Session("bad", AGENT, state="idle")
    assert [session.id for session in page.sessions] == ["bad", "good"]
    (note,) = page.rejected
    assert (note.id, note.reason) == ("bad", "stored without `$.name` (not a text)")
    assert ODD_BYTES[case].decode(errors="replace") in note.payload


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000])
def test_numbers_that_are_not_finite_cost_their_field_alone(number: bytes) -> None:
    record = b'{"id":"x","usage":{"credit_cost":' + number + b',"output_tokens":7}}'

    page = decode_page(b'{"sessions":[' + record + b',{"id":"good"}],"next_cursor":"c"}', AGENT)

    assert page.sessions == [Session("x", AGENT, output_tokens=7), Session("good", AGENT)]
    assert [note.payload for note in page.rejected] == [
        '{"id":"x","usage":{"credit_cost":' + number.decode() + "}}"
    ]
    assert page.next_cursor == "c"


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b'"\\ud800"', b"[" * 999 + b"]" * 999])
def test_an_unknown_key_that_cannot_be_kept_costs_itself_alone(number: bytes) -> None:
    page = decode_page(b'{"sessions":[{"id":"x","odd":' + number + b',"new":1}]}', AGENT)

    assert page.sessions == [Session("x", AGENT, extra={"new": 1})]
    assert [note.reason for note in page.rejected] == [
        "stored without `$.extra` (not JSON, or nested too deeply)"
    ]


def test_of_a_repeated_key_the_last_one_counts() -> None:
    good = b'{"id":"a","id":"b","name":"one","name":"two"}'
    odd = b'{"id":"c","id":"d","name":"one","name":"two","state":7}'
    worse = b'{"id":"e","id":"f","name":"one","name":"two","state":NaN}'

    page = decode_page(b'{"sessions":[' + b",".join((good, odd, worse)) + b"]}", AGENT)

    assert [(s.id, s.name) for s in page.sessions] == [("b", "two"), ("d", "two"), ("f", "two")]


def test_millions_of_records_are_no_page() -> None:
    for filler in (b"{}", b"NaN"):
        with pytest.raises(Malformed, match="more than"):
            decode_page(b'{"sessions":[' + b",".join([filler] * 10_001) + b"]}", AGENT)


def test_huge_integers_in_extra_are_kept() -> None:
    assert only(record(counter=10**30)).extra == {"counter": 10**30}


def test_deep_messages_are_never_looked_into() -> None:
    deep = b'{"sessions":[{"id":"x","messages":' + b"[" * 500 + b"]" * 500 + b"}]}"

    assert decode_page(deep, AGENT).sessions == [Session("x", AGENT)]


NO_PAGES = {
    "nothing": b"",
    "an empty object": b"{}",
    "an array": b"[]",
    "null": b"null",
    "no sessions": b'{"next_cursor":"x"}',
    "sessions is null": b'{"sessions":null}',
    "sessions is an object": b'{"sessions":{}}',
    "the cursor is a number": b'{"sessions":[],"next_cursor":7}',
    "an error": b'{"error":"gummie_rate_limit"}',
    "HTML": b"<html>Bad gateway</html>",
    "cut off": body(RECORD)[:-20],
    "two documents": body(RECORD) * 2,
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("case", NO_PAGES)
def test_what_is_no_page_is_malformed(case: str) -> None:
    with pytest.raises(Malformed):
        decode_page(NO_PAGES[case], AGENT)
    with pytest.raises(Malformed):
        decode_records(NO_PAGES[case])


def test_an_empty_page_is_a_page() -> None:
    assert decoded() == Page([], [], [], [])


@pytest.mark.parametrize("given", [{"next_cursor": None}, {"next_cursor": ""}, {}])
def test_the_end_is_a_cursor_that_is_null_empty_or_absent(given: dict[str, Any]) -> None:
    page = decode_page(json.dumps({"sessions": [], **given}).encode(), AGENT)

    assert page.next_cursor is None


def test_a_page_of_another_agent_is_malformed() -> None:
    with pytest.raises(Malformed, match="another agent"):
        decoded(record(agent_id="other"), record(id="b", agent_id="other"))


def test_records_are_handed_out_as_sent() -> None:
    records, cursor = decode_records(b'{"sessions":[{"id": 7},null],"next_cursor":"c=="}')

    assert ([bytes(one) for one in records], cursor) == ([b'{"id": 7}', b"null"], "c==")


def answer(session: Any, **rest: Any) -> bytes:
    return json.dumps({"session": session, **rest}).encode()


def test_a_retrieve_tells_of_one_session_and_its_creator() -> None:
    found = decode_retrieved(answer(RECORD, queue_position=None), RECORD["id"], AGENT)

    assert (found.sessions, found.creators) == ([only(RECORD)], [ADA])


def test_a_retrieve_without_name_and_type_leaves_them_be() -> None:
    found = decode_retrieved(answer({"id": "x", "state": "idle"}), "x", AGENT)

    assert found.sessions == [Session("x", AGENT, state="idle")]


RETRIEVES = {
    "another session": answer({"id": "y"}),
    "nothing": b"{}",
    "HTML": b"<html>",
}
BAD_RETRIEVES = {
    "no session": answer(None),
    "another agent's": answer({"id": "x", "agent_id": "other"}),
}


@pytest.mark.parametrize("case", BAD_RETRIEVES)
def test_a_bad_record_of_a_retrieve_is_set_aside(case: str) -> None:
    found = decode_retrieved(BAD_RETRIEVES[case], "x", AGENT)

    assert found.sessions == []
    assert [bad.id for bad in found.rejected] == ["x"]


@pytest.mark.parametrize("case", RETRIEVES)
def test_a_retrieve_that_does_not_tell_of_its_session_is_malformed(case: str) -> None:
    with pytest.raises(Malformed):
        decode_retrieved(RETRIEVES[case], "x", AGENT)


texts = st.none() | st.text(max_size=8)
counts = st.none() | st.integers(-(2**63), 2**63 - 1)
credits = (
    st.none()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, width=32).filter(lambda number: abs(number) < 1e30)
)
people = st.fixed_dictionaries({}, optional=dict.fromkeys(PERSON, texts))
usages = st.fixed_dictionaries(
    {},
    optional={key: credits if key.endswith("cost") else counts for key in USAGE},
)
records = st.fixed_dictionaries(
    {"id": st.text(max_size=20)},
    optional={
        "agent_id": st.sampled_from([None, AGENT]),
        "name": texts,
        "type": texts,
        "state": texts,
        "created_at": st.sampled_from([None, *INSTANTS]),
        "agent_name": texts,
        "messages": st.none() | st.lists(people, max_size=2),
        "creator": st.none() | people,
        "usage": st.none() | usages,
    },
)


@settings(max_examples=200, deadline=None)
@given(records)
def test_a_record_decodes_the_same_next_to_a_bad_one(good: dict[str, Any]) -> None:
    alone, beside = decoded(good), decoded(good, {"id": 7})

    assert (alone.sessions, alone.creators) == (beside.sessions, beside.creators)
    assert alone.listed == beside.listed[:1]
    assert (len(alone.rejected), len(beside.rejected)) == (0, 1)


@settings(max_examples=200, deadline=None)
@given(records, st.sampled_from(["", "usage", "creator"]))
def test_an_unknown_key_changes_nothing_but_extra(good: dict[str, Any], where: str) -> None:
    inner = good if not where else good.get(where)
    if inner is None:
        return
    more = {**inner, "unheard_of": 1}
    plain, odd = decoded(good), decoded({**good, where: more} if where else more)

    assert plain.creators == odd.creators
    assert plain.listed == odd.listed
    (expected,), (session,) = plain.sessions, odd.sessions
    assert msgspec.structs.replace(session, extra=ABSENT) == msgspec.structs.replace(
        expected, extra=ABSENT
    )
    kept = session.extra.get(where, {}) if where else session.extra
    assert kept["unheard_of"] == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*RECORD, "new"]), anything))
def test_whatever_a_record_holds_it_is_stored_or_set_aside(odd: dict[str, Any]) -> None:
    page = decoded_leniently(odd)

    whole = [bad for bad in page.rejected if not bad.is_partial]
    assert len(page.sessions) + len(whole) == len(page.listed) == 2
    for bad in page.rejected:
        json.loads(bad.payload)


def decoded_leniently(odd: dict[str, Any]) -> Page:
    text = json.dumps({"sessions": [odd, RECORD]}, ensure_ascii=False)
    if any(word in text for word in ("NaN", "Infinity")):
        text = json.dumps({"sessions": [{}, RECORD]})
    return decode_page(text.encode(errors="replace"), AGENT)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.integers(0, 400))
def test_any_bytes_are_a_page_or_malformed(data: bytes | int) -> None:
    content = data if isinstance(data, bytes) else body(RECORD, RECORD)[:data]

    try:
        decode_page(content, AGENT)
    except Malformed:
        return
