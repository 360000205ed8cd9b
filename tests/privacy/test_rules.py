"""The rules of privacy: what may be stored of a person, and what tells of one."""

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.api.decoding.sessions import decode_page
from etl.config import Privacy
from etl.errors import ConfigError
from etl.models import ABSENT, Creator, Message, Rejected, Session
from etl.privacy import (
    ALL_KEPT,
    Rules,
    change,
    empty_message,
    find_mentions,
    list_mentions,
    make_anonymous,
    make_pseudonym,
    make_rules,
    reduce_rejected,
)

SALT = "a salt of thirty-two characters."
TREATMENTS = ("keep", "hash", "drop")
EVERY = [Rules(e, n, SALT.encode()) for e, n in product(TREATMENTS, TREATMENTS)]
ADDRESS, FIRST, LAST = "Ada.Needle@Example.com", "Adanäme", "Lovelastname"
PICTURE = "https://img.example.com/adapicture.png"
CREATOR = {"id": "u1", "email": ADDRESS, "first_name": FIRST, "last_name": LAST}
RECORDS: list[Any] = [
    {"id": "s", "creator": CREATOR | {"profile_picture": PICTURE}},
    {"id": "s", "creator": {"id": None, "phone": FIRST, "more": {"nick": LAST}}},
    {"creators": [CREATOR, FIRST], "owner": ADDRESS},
    {"userName": FIRST, "user_email": ADDRESS, "EMAIL": ADDRESS, "avatar_url": PICTURE},
    {"deep": [[{"x": {"author": {"full_name": f"{FIRST} {LAST}"}}}]]},
]


def hidden(rules: Rules) -> list[str]:
    """What may not be found in what was treated."""
    emails = [] if rules.emails == "keep" else [ADDRESS, ADDRESS.lower()]
    names = [] if rules.names == "keep" else [FIRST, LAST, PICTURE]
    return emails + names


def found(rules: Rules, text: str) -> list[str]:
    return [one for one in hidden(rules) if one in text]


@pytest.mark.parametrize("rules", EVERY, ids=lambda rules: rules.mark[:9])
@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_no_address_and_no_name_is_left_where_it_may_not_be(rules: Rules, record: Any) -> None:
    text = json.dumps(record, ensure_ascii=False)

    session = rules.redact_session(Session("s", "a", name=f"Mail of {ADDRESS},", extra=record))
    message = rules.redact_message(Message(0, content="own words", extra=text))
    bad = rules.redact_rejected(Rejected(text, f"not a date: '{ADDRESS}'", "s"))

    told = json.dumps([session.extra, session.name], ensure_ascii=False)
    assert found(rules, told) == []
    assert found(rules, f"{message.extra} {bad.payload} {bad.reason}") == []
    if not rules.on:
        assert (session.extra, message.extra, bad.payload) == (record, text, text)


@pytest.mark.parametrize("rules", EVERY, ids=lambda rules: rules.mark[:9])
def test_a_creator_keeps_the_id_and_what_is_kept(rules: Rules) -> None:
    creator = rules.redact_creator(Creator("u1", FIRST, LAST, ADDRESS, PICTURE))

    assert creator.id == "u1"
    kept = {"keep": FIRST, "hash": rules.redact_name(FIRST), "drop": None}
    assert creator.first_name == kept[rules.names]
    assert creator.profile_picture == (PICTURE if rules.names == "keep" else None)
    assert (creator.email == ADDRESS) == (rules.emails == "keep")
    assert (creator.email is None) == (rules.emails == "drop")
    assert rules.redact_creator(Creator("u1")) == Creator("u1")


