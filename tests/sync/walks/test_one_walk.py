"""The end of a walk, where a page of the list's other end came beforehand."""

from typing import Any, cast

import pytest

from etl.api.client import Client, Fetched
from etl.errors import CursorRefused, CutShort
from etl.models import BEGINNING, Listed, Page
from etl.planning.coverage import Gap
from etl.planning.walks.entries import HEAD
from etl.planning.walks.walk import Walk
from etl.sync.walks.one_walk import PageSource, fetch_step
from tests.planning import at


def page(*seconds: int) -> Page:
    return Page([], [], [], [Listed(f"s{second}", at(second)) for second in seconds])


class OldestFirst:
    """Answers every request with one page, and counts them."""

    def __init__(self, answer: Page) -> None:
        self.answer = answer
        self.requests = 0

    def fetch_page(self, *_: object, **__: object) -> Fetched:
        self.requests += 1
        return Fetched(self.answer, at(100))


@pytest.mark.parametrize(("early", "requests"), [(page(3, 5, 9), 0), (page(), 1), (page(5, 9), 0)])
def test_an_early_page_of_the_other_end_spares_a_request_unless_the_list_has_changed(
    early: Page, requests: int
) -> None:
    walk, client = Walk(HEAD, Gap(BEGINNING, at(50))), OldestFirst(page(3))
    walk.advance(page(9, 5, 3).listed, None, at(60))
    # Rows of this walk are saved already: an empty list alone would contradict them.
    source = PageSource(
        cast(Client, cast(Any, client)),
        "agent",
        get_tail_page=lambda: early,
        may_be_empty=lambda _: False,
    )

    source.confirm_end(walk)

    assert client.requests == requests


class OneInstant:
    """A list of one instant, alike in both orders, in pages of two.

    A cursor dies with the next request for a first page, and leads to an empty page from then on.
    """

    def __init__(self, count: int) -> None:
        self.rows = [Listed(f"s{number}", at(1)) for number in range(count)]
        self.reading = 0

    def fetch_page(self, *_: object, cursor: str | None = None, **__: object) -> Fetched[Page]:
        if cursor is None:
            self.reading += 1
        reading, start = map(int, (cursor or f"{self.reading} 0").split())
        rows = self.rows[start : start + 2] if reading == self.reading else []
        more = f"{reading} {start + 2}" if rows and start + 2 < len(self.rows) else None
        return Fetched(Page([], [], [], rows, next_cursor=more), at(100))

    def pause_after(self, _: int) -> None: ...


@pytest.mark.parametrize("seen", [1, 2])
def test_an_empty_page_behind_a_cursor_that_has_died_is_no_end_of_an_instant(seen: int) -> None:
    client, walk = OneInstant(7), Walk(HEAD, Gap(BEGINNING, at(50)))
    source = PageSource(cast(Client, cast(Any, client)), "agent")
    for _ in range(seen):
        fetch_step(walk, source)
    client.fetch_page()
    assert fetch_step(walk, source).next_cursor is None

    with pytest.raises(CutShort):
        source.confirm_end(walk)


def test_an_empty_last_page_is_the_end_of_an_instant_that_was_seen_whole() -> None:
    client, walk = OneInstant(6), Walk(HEAD, Gap(BEGINNING, at(50)))
    source = PageSource(cast(Client, cast(Any, client)), "agent")
    for _ in range(3):
        fetch_step(walk, source)
    walk.advance([], None, at(100))

    source.confirm_end(walk)


class BoundToPageSize:
    """Rows that count and are not shown, then one that is; a cursor holds its page size."""

    def __init__(self, hidden: int) -> None:
        self.rows = [None] * hidden + [Listed("s3", at(3))]

    def fetch_page(
        self, *_: object, cursor: str | None = None, page_size: int | None = None, **__: object
    ) -> Fetched[Page]:
        size = page_size or 2
        start, issued = map(int, (cursor or f"0 {size}").split())
        if issued != size:
            raise CursorRefused("a cursor of another page size")
        shown = [row for row in self.rows[start : start + size] if row is not None]
        more = f"{start + size} {size}" if start + size < len(self.rows) else None
        return Fetched(Page([], [], [], shown, next_cursor=more), at(100))


@pytest.mark.parametrize("hidden", [0, 1, 5])
def test_the_other_end_is_found_though_cursors_are_bound_to_a_page_size(hidden: int) -> None:
    walk = Walk(HEAD, Gap(BEGINNING, at(50)))
    walk.advance(page(9, 5, 3).listed, None, at(60))
    source = PageSource(cast(Client, cast(Any, BoundToPageSize(hidden))), "agent")

    source.confirm_end(walk)
