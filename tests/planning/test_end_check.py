"""Whether a chain without a next cursor has reached the oldest session."""

import pytest
from hypothesis import given, settings

from etl.models import Listed
from etl.planning.walks.end_check import EndCheck, Verdict
from etl.planning.walks.entries import HEAD
from etl.planning.walks.walk import Walk
from tests.planning import Draws, Feed, Stroll, at, chance
from tests.planning.test_walk import WHOLE, page

BA = page(("b", 3), ("a", 1))


def checked(*pages: list[Listed]) -> EndCheck:
    check = EndCheck()
    for listed in pages:
        check.add_page(listed)
    return check


ROWS: dict[str, tuple[list[Listed], Verdict]] = {
    "the same row": (page(("a", 1)), "holds"),
    "an older row": (page(("z", 0)), "cut short"),
    "a later row, as the last one has vanished": (page(("b", 3)), "unsure"),
    "another row at the same instant": (page(("y", 1)), "cut short"),
    "an unreadable row at the same instant": ([Listed(None, at(1))], "holds"),
    "an unreadable older row": ([Listed(None, at(0))], "cut short"),
    "the same row, no longer dated": ([Listed("a", None)], "holds"),
    "another row without a date": ([Listed("y", None)], "unsure"),
    "a row without anything": ([Listed(None, None)], "unsure"),
    "no row at all": ([], "cut short"),
}


@pytest.mark.parametrize("case", ROWS)
def test_the_oldest_row_tells_whether_the_end_was_reached(case: str) -> None:
    oldest, verdict = ROWS[case]

    assert checked(BA).judge_row(oldest) == verdict
    assert checked(page(("b", 3)), page(("a", 1))).judge_row(oldest) == verdict


PAGES: dict[str, tuple[list[Listed], str | None, Verdict]] = {
    "it ascends from there": (page(("b", 3), ("c", 5)), "more", "holds"),
    "it is the whole list": (page(("b", 3)), None, "holds"),
    "it shows no order": (page(("b", 3), ("c", 3)), "more", "cut short"),
    "it descends": (page(("c", 5), ("b", 3)), "more", "cut short"),
    "it ascends and descends": (page(("b", 3), ("d", 7), ("c", 5)), "more", "cut short"),
    "it has an older row": (page(("z", 0), ("c", 5)), None, "cut short"),
    "nothing of it can be read": ([Listed("y", None)], None, "cut short"),
    "it is empty": ([], None, "cut short"),
}


@pytest.mark.parametrize("case", PAGES)
def test_a_page_in_doubt_must_show_its_order_or_be_the_whole_list(case: str) -> None:
    listed, next_cursor, verdict = PAGES[case]

    assert checked(BA).judge_page(listed, next_cursor) == verdict


def test_ties_at_the_oldest_instant_are_all_known() -> None:
    check = checked(page(("c", 3), ("b", 1)), page(("a", 1)))

    assert check.judge_row(page(("b", 1))) == check.judge_row(page(("a", 1))) == "holds"
    assert check.judge_row(page(("c", 3))) == "unsure"


def test_an_empty_list_has_an_empty_end() -> None:
    assert checked().judge_row([]) == "holds"
    assert checked([]).judge_row([]) == "holds"


def test_an_empty_walk_does_not_reach_the_end_of_a_list_with_rows() -> None:
    assert checked([]).judge_row(page(("a", 1))) == "cut short"


@pytest.mark.parametrize("last", [[Listed(None, None)], [*BA, Listed(None, None)]])
def test_a_last_row_without_anything_readable_may_be_another(last: list[Listed]) -> None:
    check = checked(BA, last)

    assert check.judge_row([Listed(None, None)]) == "unsure"
    assert check.judge_page([Listed(None, None), *BA[::-1]], "more") == "holds"
    assert check.judge_page([Listed(None, None), BA[-1]], "more") == "holds"
    assert check.judge_page([Listed(None, None)], "more") == "holds"
    assert check.judge_page([Listed("y", None)], "more") == "cut short"
    assert check.judge_page([Listed(None, None), *page(("z", 0))], "more") == "cut short"


def test_where_nothing_at_all_can_be_read_there_is_no_other() -> None:
    assert checked([Listed(None, None)]).judge_row([Listed(None, None)]) == "holds"