def test_the_hash_is_hmac_sha256_of_the_address_in_small() -> None:
    rules = Rules("hash", "hash", b"0123456789abcdef")

    # printf %s ada@example.com | openssl dgst -sha256 -hmac 0123456789abcdef
    known = "512383176ce1b4c279ee430548cf07ec0b58efa588517b611c1f0da6d2b9e577"
    assert rules.redact_email("ada@example.com") == known
    assert rules.redact_email(" Ada@EXAMPLE.com\n") == rules.redact_email("ada@example.com")
    assert rules.redact_name("Ada") != rules.redact_name("ada")
    assert rules.redact_email("ada@example.com") != Rules("hash", salt=b"another").redact_email(
        "ada@example.com"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(ADDRESS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["creator", "email", "first_name", "id", "x"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(value=JSON, rules=st.sampled_from(EVERY))
@example(value={"creator": {"id": "a@b.c"}}, rules=EVERY[4])
def test_treating_never_fails_and_keeps_every_value_of_rules_that_keep(
    value: Any, rules: Rules
) -> None:
    treated = rules.redact_value(value)

    assert treated == rules.redact_value(value)
    if not rules.on:
        assert treated == value
    elif rules.emails != "keep":
        assert ADDRESS not in json.dumps(treated)


@given(value=JSON)
def test_what_was_dropped_once_is_not_changed_again(value: Any) -> None:
    rules = Rules("drop", "drop")

    assert rules.redact_value(rules.redact_value(value)) == rules.redact_value(value)


@given(text=st.text())
def test_any_payload_is_treated_or_known_by_its_digest_alone(text: str) -> None:
    payload = Rules("drop", "drop").redact_rejected(Rejected(text, "bad")).payload

    json.loads(payload)
    assert Rules("drop", "drop").redact_rejected(Rejected(payload, "bad")).payload == payload


@pytest.mark.parametrize("text", [f'{{"email": "{ADDRESS}"', ADDRESS, "[" * 100_000, '"\\ud800"'])
def test_a_payload_that_is_no_json_is_not_stored(text: str) -> None:
    payload = Rules("hash", salt=b"x").redact_rejected(Rejected(text, "bad")).payload

    assert list(json.loads(payload)) == ["sha256"]


def test_extra_that_is_nested_too_deeply_is_left_out() -> None:
    deep: Any = ADDRESS
    for _ in range(900):
        deep = [deep]

    extra = Rules("drop").redact_session(Session("s", "a", extra={"x": deep})).extra

    assert extra is ABSENT or ADDRESS not in json.dumps(extra)


@pytest.mark.parametrize("old", EVERY, ids=lambda rules: rules.mark[:9])
@pytest.mark.parametrize("new", EVERY, ids=lambda rules: rules.mark[:9])
def test_a_change_leaves_what_the_new_rules_allow_or_nothing(old: Rules, new: Rules) -> None:
    before = Creator("u1", FIRST, LAST, ADDRESS, PICTURE)

    after = change(old.mark, new).redact_creator(old.redact_creator(before))

    allowed = new.redact_creator(before)
    assert after.email in (allowed.email, None)
    assert after.first_name in (allowed.first_name, None)
    assert after.profile_picture in (allowed.profile_picture, None)
    if old.mark == ALL_KEPT or old.mark == new.mark:
        assert after == allowed


def test_hashes_of_another_salt_are_dropped() -> None:
    old, new = Rules("hash", "hash", b"one"), Rules("hash", "hash", b"two")

    assert change(old.mark, new).redact_creator(
        old.redact_creator(Creator("u", FIRST, email=ADDRESS))
    ) == (Creator("u"))


def test_the_salt_is_asked_for_and_never_shown() -> None:
    for emails, names in (("hash", "keep"), ("keep", "hash")):
        with pytest.raises(ConfigError, match="ETL_PRIVACY_SALT"):
            make_rules(Privacy(emails, names), None)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="shorter than 16") as error:
            make_rules(Privacy(emails, names), "fifteen-chars-x")  # type: ignore[arg-type]
        assert "fifteen" not in str(error.value)
    assert make_rules(Privacy("drop", "keep"), None) == Rules("drop")
    rules = make_rules(Privacy("hash", "keep"), SALT)
    assert SALT not in f"{rules!r} {rules.mark}"


@given(value=JSON)
def test_every_address_in_a_value_is_mentioned_in_small(value: Any) -> None:
    text = json.dumps({"a": value, "b": [f"<{ADDRESS}>, to whom"]})

    assert ADDRESS.lower() in find_mentions(text)
    assert list_mentions(json.loads(text)) == find_mentions(text)
    assert ADDRESS.lower() in find_mentions(text[:-1]), "also where it is no JSON"


def test_nobody_is_left_in_what_is_made_anonymous() -> None:
    whole = Session("s", "a", "u1", "Title", "api", "idle", credit_cost=1.5, extra={"x": 1})

    left = make_anonymous(whole)

    assert (left.creator_id, left.name, left.extra) == (None, None, None)
    assert (left.id, left.type, left.state, left.credit_cost) == ("s", "api", "idle", 1.5)
    said = Message(3, "m", "user", "text", None, "u1", "[]", "{}", "text")
    assert empty_message(said) == Message(3, role="user")
    assert json.loads(reduce_rejected(Rejected('{"id": "s", "x": 1}', "bad", "s")).payload) == {
        "id": "s"
    }


@given(st.text(), st.text())
def test_pseudonyms_differ_by_person_and_by_database(one: str, other: str) -> None:
    assert (make_pseudonym("salt", one) == make_pseudonym("salt", other)) == (
        one.encode(errors="replace") == other.encode(errors="replace")
    )
    assert make_pseudonym("salt", one) != make_pseudonym("tlas", one)


@pytest.mark.parametrize(
    "record",
    [
        {"creator": "Ada Needle"},
        {"creator": ["Ada Needle", ADDRESS]},
        {"creator": {"id": 7, "first_name": "Ada", "email": ADDRESS}},
        {"creator": {"id": "u", "last_name": ["Needle"], "email": {"to": ADDRESS}}},
        {"name": ["Ada Needle", ADDRESS], "creator": [{"name": "Ada Needle"}]},
        {"usage": {"credit_cost": ADDRESS}},
    ],
)
def test_a_note_holds_nothing_of_people_that_the_rules_drop(record: dict[str, Any]) -> None:
    body = json.dumps({"sessions": [{"id": "s", **record}]}).encode()
    (note,) = decode_page(body, "a").rejected

    treated = Rules("drop", "drop").redact_rejected(note)

    assert treated.is_partial
    assert ADDRESS not in treated.payload + treated.reason
    told = json.loads(treated.payload).get("creator")
    assert "Ada" not in json.dumps(told)
    assert "Needle" not in json.dumps(told)


def test_a_repeated_key_hides_nothing() -> None:
    text = f'{{"id": "s", "email": "{ADDRESS}", "email": null}}'

    assert ADDRESS not in Rules("drop", "drop").redact_rejected(Rejected(text, "bad")).payload
    assert ADDRESS.lower() in find_mentions(text)
