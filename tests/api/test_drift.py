"""Fields that change their form: read where there is no doubt, else noted and left as they were."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.api.decoding.sessions import decode_page, decode_retrieved
from etl.api.decoding.values import parse_instant, read_count, read_instant, read_number
from etl.models import ABSENT, Creator, Page, Session, list_unread_fields
from tests.api.test_wire import AGENT, CREATED, PERSON, RECORD, USAGE, body, record

CREATED_AT = int(CREATED.timestamp())


def decoded(*records: Any) -> Page:
    return decode_page(body(*records), AGENT)


def normal() -> Session:
    (session,) = decoded(RECORD).sessions
    return session


def usage(**changes: Any) -> dict[str, Any]:
    return record(usage={**USAGE, **changes})


READABLE = {
    "credits in a string": usage(credit_cost="12.5"),
    "credits in a padded string": usage(credit_cost=" 1.25e1 "),
    "all numbers in strings": record(usage={key: str(value) for key, value in USAGE.items()}),
    "tokens as a float": usage(input_tokens=18432.0),
    "seconds": record(created_at=CREATED_AT),
    "seconds in a string": record(created_at=str(CREATED_AT)),
    "seconds with a fraction": record(created_at=float(CREATED_AT)),
    "milliseconds": record(created_at=CREATED_AT * 1000),
    "milliseconds in a string": record(created_at=f"{CREATED_AT}000.0"),
    "a padded timestamp": record(created_at=" 2026-05-15T14:32:00Z "),
}


@pytest.mark.parametrize("case", READABLE)
def test_what_is_unambiguous_is_read(case: str) -> None:
    page = decoded(READABLE[case])

    assert page.sessions == [normal()]
    assert page.rejected == []
    assert page.listed == decoded(RECORD).listed


def test_an_id_in_place_of_a_creator_names_them() -> None:
    page = decoded(record(creator=PERSON["id"]))

    assert page.sessions == [normal()]
    assert page.creators == [Creator("user_2b9d71f0")]
    assert page.rejected == []


def test_what_is_read_leniently_keeps_its_unknown_keys() -> None:
    drifted = record(creator="u", usage={**USAGE, "credit_cost": "7", "gpu": 1}, new=[1])

    (session,) = decoded(drifted).sessions

    assert session.extra == {"usage": {"gpu": 1}, "new": [1]}


UNREADABLE = {
    "name": (record(name=7), {"name"}),
    "type": (record(type=["api"]), {"type"}),
    "state": (record(state=True), {"state"}),
    "agent_id": (record(agent_id=1), set()),
    "agent_name": (record(agent_name={}), set()),
    "created_at": (record(created_at=True), {"created_at"}),
    "creator": (record(creator=[PERSON]), {"creator_id"}),
    "creator.id": (record(creator={"id": 1}), {"creator_id"}),
    "usage": (record(usage=[]), set(USAGE)),
    "usage.input_tokens": (usage(input_tokens=1.5), {"input_tokens"}),
    "usage.output_tokens": (usage(output_tokens=2**63), {"output_tokens"}),
    "usage.reasoning_tokens": (usage(reasoning_tokens=""), {"reasoning_tokens"}),
    "usage.credit_cost": (usage(credit_cost=True), {"credit_cost"}),
    "usage.flow_credit_cost": (usage(flow_credit_cost="1,5"), {"flow_credit_cost"}),
}  # fmt: skip


@pytest.mark.parametrize("field", UNREADABLE)
def test_a_field_that_cannot_be_read_counts_as_absent_and_is_noted(field: str) -> None:
    bad, columns = UNREADABLE[field]

    page = decoded(record(id="first"), bad, record(id="last"))

    absent = dict.fromkeys(columns, ABSENT)
    assert page.sessions[1] == msgspec.structs.replace(normal(), **absent)
    assert [session.id for session in page.sessions] == ["first", RECORD["id"], "last"]
    (note,) = page.rejected
    assert (note.id, list_unread_fields(note.reason)) == (RECORD["id"], [field])
    value: Any = bad
    for key in field.split("."):
        value = value[key]
    assert sent(note.payload, field) == value


def sent(payload: str, field: str) -> Any:
    value = json.loads(payload)
    for key in field.split("."):
        value = value[key]
    return value


BARE = ["", "Ada Lovelace", "ada@example.com", "x" * 2001, 7, [], True]


@pytest.mark.parametrize("value", BARE)
def test_a_creator_that_may_be_a_name_is_no_id(value: Any) -> None:
    page = decoded(record(creator=value))

    assert page.sessions[0].creator_id is ABSENT
    assert page.creators == []
    assert list_unread_fields(page.rejected[0].reason) == ["creator"]


def test_a_creator_is_kept_but_for_the_field_that_cannot_be_read() -> None:
    page = decoded(record(creator={**PERSON, "email": 1}))

    assert page.creators == [Creator("user_2b9d71f0", "Ada", "Lovelace")]
    assert page.sessions == [normal()]
    assert json.loads(page.rejected[0].payload) == {"id": RECORD["id"], "creator": {"email": 1}}


def test_several_fields_are_noted_together_without_their_values() -> None:
    (note,) = decoded(record(name=7, created_at="soon", usage={"credit_cost": "much"})).rejected

    assert note.is_partial
    assert note.reason == (
        "stored without `$.name` (not a text), `$.created_at` (not a timestamp), "
        "`$.usage.credit_cost` (not a number)"
    )
    assert json.loads(note.payload) == {
        "id": RECORD["id"],
        "name": 7,
        "created_at": "soon",
        "usage": {"credit_cost": "much"},
    }


def test_a_retrieve_is_read_leniently_too() -> None:
    answer = {"id": "x", "usage": {"credit_cost": "2.5"}, "state": 7}

    found = decode_retrieved(json.dumps({"session": answer}).encode(), "x", AGENT)

    assert found.sessions == [Session("x", AGENT, credit_cost=2.5)]
    assert [list_unread_fields(bad.reason) for bad in found.rejected] == [["state"]]


NO_INSTANTS = [
    0,
    1,
    -1,
    999_999_999,
    10**10,
    10**12 - 1,
    10**13,
    1778855520000000,
    20260515143200,
    "20260515",
    True,
    None,
    [],
    {},
    "",
    math.nan,
    math.inf,
    "NaN",
    "1_778_855_520",
    "٣" * 10,
]


@pytest.mark.parametrize("value", NO_INSTANTS)
def test_a_number_that_fits_neither_unit_is_no_instant(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_instant(value)


@given(st.integers(10**9, 10**10 - 1), st.integers(0, 999))
def test_seconds_and_milliseconds_are_the_same_instant(seconds: int, milliseconds: int) -> None:
    expected = datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=milliseconds)

    assert read_instant(seconds * 1000 + milliseconds) == expected
    assert read_instant(f"{seconds}.{milliseconds:03}") == expected
    assert read_instant(seconds + milliseconds / 1000) - expected < timedelta(microseconds=2)
    assert read_instant(expected.isoformat()) == expected == parse_instant(expected.isoformat())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_string_is_the_number(number: float) -> None:
    assert read_number(repr(number)) == read_number(number) == number


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_count_in_a_string_is_the_count(count: int) -> None:
    assert read_count(str(count)) == read_count(count) == count


NO_NUMBERS = [True, None, "", "-", "1e999", "inf", "nan", "0x10", "1 2", "1,5", "٣", [], 10**400]


@pytest.mark.parametrize("value", [*NO_NUMBERS, "9" * 41])
def test_what_is_no_finite_number_is_not_read(value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_number(value)
    with pytest.raises((ValueError, OverflowError)):
        read_count(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
places = st.sampled_from(["name", "type", "state", "created_at", "creator", "usage", "new"])


@given(st.dictionaries(places, anything, min_size=1))
def test_every_field_is_stored_or_noted_whatever_the_others_are(odd: dict[str, Any]) -> None:
    """NaN and Infinity among them, as Python writes them."""
    page = decoded(record(**odd))

    (session,) = page.sessions
    for name, value in RECORD.items():
        if name not in odd and name in Session.__struct_fields__ and name != "created_at":
            assert getattr(session, name) == value
    noted = {key for note in page.rejected for key in json.loads(note.payload)} - {"id"}
    assert noted <= odd.keys()