INSTANTS: dict[str, tuple[list[Listed], str | None, Verdict]] = {
    "it is the whole list": (page(("a", 1), ("b", 1)), None, "holds"),
    "it is the whole list, and new ones": (page(("b", 1), ("a", 1), ("n", 9)), None, "holds"),
    "there are more": (page(("a", 1), ("b", 1)), "more", "unsure"),
    "another row at the instant": (page(("a", 1), ("y", 1)), None, "cut short"),
    "an unreadable row at the instant": ([Listed(None, at(1))], None, "holds"),
    "an older row": (page(("z", 0), ("a", 1)), None, "cut short"),
    "it is empty": ([], None, "cut short"),
}


@pytest.mark.parametrize("case", INSTANTS)
def test_of_one_instant_the_list_must_come_out_alike_in_either_order(case: str) -> None:
    listed, next_cursor, verdict = INSTANTS[case]
    check = checked(page(("b", 1), ("a", 1)))

    assert check.is_of_one_instant
    assert check.judge_instant(listed, next_cursor) == verdict


AGAIN: dict[str, tuple[list[Listed], str | None, Verdict]] = {
    "the same page is the last again": (page(("a", 1)), None, "holds"),
    "the same page goes on": (page(("a", 1)), "more", "cut short"),
    "it was cut short itself": (page(("a", 1), ("z", 1)), None, "cut short"),
    "the first page, as the cursor is used up": (page(("b", 1)), "more", "holds"),
    "the first page, with new ones": (page(("n", 9), ("b", 1)), "more", "holds"),
    "an empty page, as its row has vanished": ([], None, "holds"),
}


@pytest.mark.parametrize("case", AGAIN)
def test_of_one_instant_the_last_page_must_not_go_on_when_requested_again(case: str) -> None:
    listed, next_cursor, verdict = AGAIN[case]

    check = checked(page(("b", 1)), page(("a", 1)))

    assert check.judge_last_page(listed, next_cursor) == verdict


@pytest.mark.parametrize(("listed", "verdict"), [([], "cut short"), (page(("b", 1)), "holds")])
def test_an_empty_last_page_is_another_than_the_first(
    listed: list[Listed], verdict: Verdict
) -> None:
    assert checked(page(("b", 1)), []).judge_last_page(listed, "more") == verdict


def test_two_instants_show_more_than_one() -> None:
    assert not checked(BA).is_of_one_instant
    assert not checked(page(("b", 3)), page(("a", 1))).is_of_one_instant
    assert not checked([Listed(None, None)]).is_of_one_instant


@settings(max_examples=150, deadline=None)
@given(chance)
def test_the_end_never_holds_while_a_row_beyond_it_is_listed(data: bytes) -> None:
    """Also on a list that is cut short, changes, or has rows that can't be read whole."""
    draws = Draws(data)
    feed = Feed(draws, cuts=True, illegible=draws.one_in(2), gappy=draws.one_in(3))
    stroll = Stroll(feed, Walk(HEAD, WHOLE))
    while not stroll.over:
        feed.shake()
        stroll.step(1 + draws.below(4))
    feed.shake()

    step = stroll.end(1 + draws.below(4))

    lowest = stroll.walk.end.lowest
    # Of a page of which nothing can be read nobody knows whose rows those are.
    tells = any(row.id or row.created_at for row in stroll.oldest)
    if step is not None and lowest is not None and tells:
        # A row that came after the last page was not there to be missed. Where the oldest record
        # can't be read, none that came since the first request need have been noticed.
        since = stroll.began_at if feed.illegible else stroll.last_at
        assert since is not None
        rows = (row for row in feed.rows if row.came <= since)
        there = [row for row in rows if row.went is None and not row.hidden]
        beyond = [row for row in there if row.at < lowest and not row.bad_instant]
        assert [row for row in beyond if not feed.gappy or row.shown is None] == []


@settings(max_examples=150, deadline=None)
@given(chance)
def test_a_server_that_ignores_the_order_is_believed_only_by_its_last_row(data: bytes) -> None:
    draws = Draws(data)
    feed = Feed(draws, ignores_order=True)
    stroll = Stroll(feed, Walk(HEAD, WHOLE))
    while not stroll.over:
        stroll.step(1 + draws.below(4))

    holds = stroll.end(1 + draws.below(4)) is not None

    instants = {row.at for row in feed.rows}
    if len(instants) <= 1:
        assert holds
    elif holds:
        assert len(feed.rows) <= 4, "a page was the whole list"
