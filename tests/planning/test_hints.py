"""Which cursors may be tried, and what a refusal tells of the others."""

import base64
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.models import Entry, Span
from etl.planning.walks.entries import HEAD, TAIL
from etl.planning.walks.hints import Hints, build_entry, is_built
from tests.planning import at

OLD = Entry("newest", "old", at(1), issued_at=at(100))
YOUNG = Entry("newest", "young", at(2), issued_at=at(200))
UNKNOWN = Entry("newest", "unknown", at(3))


def test_the_edges_of_coverage_and_the_bookmarks_may_lead_somewhere() -> None:
    below, above = Entry("newest", "b", at(5)), Entry("oldest", "a", at(6))
    own_end = Entry("newest", None, at(9))
    coverage = (Span(at(5), at(6), None, below, above), Span(at(8), at(9), None, own_end))

    assert Hints([OLD, below]).list_entries(coverage) == [below, above, OLD]
    assert Hints([OLD, below]).list_entries(coverage, in_use=[above]) == [below, OLD]


def test_a_bookmark_takes_the_place_of_one_amid_the_same_instant() -> None:
    hints = Hints([OLD, YOUNG])
    again, other_way = Entry("newest", "again", at(1)), Entry("oldest", "o", at(1))

    hints.add_bookmark(again)
    hints.add_bookmark(other_way)

    assert hints.bookmarks == [YOUNG, again, other_way]


def test_a_refused_cursor_takes_those_as_old_out_of_use() -> None:
    hints = Hints([OLD, YOUNG, UNKNOWN])

    hints.refuse_all_like(OLD)

    assert hints.list_entries(()) == [YOUNG]
    assert [hints.is_alive(one) for one in (OLD, YOUNG, UNKNOWN)] == [False, True, False]


def test_a_cursor_of_unknown_age_says_nothing_of_those_of_a_known_one() -> None:
    hints = Hints([OLD, YOUNG, UNKNOWN])

    hints.refuse_all_like(UNKNOWN)

    assert hints.list_entries(()) == [OLD, YOUNG]


def test_a_cursor_that_led_nowhere_says_nothing_of_the_others() -> None:
    hints = Hints([OLD, YOUNG])

    hints.refuse(YOUNG)

    assert hints.list_entries(()) == [OLD]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_no_refusal_brings_a_cursor_back(ages: list[int | None], data: st.DataObject) -> None:
    marks = [
        Entry("newest", str(n), at(n), None if age is None else at(age))
        for n, age in enumerate(ages)
    ]
    hints = Hints(list(marks))
    for refused in data.draw(st.lists(st.sampled_from(marks), max_size=4)):
        before = hints.list_entries(())
        hints.refuse_all_like(refused)
        after = hints.list_entries(())
        assert set(after) <= set(before) - {refused}
        assert all(one.issued_at and one.issued_at > (refused.issued_at or at(-1)) for one in after)


def test_the_first_cursor_of_an_earlier_run_goes_alone_until_it_has_told() -> None:
    own = Entry("newest", "own", at(4), issued_at=at(300))
    hints = Hints([OLD, YOUNG, UNKNOWN, own], started_at=at(250))

    assert hints.list_entries(()) == [OLD, YOUNG, UNKNOWN, own]
    assert hints.list_entries((), in_use=[YOUNG]) == [own], "this run's own need no trial"
    hints.confirm(YOUNG)
    assert hints.list_entries((), in_use=[YOUNG]) == [OLD, UNKNOWN, own]
    hints.refuse_all_like(OLD)
    assert hints.list_entries((), in_use=[YOUNG]) == [own], "and alone again after a refusal"


def test_a_built_cursor_has_the_documented_form() -> None:
    entry = build_entry(at(5))

    assert json.loads(base64.b64decode(entry.cursor or "")) == {
        "sort_value": "2026-01-01T00:00:05Z"
    }
    assert (entry.order, entry.at) == ("newest", at(5))
    assert is_built(entry)
    assert not any(map(is_built, (HEAD, TAIL, OLD)))


def test_the_first_built_cursor_goes_alone_until_it_has_told() -> None:
    hints = Hints()
    first = hints.build(at(5))
    assert first is not None

    assert hints.build(at(6), in_use=[first]) is None
    hints.confirm(first)
    assert hints.build(at(6), in_use=[first]) == build_entry(at(6))
    assert hints.build(at(5), in_use=[first]) is None, "never twice the same"


def test_one_that_was_dropped_without_an_answer_is_the_only_one_tried() -> None:
    hints = Hints()
    first = hints.build(at(5))
    assert first is not None
    hints.refuse(first)

    assert hints.build(at(6)) is None


def test_none_is_built_once_one_was_refused_or_where_none_may_be() -> None:
    refused, forbidden = Hints([OLD]), Hints(may_build=False)
    refused.refuse_all_like(build_entry(at(5)))

    assert refused.build(at(6)) is None
    assert refused.built_works is False
    assert refused.list_entries(()) == [OLD], "the server's own are not as the built one"
    assert forbidden.build(at(6)) is None


def test_a_cursor_of_the_server_says_nothing_of_built_ones() -> None:
    hints = Hints([OLD])

    hints.confirm(OLD)
    hints.refuse_all_like(OLD)

    assert hints.built_works is None
