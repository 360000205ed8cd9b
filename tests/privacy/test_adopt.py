"""Rules that have changed are applied to what is stored; saves by other rules are refused."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from etl.clock import utc_now
from etl.errors import StoreError
from etl.models import Rejected, Session
from etl.privacy import Rules
from etl.store.privacy.rules_change import apply_rules_change
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.privacy.people import (
    ADA,
    ADDRESS,
    AGENT,
    CREATORS,
    FIRST,
    PICTURE,
    REJECTED,
    SAID,
    SECRET,
    begin,
    everything,
    plant,
    response,
    rows,
    save,
    say,
)

DROP, HASH = Rules("drop", "drop"), Rules("hash", "hash", b"a secret salt of ours")
HIDDEN = (ADDRESS, ADDRESS.lower(), PICTURE, "bob@example.com", "Jones")
c = t.creators.c


@contextmanager
def ruled(store: Store, rules: Rules) -> Iterator[Store]:
    """The same database as a process with these rules has it."""
    with closing(Store(store.url, utc_now, rules)) as opened:
        apply_rules_change(opened)
        yield opened


def shown(store: Store) -> list[str]:
    """What is hidden and yet stored; the first name is in a message and in an unknown field too."""
    text = everything(store)
    return [one for one in HIDDEN if one in text]


@pytest.mark.parametrize("rules", [DROP, HASH], ids=["drop", "hash"])
def test_rules_hold_from_the_first_row_on(store: Store, rules: Rules) -> None:
    with ruled(store, rules) as opened:
        run = plant(opened)

        assert shown(store) == []
        assert f"I, {FIRST}, say {SECRET}" in everything(store), "messages are people's own words"
        [(first, email, picture)] = rows(
            store, select(c.first_name, c.email, c.profile_picture).where(c.id == ADA)
        )
        assert (first, email, picture) == (
            rules.redact_name(FIRST),
            rules.redact_email(ADDRESS),
            None,
        )
        before = everything(store).replace(f"'{run.id}'", "")
        counts = save(opened, run, response(10, rejected=[]))
        assert (counts.inserted, counts.updated) == (0, 0)
        assert say(opened, run) == [False, False]
        assert [one for one in everything(store).splitlines() if "creators:" in one] == [
            one for one in before.splitlines() if "creators:" in one
        ]


@pytest.mark.parametrize("rules", [DROP, HASH], ids=["drop", "hash"])
def test_rules_that_come_later_treat_what_is_stored_just_as_well(
    store: Store, rules: Rules
) -> None:
    run = plant(store)
    assert len(shown(store)) >= 4

    with ruled(store, rules) as opened:
        assert shown(store) == []
        assert not apply_rules_change(opened), "once is enough"
        assert save(opened, run, response(10)).updated == 0
        assert save(opened, run, response(20)).updated == 0
        found = rows(store, select(c.email, c.first_name).order_by(c.id))
        assert found == [
            (rules.redact_email(one.email), rules.redact_name(one.first_name))
            for one in sorted(CREATORS, key=lambda one: one.id)
        ]
    assert len(rows(store, select(t.rejected_records.c.id))) == len(REJECTED)
    assert len(rows(store, select(t.session_messages.c.number))) == sum(map(len, SAID.values()))


def test_what_can_not_be_undone_comes_again_from_the_api(store: Store) -> None:
    emails = select(c.email).order_by(c.id)
    with ruled(store, HASH) as opened:
        plant(opened)
    with ruled(store, Rules()) as opened:
        assert rows(store, emails) == [(None,), (None,)]
        save(opened, begin_again(opened), response(10))
    assert rows(store, emails) == [("bob@example.com",), (ADDRESS,)]
    with ruled(store, HASH):
        assert rows(store, emails) == [
            (HASH.redact_email("bob@example.com"),),
            (HASH.redact_email(ADDRESS),),
        ]
    with ruled(store, Rules("hash", "drop", b"another salt of ours")) as opened:
        assert rows(store, emails) == [(None,), (None,)]
        save(opened, begin_again(opened), response(20))
        assert rows(store, emails)[1] == (opened.rules.redact_email(ADDRESS),)


def begin_again(store: Store) -> Any:
    """A run, whoever held the lease."""
    with store.engine.begin() as connection:
        connection.execute(t.sync_state.update().values(lease_holder=None))
    return begin(store)


def test_a_process_with_other_rules_can_not_save(store: Store) -> None:
    run = plant(store)
    with ruled(store, DROP) as opened:
        before = everything(store)
        for attempt in (lambda: save(store, run, response(10)), lambda: say(store, run)):
            with pytest.raises(StoreError, match=r"changed \[privacy\]"):
                attempt()
        assert everything(store).count(ADDRESS) == 0
        assert [one for one in everything(store).splitlines() if "sessions:" in one] == [
            one for one in before.splitlines() if "sessions:" in one
        ]
        save(opened, run, response(10))


def test_payloads_that_become_the_same_are_kept_once(store: Store) -> None:
    run = begin(store)
    twins = [Rejected(f'{{"id": "b", "email": "{n}@x.org"}}', "bad", "b") for n in range(3)]
    save(store, run, response(sessions=[], creators=[], rejected=twins))

    with ruled(store, DROP) as opened:
        assert len(rows(store, select(t.rejected_records.c.id))) == 1
        save(opened, run, response(10, sessions=[], creators=[], rejected=twins))
        assert len(rows(store, select(t.rejected_records.c.id))) == 1


def test_more_rows_than_are_looked_at_at_once(store: Store) -> None:
    run = begin(store)
    many = [Session(f"s{n}", AGENT, name=f"Mail of {n}@x.org") for n in range(1203)]
    save(store, run, response(sessions=many, creators=[], rejected=[]))

    with ruled(store, DROP):
        names = rows(store, select(t.sessions.c.name).distinct())
    assert names == [("Mail of ***",)]
