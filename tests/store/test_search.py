"""Search: the same on both databases, whatever is looked for; its index follows every change."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from etl.api.decoding.transcripts import LONGEST_SEARCHED
from etl.clock import utc_now
from etl.errors import StoreError
from etl.models import Message
from etl.planning.search_terms import parse_phrases
from etl.store.privacy.delete_messages import (
    compact_search,
    delete_messages_of,
    delete_transcripts_of,
)
from etl.store.read.search import search
from etl.store.runs.lease import Lease
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.store.write.transcripts import Due, count_transcripts, save_transcript
from tests.support.postgres import Cluster

AT = datetime(2026, 1, 1, tzinfo=UTC)


def plant(store: Store, *sessions: str, agent: str = "agent") -> Lease:
    """An agent with these sessions."""
    lease = store.claim(agent, agent.title())
    assert isinstance(lease, Lease)
    times = {"first_seen_at": AT, "updated_at": AT, "as_of": AT}
    rows = [
        {"id": id, "agent_id": agent, "name": id.title(), "created_at": AT, **times}
        for id in sessions
    ]
    with store.engine.begin() as connection:
        connection.execute(t.sessions.insert(), rows)
    return lease


def say(store: Store, lease: Lease, session: str, *said: Message | str) -> bool:
    """Let these be the messages of a session."""
    messages = [
        one if isinstance(one, Message) else Message(place, content=one)
        for place, one in enumerate(said)
    ]
    return save_transcript(store, lease, Due(session, AT), messages, AT)


def found(store: Store, *words: str, **options: object) -> list[tuple[str, int]]:
    """The messages that a search finds, by session and place."""
    with store.connect() as connection:
        hits = search(connection, parse_phrases(words), 1000, **options)  # type: ignore[arg-type]
    return [(hit.session_id, hit.position) for hit in hits]


TEXTS = (
    "A refund's late",
    "refund by CREDIT card",
    "credit: the card",
    "Ёлка, ЁЖ",
    "foo-bar_3.14",
)

QUERIES = {
    ("refund",): {0, 1},
    ("REFUND", "card"): {1},
    ("credit card",): {1},
    ('"credit the card"',): {2},
    ("card credit",): set(),
    ("card", "credit"): {1, 2},
    ("refun",): set(),
    ("ёлка",): {3},
    ("foo",): {4},
    ("bar 3",): {4},
    ("foo-bar",): {4},
    ("3.14",): {4},
    ("late", "ёж"): set(),
}


@pytest.mark.parametrize("words", QUERIES, ids=" ".join)
def test_whole_words_and_phrases_in_any_case(store: Store, words: tuple[str, ...]) -> None:
    say(store, plant(store, "s"), "s", *TEXTS)

    assert {place for _, place in found(store, *words)} == QUERIES[words]


def test_agents_and_dates_bound_it_and_the_newest_come_first(store: Store) -> None:
    first, second = plant(store, "a", "b"), plant(store, "c", agent="other")
    say(store, first, "a", Message(0, content="x", created_at=AT - timedelta(days=2)))
    say(store, first, "b", Message(0, content="x", created_at=AT + timedelta(days=2)), "x")
    say(store, second, "c", Message(0, content="x", created_at=AT + timedelta(days=1)))

    assert found(store, "x") == [("b", 0), ("c", 0), ("b", 1), ("a", 0)]
    assert found(store, "x", agent_ids=["other"]) == [("c", 0)]
    assert found(store, "x", since=AT) == [("b", 0), ("c", 0), ("b", 1)]
    with store.connect() as connection:
        hit = search(connection, ["x"], 1)[0]
    assert hit[:6] == (AT + timedelta(days=2), "agent", "Agent", "b", "B", 0)


def test_the_texts_of_parts_are_found_where_there_is_no_content(store: Store) -> None:
    lease = plant(store, "s")
    say(store, lease, "s", Message(0, parts="[]", search_text="hidden words"), "plain words")

    assert found(store, "hidden") == [("s", 0)]
    assert found(store, "words") == [("s", 0), ("s", 1)]


# -- hostile words --------------------------------------------------------------------------------

HOSTILE = [
    "*",
    '"',
    '""',
    "'",
    "a'b",
    'a"b',
    "(a",
    "a OR b",
    "NOT a",
    "NEAR(a b, 2)",
    "text:a",
    "a^2",
    "-a",
    "a AND",
    "{a}",
    "a:*",
    "a & !b | <->",
    "\\",
    "%s",
    ":words",
    "a\0b",
    "\udcff",
    "½",
    "🄰",
    "\u0301",
    "; DROP TABLE sessions; --",
    "a" * 500,
    " ".join("ab" * 80),
    "𠀀" * 500,
]


@pytest.fixture(scope="module")
def both(
    postgres: Cluster, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, Store]]:
    """One database of each kind, with one session."""
    file: Path = tmp_path_factory.mktemp("both") / "test.db"
    url = postgres.fresh(postgres_template)
    with closing(Store(f"sqlite:///{file}", utc_now)) as one, closing(Store(url, utc_now)) as other:
        migrate.upgrade(one.engine)
        yield one, other
    postgres.drop(url)


@pytest.fixture(scope="module")
def leases(both: tuple[Store, Store]) -> list[Lease]:
    return [plant(store, "s") for store in both]


@pytest.mark.parametrize("words", HOSTILE, ids=lambda words: repr(words)[:30])
def test_no_words_are_an_error(both: tuple[Store, Store], leases: list[Lease], words: str) -> None:
    for store, lease in zip(both, leases, strict=True):
        say(store, lease, "s", "a b", "ab")

    ours, theirs = (found(store, words) if parse_phrases([words]) else [] for store in both)
    assert ours == theirs


letters = st.sampled_from("aAbB1éÉЖж日本'\"-_.:/@#*()&|!<>\\^~%$, \n\t\u2013“”…")
anything = st.characters(exclude_categories=("Cs",))


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.text(letters, max_size=15), min_size=1, max_size=6),
    st.lists(st.text(letters, max_size=6), min_size=1, max_size=3),
)
@example(["a.b@1/b", "b-1_a", "1e-1", "1.b"], ["1.b"])
def test_both_databases_find_the_same(
    both: tuple[Store, Store], leases: list[Lease], texts: list[str], words: list[str]
) -> None:
    for store, lease in zip(both, leases, strict=True):
        say(store, lease, "s", *texts)
    if parse_phrases(words):
        ours, theirs = (found(store, *words) for store in both)

        assert ours == theirs
    for place, said in enumerate(texts):
        if parse_phrases([said]):
            for store in both:
                assert ("s", place) in found(store, said)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.text(anything, max_size=12), min_size=1, max_size=4))
def test_any_unicode_can_be_stored_and_looked_for(
    both: tuple[Store, Store], leases: list[Lease], texts: list[str]
) -> None:
    for store, lease in zip(both, leases, strict=True):
        say(store, lease, "s", *(text.replace("\0", " ") for text in texts))
        if parse_phrases(texts):
            found(store, *texts)


@pytest.mark.parametrize("letter", ["", "𠀀", "Ⱥ", "é", "\u2010"])
def test_the_longest_text_that_is_indexed_fits(
    both: tuple[Store, Store], leases: list[Lease], letter: str
) -> None:
    words = (letter + chr(0x20000 + n % 0xA000) for n in range(LONGEST_SEARCHED))
    said = " ".join(words)[: LONGEST_SEARCHED - 4] + " end"
    for store, lease in zip(both, leases, strict=True):
        say(store, lease, "s", Message(0, search_text=said))
        assert found(store, "end") == [("s", 0)]


# -- in step --------------------------------------------------------------------------------------


def index_holds(store: Store, word: str) -> bool:
    """Whether a word is in the index at all, wherever it leads."""
    with store.connect() as connection:
        if store.engine.dialect.name == "postgresql":
            query = "SELECT count(*) FROM session_messages WHERE words @@ to_tsquery('simple', :w)"
        else:
            query = "SELECT count(*) FROM message_search WHERE message_search MATCH :w"
        return bool(connection.execute(text(query), {"w": word}).scalar())


def test_the_index_follows_every_change(store: Store) -> None:
    lease = plant(store, "s", "z")
    m = t.session_messages
    say(store, lease, "z", "stays")
    say(store, lease, "s", "one", "two")
    say(store, lease, "s", "two", "three")
    assert [index_holds(store, w) for w in ("one", "two", "three", "stays")] == [0, 1, 1, 1]

    with store.engine.begin() as connection:
        connection.execute(update(m).where(m.c.content == "two").values(content="four"))
    assert [index_holds(store, w) for w in ("two", "four")] == [0, 1]

    with store.engine.begin() as connection:
        connection.execute(delete(m).where(m.c.session_id == "s"))
    assert [index_holds(store, w) for w in ("three", "four", "stays")] == [0, 0, 1]
    assert found(store, "stays") == [("z", 0)]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_vacuum_leaves_the_index_right(store: Store) -> None:
    lease = plant(store, "s", "z")
    say(store, lease, "s", "gone", "gone too")
    say(store, lease, "z", "needle", "hay")
    with store.engine.begin() as connection:
        delete_transcripts_of(connection, ["s"])
    raw = store.engine.raw_connection()
    raw.driver_connection.execute("VACUUM")  # type: ignore[union-attr]
    raw.close()

    assert found(store, "needle") == [("z", 0)]
    assert found(store, "hay") == [("z", 1)]
    say(store, lease, "z", "hay")
    assert found(store, "needle") == []


def test_what_is_forgotten_is_gone_and_does_not_come_back(store: Store) -> None:
    lease = plant(store, "s", "z")
    say(store, lease, "s", "secret", "secret too")
    say(store, lease, "z", "public")

    with store.engine.begin() as connection:
        assert delete_messages_of(connection, ["s"]) == 2
        compact_search(connection)
        assert count_transcripts(connection, "agent", AT) == (1, 0, 0)

    assert (found(store, "secret"), index_holds(store, "secret")) == ([], False)
    assert found(store, "public") == [("z", 0)]
    assert say(store, lease, "s", "secret", "secret too"), "the same answer is written again"


def test_a_session_can_be_deleted_once_its_transcript_is_forgotten(store: Store) -> None:
    lease = plant(store, *(f"s{number}" for number in range(1200)))
    say(store, lease, "s7", "secret")
    say(store, lease, "s1199", "secret")
    with store.engine.begin() as connection:
        ids = list(connection.execute(select(t.sessions.c.id)).scalars())

        assert delete_transcripts_of(connection, ids) == 2
        connection.execute(delete(t.sessions))

    assert not index_holds(store, "secret")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_forgotten_words_leave_sqlites_file(store: Store) -> None:
    lease = plant(store, "s", "z")
    say(store, lease, "s", "xylophone")
    say(store, lease, "z", "public")
    with store.engine.begin() as connection:
        delete_transcripts_of(connection, ["s"])
        compact_search(connection)
    raw = store.engine.raw_connection()
    raw.driver_connection.execute("VACUUM")  # type: ignore[union-attr]
    raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    raw.close()

    assert not re.search(b"xylophone", Path(store.engine.url.database or "").read_bytes())


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_without_fts5_transcripts_are_stored_and_search_says_why_it_cannot(store: Store) -> None:
    with store.engine.begin() as connection:
        for event in ("insert", "delete", "update"):
            connection.execute(text(f"DROP TRIGGER session_messages_{event}"))
        connection.execute(text("DROP TABLE message_search"))

    say(store, plant(store, "s"), "s", "words")

    with pytest.raises(StoreError, match="FTS5"):
        found(store, "words")
    with store.engine.begin() as connection:
        compact_search(connection)
